"""A Ray of the tests' own, on this machine. As a plugin this gives `ray_cluster`: one for all tests of a process.

The tests play the program that has initialised Ray. So executors use it, and leave it as it is.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

CPUS = 2
"""How many calls it makes at a time."""


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Start Ray; give its address."""
    import ray

    # Ray's warnings are for people, and its processes end with the thread that has started them: that is this one.
    assert threading.current_thread() is threading.main_thread()
    ray.init(
        "local",
        num_cpus=CPUS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100 << 20,
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
