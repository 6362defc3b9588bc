"""A Ray of the tests' own, on this machine. As a plugin this gives `ray_cluster`: one for all tests of a process.

The tests play the program that has initialised Ray. So executors use it, and leave it as it is.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CPUS = 2
"""How many calls it makes at a time."""

GPUS = 4
"""As many as a call of the random workflows may ask for: one that asks for more waits without end."""

TESTS = Path(__file__).parents[1]

_raylet_doors: dict[str, tuple[str, int]] = {}


@pytest.fixture(scope="session")
def ray_cluster(shared_ledger: Path) -> Iterator[str]:
    """Start Ray, with workers that find the modules of the tests; give its address."""
    import ray

    # Its processes end with the thread that has started them: that is this one.
    assert threading.current_thread() is threading.main_thread()
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CASCADE_TEST_LEDGER", str(shared_ledger))
        patch.setenv("PYTHONPATH", paths)
        ray.init(
            "local",
            num_cpus=CPUS,
            num_gpus=GPUS,
            resources={"licence": 1},
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,  # its warnings are for people
            object_store_memory=200 << 20,
        )
    context = ray.get_runtime_context()
    nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
    (node,) = nodes()
    address = str(context.gcs_address)
    _raylet_doors[address] = (node["NodeManagerAddress"], node["NodeManagerPort"])
    yield address
    ray.shutdown()


def pytest_configure() -> None:
    """Make each Ray of the tests independent of what else is on the machine.

    None kills workers when anything else takes much memory. All have one token. Ray would make one itself and keep it
    in a file of the user, which two that start at the same time both write: from then on no worker that one of them
    starts is let in, and its calls fail or wait without end.
    """
    os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # noqa: SIM112 - Ray reads it in this spelling
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@pytest.fixture(autouse=True)
def _ray_is_there(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose Ray has died, and each later one, in place of waiting for it."""
    if "ray_cluster" in request.fixturenames:
        _look(request.getfixturevalue("ray_cluster"))
        yield
        _look(request.getfixturevalue("ray_cluster"))
    else:
        yield


def _look(address: str) -> None:
    host, _, port = address.rpartition(":")
    for process, door in (("control service", (host, int(port))), ("raylet", _raylet_doors[address])):
        try:
            socket.create_connection(door, timeout=30).close()
        except OSError as error:
            pytest.fail(
                f"the Ray of the tests has died: nobody listens as its {process} ({error})", pytrace=False
            )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a cluster."""
    for item in items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("server")
