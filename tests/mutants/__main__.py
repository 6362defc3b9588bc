"""`python -m mutants --sample 300 --seed 1`: how many of so many random changes the tests notice."""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants.candidates import Mutant, candidates
from mutants.equivalents import statement_lines
from mutants.ledger import Ledger
from mutants.modules import modules
from mutants.nursery import warm_up
from mutants.rates import interval
from mutants.reach import Reach, Test, measure, sources_digest
from mutants.survivors import gone, reason_of
from mutants.trial import Bench, Trial, Verdict, in_order

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "mutants"


@dataclass(frozen=True, slots=True)
class Case:
    """A mutant with its source, the tests that reach it, and those of them that are run, in order."""

    mutant: Mutant
    changed: str
    reaching: list[Test]
    order: list[Test]

    def trial(self, killer: str, reach: Reach) -> Trial:
        """Return what became of it, given the test that killed it; "" if none did."""
        verdict = Verdict.UNREACHED if not self.order else Verdict.KILLED if killer else Verdict.SURVIVED
        file = killer.partition("::")[0]
        files = {file} if file in reach.files else {each.file for each in self.reaching}
        seen = {each: reach.files[each] for each in sorted(files)}
        return Trial(self.mutant.name, verdict, killer, len(self.order), len(self.reaching), seen)


def main(argv: Sequence[str] | None = None) -> None:
    """Try a sample, and print the rate with its interval and each survivor."""
    parser = argparse.ArgumentParser("mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=50, help="how many changes")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--tests", nargs="*", default=[], help="files of tests whose paths begin so")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many at the same time")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop then; the next time it goes on")
    parser.add_argument(
        "--budget",
        type=float,
        default=60.0,
        help="seconds of tests for each change: one that outlives them has survived, so that the rate is a lower bound",
    )
    arguments = parser.parse_args(argv)
    until = time.monotonic() + 60 * arguments.minutes
    warm_up()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Path(folder, f"copy{each}") for each in range(arguments.workers)]
        for copy in copies:
            _copy(copy)
        paths = modules(copies[0])
        for each in gone(ROOT, paths):
            print(f"survivors.toml lists a line that is not there any more: {each.file}: {each.line}")
        reach = measure(copies[0], paths, arguments.tests, KEPT / "reach")
        ledger = Ledger(KEPT / f"verdicts-{sources_digest(copies[0])[:16]}.jsonl")
        sample = _sample(copies[0], paths, arguments.only, arguments.sample, random.Random(arguments.seed))
        texts = {path: (copies[0] / path).read_text(encoding="utf-8") for path in paths}
        cases = [
            _case(reach, mutant, changed, texts[mutant.path], arguments.budget) for mutant, changed in sample
        ]
        trials: list[Trial] = []
        for case, trial in _try_all(cases, reach, ledger, [Bench(copy) for copy in copies], until):
            trials.append(trial)
            _tell(case, trial, texts[case.mutant.path])
    killed = sum(each.verdict is Verdict.KILLED for each in trials)
    low, high = interval(killed, len(trials))
    print(
        f"{killed} of {len(trials)} killed: {killed / max(1, len(trials)):.1%} ({low:.1%} to {high:.1%} at 95 %)"
    )


def _copy(to: Path) -> None:
    """Copy what git knows of the checkout, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def _sample(
    root: Path, paths: Sequence[Path], only: str, size: int, chance: random.Random
) -> list[tuple[Mutant, str]]:
    """Draw places in the code, and for each one of the changes that can be made there: some places have a dozen."""
    places: dict[tuple[Path, int, int], list[Mutant]] = {}
    for path in paths:
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


def _case(reach: Reach, mutant: Mutant, changed: str, text: str, budget: float) -> Case:
    lines, is_inside = statement_lines(ast.parse(text), mutant.line)
    reaching = reach.of(mutant.path, lines, is_inside)
    return Case(mutant, changed, reaching, in_order(reaching, mutant.path, budget))


def _try_all(
    cases: Sequence[Case], reach: Reach, ledger: Ledger, benches: Sequence[Bench], until: float
) -> Iterator[tuple[Case, Trial]]:
    """Give what became of each; the sample goes on at its next call where it ends before `until`."""
    waiting = []
    for case in cases:
        known = ledger.verdict(case.mutant.name, reach, {each.file for each in case.reaching})
        if known is not None:
            yield case, known
        elif not case.order:
            yield case, case.trial("", reach)
        else:
            waiting.append(case)
    waiting.sort(key=lambda case: case.mutant.name in ledger)  # what is new comes first
    waiting.reverse()
    for bench in benches if waiting else ():
        bench.check(waiting[-1].order[0])
    running: dict[Bench, Case] = {}
    try:
        while running or (waiting and time.monotonic() < until):
            for bench in benches:
                if bench in running and (killer := bench.poll()) is not None:
                    case = running.pop(bench)
                    trial = case.trial(killer, reach)
                    ledger.add(trial)
                    yield case, trial
                if bench not in running and waiting and time.monotonic() < until:
                    running[bench] = case = waiting.pop()
                    bench.begin(case.mutant, case.changed, case.order)
            time.sleep(0.02)
    finally:
        for bench in running:
            bench.stop()


def _tell(case: Case, trial: Trial, text: str) -> None:
    mutant = case.mutant
    place = f"{mutant.path.relative_to('packages')}:{mutant.line}"
    how = f"by {trial.by}" if trial.by else f"{trial.tried} of {trial.reaching} tests"
    print(f"{trial.verdict:20} {place} {mutant.operator} ({how})", flush=True)
    if trial.verdict is not Verdict.KILLED:
        lines = [
            each
            for each in difflib.unified_diff(text.splitlines(), case.changed.splitlines(), lineterm="", n=0)
            if each[:3] not in ("---", "+++") and not each.startswith("@@")
        ]
        print("\n".join(f"    {line}" for line in lines), flush=True)
        removed, added = (
            "\n".join(line[1:].strip() for line in lines if line[0] == sign) for sign in ("-", "+")
        )
        if reason := reason_of(mutant.path, removed, added):
            print(f"    listed: {reason}", flush=True)


if __name__ == "__main__":
    main()
