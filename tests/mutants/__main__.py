"""`python -m mutants --sample 300 --seed 1`: how many of so many random changes the tests notice."""

from __future__ import annotations

import argparse
import difflib
import math
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mutants.baseline import measure
from mutants.candidates import Mutant, candidates, modules
from mutants.trial import Trial, Verdict, hold

ROOT = Path(__file__).parents[2]
Z = 1.959964
"""The quantile of the normal distribution for an interval of 95 %."""


def main(argv: Sequence[str] | None = None) -> None:
    """Try a sample, and print the rate with its interval and each survivor."""
    parser = argparse.ArgumentParser("mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=50, help="how many changes")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--tests", nargs="*", default=[], help="these tests only, as pytest takes them")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder, "checkout")
        _copy(copy)
        os.environ["PYTHONPATH"] = os.pathsep.join(str(each) for each in sorted(copy.glob("packages/*/src")))
        baseline = measure(copy, arguments.tests)
        chance = random.Random(arguments.seed)
        trials = []
        for mutant, changed in _sample(copy, arguments.only, arguments.sample, chance):
            tests = baseline.tests_of(mutant.path, mutant.line)
            trials.append(hold(copy, mutant, changed, tests, chance))
            _tell(trials[-1], copy, changed)
    killed = sum(each.verdict is Verdict.KILLED for each in trials)
    low, high = interval(killed, len(trials))
    print(
        f"{killed} of {len(trials)} killed: {killed / max(1, len(trials)):.1%} ({low:.1%} to {high:.1%} at 95 %)"
    )


def interval(successes: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a rate.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if not of:
        return 0.0, 1.0
    rate, scale = successes / of, 1 + Z * Z / of
    middle = (rate + Z * Z / (2 * of)) / scale
    half = Z * math.sqrt(rate * (1 - rate) / of + Z * Z / (4 * of * of)) / scale
    return middle - half, middle + half


def _copy(to: Path) -> None:
    """Copy what git knows of the checkout, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def _sample(root: Path, only: str, size: int, chance: random.Random) -> list[tuple[Mutant, str]]:
    """Draw places in the code, and for each one of the changes that can be made there: some places have a dozen."""
    places: dict[tuple[Path, int, int], list[Mutant]] = {}
    for path in modules(root):
        for each in candidates(root, path) if only in str(path) else ():
            places.setdefault((path, each.line, each.column), []).append(each)
    found: list[tuple[Mutant, str]] = []
    for place in chance.sample(sorted(places), len(places)):
        if len(found) == size:
            break
        text = (root / place[0]).read_text(encoding="utf-8")
        for mutant in chance.sample(places[place], len(places[place])):
            if (changed := mutant.source(text)) is not None:
                found.append((mutant, changed))
                break
    print(f"{len(found)} of {len(places)} places", flush=True)
    return found


def _tell(trial: Trial, root: Path, changed: str) -> None:
    mutant = trial.mutant
    place = f"{mutant.path.relative_to('packages')}:{mutant.line}"
    print(f"{trial.verdict:20} {place} {mutant.operator} ({trial.tests} tests)", flush=True)
    if trial.verdict is not Verdict.KILLED:
        text = (root / mutant.path).read_text(encoding="utf-8").splitlines()
        lines = difflib.unified_diff(text, changed.splitlines(), lineterm="", n=0)
        print("\n".join(f"    {line}" for line in lines if line[:3] not in ("---", "+++")), flush=True)


if __name__ == "__main__":
    main()
