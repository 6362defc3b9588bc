"""Programs that start a Ray of another kind, each to be run in a process of its own; they print what they see."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

import cascade as cs
from cascade.adapters.executors.boundary_errors import ClusterGoneError, WorkerDiedError
from cascade.adapters.executors.handles import HandleLostError
from cascade.adapters.executors.ray import RayExecutor
from cascade.graph.nodes import Node
from cascade.runtime.exceptions import TaskTimeoutError
from cascade.spec.errors import SpecError
from support.remote_tasks import square


def say(*words: object) -> None:
    """Print a line that differs from those that Ray prints."""
    sys.stdout.write(f"> {' '.join(map(str, words))}\n")
    sys.stdout.flush()


@cs.task
def make(size: int) -> bytes:
    return bytes(size)


@cs.task
def measure(value: bytes) -> int:
    return len(value)


@cs.task
def fail() -> None:
    raise ValueError("no")


@cs.task
def die() -> None:
    os._exit(3)


@cs.task
def sleep() -> None:
    time.sleep(600)


def node_of(task: Any) -> Node:
    return Node("n0", task.name, callable_obj=task.func, task=task)


def lost_values() -> None:
    """Let values stay on a second machine, which goes."""
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, connect=False, head_node_args=options)
    second = cluster.add_node(num_cpus=1, resources={"second": 1})
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)

    async def main() -> None:
        from cascade.adapters.executors.call_amounts import amounts_in_context

        amounts_in_context.set({"second": 1})
        careless, careful = RayExecutor(), RayExecutor(on_lost="rerun")
        async with careless.room(), careful.room():  # each knows what the cluster has
            found: list[Any] = [
                await each.execute_to_handle(node_of(make), (30_000_000,), {}) for each in (careless, careful)
            ]
        amounts_in_context.set({})
        cluster.remove_node(second, allow_graceful=False)
        cluster.add_node(num_cpus=1, resources={"second": 1})
        for look in (found[0].fetch(), careless.execute(node_of(measure), (found[0],), {})):
            try:
                await look
            except HandleLostError as error:
                say(type(error).__name__, error.task)
        say(await careful.execute(node_of(measure), (found[1],), {}))

    asyncio.run(main())
    ray.shutdown()
    end: Callable[[], None] = cluster.shutdown
    end()


@contextmanager
def client_server() -> Iterator[tuple[str, Callable[[], object]]]:
    """Start a cluster with a server for clients; give its address, and what ends all of it at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    head = """
import logging, ray, subprocess, sys
ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
address = ray.get_runtime_context().gcs_address
subprocess.run([sys.executable, "-m", "ray.util.client.server", "--mode", "legacy", "--host", "127.0.0.1",
                "--port", sys.argv[1], "--address", address])
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with Path(os.devnull).open("w") as nowhere:
        server = subprocess.Popen(
            [sys.executable, "-c", head, str(port)],
            env=environment,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )

    def kill() -> None:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()

    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"ray://127.0.0.1:{port}", kill
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def ray_client() -> None:
    """Start a cluster with a server for clients, and use it through that."""
    with client_server() as (word, _):
        asyncio.run(_as_client(word))


async def _as_client(word: str) -> None:
    async with cs.Engine(executor=word) as engine:
        say(await engine.run(square(3)))
        for call in (fail(), die(), sleep().with_timeout(1.0)):
            try:
                await engine.run(call)
            except ValueError as error:
                say(type(error).__name__, error)
            except (WorkerDiedError, TaskTimeoutError) as error:
                say(type(error).__name__)
        say(await engine.run(measure(make(1_000_000))))
        say(await engine.run(square.map(x=range(3))))


@cs.task
def trips() -> str:
    return os.environ["TRIPS"]


def runtime_environment() -> None:
    """Start Ray with an environment variable for its workers."""
    say(cs.run(trips(), executor=RayExecutor(runtime_env={"env_vars": {"TRIPS": "7"}})))


NOBODY = "ray://127.0.0.1:9"


def nobody_there() -> None:
    """Ask for a Ray that is not there."""
    try:
        cs.run(square(3), executor=NOBODY)
    except ClusterGoneError as error:
        say(type(error).__name__, error.address)
        say(error.problem)


def connections() -> None:
    """Share a Ray among executors, and ask for another one meanwhile."""

    async def main() -> None:
        first, second = RayExecutor(), RayExecutor()
        say(*await asyncio.gather(*(each.execute(node_of(square), (3,), {}) for each in (first, second))))
        try:
            await RayExecutor(NOBODY).execute(node_of(square), (3,), {})
        except SpecError as error:
            say(type(error).__name__)
        await first.close()
        say(await second.execute(node_of(square), (4,), {}))
        await second.close()
        say(ray.is_initialized())
        say(await first.execute(node_of(square), (5,), {}))
        await first.close()

    asyncio.run(main())
