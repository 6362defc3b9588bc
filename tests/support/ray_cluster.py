"""A Ray of the tests' own, on this machine. As a plugin this gives `ray_cluster`: one for all tests of a process.

The tests play the program that has initialised Ray. So executors use it, and leave it as it is.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

CPUS = 2
"""How many calls it makes at a time."""

TESTS = Path(__file__).parents[1]


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
            num_gpus=1,
            resources={"licence": 1},
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,  # its warnings are for people
            object_store_memory=200 << 20,
        )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def pytest_configure() -> None:
    """Keep each Ray of the tests from killing workers when anything else on the machine takes much memory."""
    os.environ["RAY_memory_monitor_refresh_ms"] = "0"  # noqa: SIM112 - Ray reads it in this spelling


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a cluster."""
    for item in items:
        if "ray_cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("server")
