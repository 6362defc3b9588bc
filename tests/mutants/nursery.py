"""Runs pytest in processes forked from this one, in which the libraries that tests need are loaded already.

Starting an interpreter and importing these takes longer than most tests do.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path

import pytest

LIBRARIES = (
    *(
        "_pytest.pytester",
        "anyio",
        "asyncio",
        "attrs",
        "coverage",
        "hypothesis",
        "hypothesis.stateful",
        "numpy",
    ),
    *(
        "multiprocessing.spawn",
        "networkx",
        "pandas",
        "pydantic",
        "redis",
        "redis.asyncio",
        "sqlite3",
        "xdist",
    ),
)
ARGUMENTS = ("-q", "-x", "-p", "no:cacheprovider", "--assert=plain")
TIME = -1
"""The outcome of a process that took too long."""


def warm_up() -> None:
    """Import what tests import, but nothing of the repository."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a fork has the threads of its parent no more
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    loaded = [each for each in sys.modules if each.partition(".")[0] == "cascade"]
    if loaded:
        raise RuntimeError(f"{loaded[0]} is loaded before it is mutated")


class Child:
    """A process that runs tests in `root`; all of its descendants end with it."""

    def __init__(self, root: Path, files: Sequence[str], plugins: Sequence[object], seconds: float) -> None:
        self._until = time.monotonic() + seconds
        sys.stdout.flush()
        self._process = os.fork()
        if not self._process:
            _run_tests(root, files, plugins)

    def outcome(self) -> int | None:
        """Return pytest's exit code, `TIME`, or 128 and the number of a signal; `None` as long as it runs."""
        ended, status = os.waitpid(self._process, os.WNOHANG)
        if not ended and time.monotonic() < self._until:
            return None
        self.end(wait=not ended)
        if not ended:
            return TIME
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def end(self, wait: bool = True) -> None:
        """Kill it and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        if wait:
            os.waitpid(self._process, 0)


def _run_tests(root: Path, files: Sequence[str], plugins: Sequence[object]) -> None:
    code = 3
    try:
        os.setsid()
        signal.signal(
            signal.SIGINT, signal.default_int_handler
        )  # ignored where a shell began this in the background
        os.chdir(root)
        with Path(os.devnull).open("r+b") as nothing:
            for number in (0, 1, 2):
                os.dup2(nothing.fileno(), number)
        sources = [str(each) for each in sorted(root.glob("packages/*/src"))]
        sys.path[:0] = sources
        os.environ["PYTHONPATH"] = os.pathsep.join(sources)
        sys.argv = [str(Path(pytest.__file__).with_name("__main__.py")), *files]
        main = types.ModuleType(
            "__main__"
        )  # as `python -m pytest` has it: processes that tests spawn import it
        main.__file__, main.__spec__ = sys.argv[0], importlib.util.find_spec("pytest.__main__")
        sys.modules["__main__"] = main
        for name in [each for each in sys.modules if each.partition(".")[0] == "mutants"]:
            del sys.modules[name]
        code = pytest.main([*ARGUMENTS, *files], plugins=plugins)
    finally:
        os._exit(code)
