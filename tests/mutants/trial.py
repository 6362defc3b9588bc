"""One mutant on trial: the changed file is put into the copy, and the tests that reach its line are run."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mutants.candidates import Mutant

SECONDS = 300.0
"""How long the tests may take: a mutant that makes one run for ever is noticed."""
FEW = 40
"""So many tests are run in one process; more of them on all cores."""


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNREACHED = "reached by no test"


@dataclass(frozen=True, slots=True)
class Trial:
    """A mutant and what became of it; `tests` is how many reach its line."""

    mutant: Mutant
    verdict: Verdict
    tests: int


def hold(root: Path, mutant: Mutant, changed: str, tests: Sequence[str], order: random.Random) -> Trial:
    """Run the tests on a changed file in the copy at `root`, which is as it was afterwards."""
    if not tests:
        return Trial(mutant, Verdict.UNREACHED, 0)
    file = root / mutant.path
    text = file.read_text(encoding="utf-8")
    shuffled = order.sample(tests, len(tests))
    try:
        file.write_text(changed, encoding="utf-8")
        # A few first: most mutants don't outlive them, and starting workers takes longer.
        killed = _fail(root, shuffled[:FEW], "0") or (
            len(tests) > FEW and _fail(root, shuffled[FEW:], "auto")
        )
    finally:
        file.write_text(text, encoding="utf-8")
    return Trial(mutant, Verdict.KILLED if killed else Verdict.SURVIVED, len(tests))


def _fail(root: Path, tests: Sequence[str], workers: str) -> bool:
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-x",
        "-q",
        "-n",
        workers,
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    try:
        ended = subprocess.run(command, cwd=root, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return True
    return ended.returncode != 0
