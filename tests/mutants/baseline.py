"""Which tests reach which line, and how long each takes: told by one run of all tests with coverage."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from coverage import CoverageData

DATA = ".coverage"


class Baseline:
    """The tests that reach each line of the modules under mutation."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._data = CoverageData(basename=str(root / DATA))
        self._data.read()

    def tests_of(self, path: Path, line: int) -> list[str]:
        """Return the ids of the tests that reach a line, each once; of one that is run at import, those of its file."""
        reached = self._data.contexts_by_lineno(str(self._root / path))
        contexts = reached.get(line, [])
        tests = _tests(contexts)
        return tests if tests or not contexts else _tests(chain.from_iterable(reached.values()))


def _tests(contexts: Iterable[str]) -> list[str]:
    return sorted({each.partition("|")[0] for each in contexts if "::" in each})


def measure(root: Path, tests: Sequence[str]) -> Baseline:
    """Run the tests in a copy of the repository, all of which must pass, and return what they reach.

    Raises:
        SystemExit: If a test fails: nothing could be told of a change then.
    """
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "-p", "no:cacheprovider", *tests]
    command += ["--cov", "--cov-context=test", "--cov-report="]
    if subprocess.run(command, cwd=root, check=False).returncode:
        raise SystemExit("the tests fail without any mutation")
    print(f"all tests pass and are watched, in {time.monotonic() - began:.0f} s", flush=True)
    return Baseline(root)
