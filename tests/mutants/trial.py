"""One mutant on trial: the changed file is put into a copy, and the tests that reach its line are run."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, zip_longest
from pathlib import Path

from mutants.candidates import Mutant
from mutants.nursery import Child
from mutants.plugins import Chosen
from mutants.reach import Test

FIRST_FILES, FIRST_TESTS = 5, 12
"""What is run first: few files, which are collected at once, and the quickest tests of each. Most mutants don't
outlive them."""
GRACE, TIMES = 20.0, 10.0
"""A test that takes this many seconds and this many times as long as without the change is taken for one without end:
a machine may be busy."""
SLOW = 1.0
"""Tests that take so many seconds are run last."""
NO_TESTS = 5
"""Exit code of pytest when it found none: tells nothing of the change."""


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNREACHED = "reached by no test"


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a mutant: of the `reaching` tests `tried` were run at most, and `by` killed it.

    `files` are digests of the files of tests that the verdict rests on.
    """

    mutant: str
    verdict: Verdict
    by: str
    tried: int
    reaching: int
    files: dict[str, str]


class Bench:
    """A copy of the repository in which one mutant after the other is on trial."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._clock = 0
        self._restored: tuple[Path, str] | None = None
        self._batches: list[list[Test]] = []
        self._child: Child | None = None
        self._note = root.with_suffix(".test")

    def check(self, test: Test) -> None:
        """Run a test on the copy as it is.

        Raises:
            SystemExit: If it fails: every mutant would be taken for killed.
        """
        self._batches = [[test]]
        self._next()
        while (killer := self.poll()) is None:
            time.sleep(0.05)
        if killer:
            raise SystemExit(f"fails without any change: {killer}")

    def begin(self, mutant: Mutant, changed: str, order: Sequence[Test]) -> None:
        """Put a mutant on trial."""
        file = self._root / mutant.path
        self._restored = (file, file.read_text(encoding="utf-8"))
        self._write(file, changed)
        first = set(_first(order))
        self._batches = [
            [each for each in order if each.name in first],
            [each for each in order if each.name not in first],
        ]
        self._next()

    def poll(self) -> str | None:
        """Return the test that killed the mutant; "" if none did, `None` as long as it's on trial."""
        if self._child is None or (outcome := self._child.outcome()) is None:
            return None
        if outcome == NO_TESTS:
            raise SystemExit(f"none of the tests is there: {self._note.read_text(encoding='utf-8')}")
        if not outcome and any(self._batches):
            self._next()
            return None
        self.stop()
        return self._note.read_text(encoding="utf-8") if outcome else ""

    def stop(self) -> None:
        """End the trial; the copy is as it was."""
        if self._restored is not None:
            self._write(*self._restored)
        self._child = self._restored = None

    def _next(self) -> None:
        tests = self._batches.pop(0)
        names = [each.name for each in tests]
        limits = [GRACE + TIMES * each.seconds for each in tests]
        files = [*dict.fromkeys(each.file for each in tests)]
        self._note.write_text("when tests are collected", encoding="utf-8")
        self._child = Child(self._root, files, [Chosen(names, limits, self._note)], 60 + sum(limits))

    def _write(self, file: Path, text: str) -> None:
        # Python compiles a file anew if its time, in seconds, or its size has changed: each version has its own.
        self._clock += 10
        file.write_text(text, encoding="utf-8")
        os.utime(file, (self._clock, self._clock))


def in_order(tests: Sequence[Test], path: Path, budget: float) -> list[Test]:
    """Return the tests of a mutant as they are run: of each file in turn, the quickest first; slow ones at the end.

    The files come first of which most tests reach the line, and those of the same wheel. Tests that go beyond the
    budget, in seconds without the change, are not run.
    """
    of_file: dict[str, list[Test]] = defaultdict(list)
    by_time = sorted(tests, key=lambda test: (test.seconds, test.name))
    for each in by_time:
        if each.seconds < SLOW:
            of_file[each.file].append(each)
    wheel = path.parts[:2]
    files = sorted(of_file, key=lambda file: (Path(file).parts[:2] != wheel, -len(of_file[file]), file))
    quick = filter(None, chain.from_iterable(zip_longest(*(of_file[file] for file in files))))
    found: list[Test] = []
    for each in (*quick, *(test for test in by_time if test.seconds >= SLOW)):
        if each.seconds <= budget or not found:
            budget -= each.seconds
            found.append(each)
    return found


def _first(order: Sequence[Test]) -> list[str]:
    of_file: dict[str, list[str]] = defaultdict(list)
    for each in order:
        of_file[each.file].append(each.name)
    return [name for file in [*of_file][:FIRST_FILES] for name in of_file[file][:FIRST_TESTS]]
