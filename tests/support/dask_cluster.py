"""A Dask cluster of the tests' own: a scheduler and two workers on loopback, in processes, gone when the tests end.

As a plugin this gives the fixture `dask_address`, one cluster for all tests of a process.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]

_PROGRAM = """
import logging, select, sys
import dask
from distributed import LocalCluster

WORKERS = 2

def repair(cluster):
    # A nanny whose worker is killed while it starts gives up, and nobody replaces it.
    for name, nanny in [*cluster.workers.items()]:
        if nanny.status.name in ("closing", "closed", "failed"):
            del cluster.workers[name]
    cluster.scale(WORKERS)

if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # A busy machine may take long to start a worker again.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})
    options = {"n_workers": WORKERS, "threads_per_worker": 1, "processes": True, "resources": {"gpu": 4}}
    with LocalCluster(host="127.0.0.1", dashboard_address=None, memory_limit=None, **options) as cluster:
        print(cluster.scheduler_address, flush=True)
        while not select.select([sys.stdin], [], [], 0.5)[0]:
            repair(cluster)
"""


class DaskCluster:
    """A running cluster. Its workers find the modules of the tests' support."""

    def __init__(self, folder: Path, ledger: Path) -> None:
        program = folder / "dask_cluster.py"
        program.write_text(_PROGRAM)
        paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "CASCADE_TEST_LEDGER": str(ledger)},
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            pytest.fail("the Dask cluster does not start")

    def stop(self) -> None:
        """End the scheduler and its workers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def dask_address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_ledger: Path
) -> str:
    """Return the address of a scheduler that has two workers with one thread each."""
    pytest.importorskip("distributed")
    return _started(request, tmp_path_factory.mktemp("dask"), shared_ledger).address


def _started(request: pytest.FixtureRequest, folder: Path, ledger: Path) -> DaskCluster:
    cluster = DaskCluster(folder, ledger)
    request.addfinalizer(cluster.stop)  # a generator would look like one that a test has left behind
    asyncio.run(_connect_once(cluster.address))
    return cluster


async def _connect_once(address: str) -> None:
    """Let Dask start the threads that it keeps for all connections of a process."""
    from distributed import Client

    connect: Any = Client
    async with connect(address, asynchronous=True, set_as_default=False) as client:
        await client.submit(sum, [1, 2], pure=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a cluster."""
    for item in items:
        if "dask_address" in getattr(item, "fixturenames", ()):
            item.add_marker("server")
