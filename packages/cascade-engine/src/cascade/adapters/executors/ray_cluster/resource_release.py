"""The end of workers of Ray that have opened resources: Ray itself ends workers without a chance to release anything.

Such a worker leaves a file on its machine. When the last executor of the program lets go of Ray, each machine is asked
to end those of this program in order: Ray's workers exit on SIGTERM, and release what is open then.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cascade.adapters.executors.ray_cluster.session import Session
from cascade.adapters.travelling.open_resources import OPEN_HERE, RELEASE_SECONDS

_FOLDER = Path(tempfile.gettempdir())
_LOOK_SECONDS = 0.01

_marked: list[Path] = []


def mark_open() -> None:
    """Leave a file if this worker has opened a resource."""
    if OPEN_HERE.is_in_use and not _marked:
        path = _FOLDER / f"{_prefix()}{os.getpid()}"
        path.write_text(_began(os.getpid()))
        _marked.append(path)
        atexit.register(path.unlink, missing_ok=True)


def _prefix() -> str:
    return f"cascade-ray-open-{ray.get_runtime_context().get_job_id()}-"


def end_workers() -> None:
    """End the workers of this program on this machine that have opened resources, and wait for them."""
    ending = []
    for path in _FOLDER.glob(f"{_prefix()}*"):
        process = int(path.name.rpartition("-")[2])
        if process == os.getpid():
            OPEN_HERE.close()
            _marked.clear()
        elif _began(process) == path.read_text() and _signalled(process, signal.SIGTERM):
            ending.append(process)
        path.unlink(missing_ok=True)
    limit = time.monotonic() + RELEASE_SECONDS
    while any(_signalled(process, 0) for process in ending) and time.monotonic() < limit:
        time.sleep(_LOOK_SECONDS)


def _began(process: int) -> str:
    """Return when a process began, where the system tells: another one may have got its number since."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[19]
    except OSError:
        return ""


def _signalled(process: int, number: int) -> bool:
    try:
        os.kill(process, number)
    except OSError:
        return False
    return not _is_dead(process)


def _is_dead(process: int) -> bool:
    """Tell whether nobody has waited for a process that has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].startswith(("Z", "X"))
    except OSError:
        return False


_end = ray.remote(num_cpus=0, max_retries=0)(end_workers)


async def release_resources(session: Session) -> None:
    """End the workers of this program that have opened resources, on all machines.

    Raises:
        ClusterGoneError: If Ray has gone, or goes meanwhile.
    """
    machines: Callable[[], list[dict[str, Any]]] = ray.nodes
    asked = [
        _end.options(scheduling_strategy=NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)).remote()
        for each in await session.ask(machines)
        if each["Alive"]
    ]
    await asyncio.gather(*(_done(session, each) for each in asked))


async def _done(session: Session, reference: Any) -> None:
    try:
        done = asyncio.wrap_future(reference.future())
        await session.until_done(done)
        done.result()
    except RayError:  # that machine has gone
        return
