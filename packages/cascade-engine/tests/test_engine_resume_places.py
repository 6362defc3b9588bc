"""Claims about runs in places that can't take them: folders and files that are read-only, and disks that are full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.resuming import WANTED, play, sixty, stopped

from cascade.spec import StoreError

pytestmark = pytest.mark.usefixtures("story")

TESTS = Path(__file__).parents[3] / "tests"

NOBODY = 65534
AS_NOBODY = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
from support.resuming import play, sixty
from cascade.adapters.store_urls import catalog_from_url
asyncio.run(play(sys.argv[2], sixty(), run_id="to import all that it takes"))
if os.geteuid() == 0:  # whom no mode keeps out
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
seen = asyncio.run(play(sys.argv[3], sixty()))
print(type(seen.error).__name__, len(seen.calls), seen.error)
try:
    print(len(catalog_from_url(sys.argv[3]).runs()))
except Exception as error:
    print(type(error).__name__)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that anybody could reach."""
    place = Path("/tmp") / f"cascade-{os.getpid()}-{tmp_path.name}"
    place.mkdir()
    yield place
    place.chmod(0o755)
    shutil.rmtree(place)


@pytest.mark.parametrize("what", ["folder", "folder with a store", "file"])
async def test_a_place_that_is_read_only_is_told(what: str, folder: Path, tmp_path: Path) -> None:
    """Where nothing may be written, a run ends with a typed error before any call; what is there stays as it was."""
    path = folder / "runs.db"
    url = f"sqlite:///{path}"
    if what != "folder":
        await stopped(url, sixty(), "chain 5")
        path.chmod(0o444)
    before = path.read_bytes() if path.exists() else b""
    folder.chmod(0o777 if what == "file" else 0o555)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, TESTS, f"sqlite:///{tmp_path / 'own.db'}", url],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told, catalog = done.stdout.splitlines()
    assert told.startswith(f"StoreError 0 store {path}: ")
    assert catalog == ("StoreNotFoundError" if what == "folder" else "1")
    folder.chmod(0o755)
    assert (path.read_bytes() if path.exists() else b"") == before
    if what != "folder":
        path.chmod(0o600)
    assert (await play(url, sixty())).value == WANTED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of some pages."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "cascade", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a disk can't be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


async def test_a_disk_that_is_full_at_any_size(small_disk: Path) -> None:
    """On a disk with any room left, a run ends with a typed error or its value; with more room it goes on."""
    url, filler = f"sqlite:///{small_disk / 'runs.db'}", small_disk / "filler"
    alone = await play(url, sixty())
    assert alone.value == WANTED
    seen: set[type[BaseException] | None] = set()
    for pages in range(10, 100, 6):
        for each in small_disk.iterdir():
            each.unlink()
        filler.write_bytes(bytes(4096 * pages))
        first = await play(url, sixty())
        seen.add(None if first.error is None else type(first.error))
        filler.unlink()
        again = await play(url, sixty())
        assert again.value == WANTED
        assert set(first.calls) | set(again.calls) == set(alone.calls)
    assert seen == {None, StoreError}
