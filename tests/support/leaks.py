"""A watch over every test: no asyncio task, thread, generator or coroutine outlives it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves something running behind, of the repository's own code or its tests'."""
    threads = set(threading.enumerate())
    gc.freeze()  # what is there already is not looked at
    yield
    gc.collect()
    left = [each for each in gc.get_objects() if _is_running(each, request.config.rootpath)]
    gc.unfreeze()
    assert not left
    for each in {*threading.enumerate()} - threads:
        each.join(1.0)  # one that was told to end may not have had its turn
    assert {each for each in threading.enumerate() if each.is_alive()} <= threads


def _is_running(found: object, root: Path) -> bool:
    if issubclass(type(found), BaseException):
        return False  # its `__class__` may raise
    if isinstance(found, asyncio.Task):
        return not found.done()
    if inspect.isgenerator(found):
        return found.gi_frame is not None and _is_ours(found.gi_code.co_filename, root)
    if inspect.isasyncgen(found):
        return found.ag_frame is not None and _is_ours(found.ag_code.co_filename, root)
    return (
        inspect.iscoroutine(found)
        and found.cr_frame is not None
        and _is_ours(found.cr_code.co_filename, root)
    )


def _is_ours(file: str, root: Path) -> bool:
    path = Path(file)
    return (
        file != __file__
        and path.is_relative_to(root)
        and ".venv" not in path.parts
        and ".hatch" not in path.parts
    )
