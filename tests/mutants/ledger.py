"""What became of each mutant so far, in a file: an interrupted sample goes on, and what is known is not tried again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from mutants.reach import Reach
from mutants.trial import Trial, Verdict


class Ledger:
    """The verdicts for one state of the sources, a line of JSON for each; the last one of a mutant counts."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Trial] = {}
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        for line in lines:
            told = json.loads(line)
            self._known[told["mutant"]] = Trial(**{**told, "verdict": Verdict(told["verdict"])})

    def verdict(self, mutant: str, reach: Reach, reaching: set[str]) -> Trial | None:
        """Return what became of a mutant, if that holds still.

        A killed one stays killed as long as the file of the test that did it is the same; one that survived is tried
        again when any file of the tests that reach it is another one.
        """
        trial = self._known.get(mutant)
        if trial is None:
            return None
        if trial.verdict is not Verdict.KILLED and set(trial.files) != reaching:
            return None
        return trial if all(reach.files.get(name) == seen for name, seen in trial.files.items()) else None

    def __contains__(self, mutant: object) -> bool:
        """Tell whether a mutant was tried before, be it with other tests."""
        return mutant in self._known

    def add(self, trial: Trial) -> None:
        """Write a verdict down."""
        self._known[trial.mutant] = trial
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(trial)) + "\n")
