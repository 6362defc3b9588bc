"""Random maps that go out in chunks, are recorded and go on: each item counts for itself, in timelines too."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.chunk_tasks import Part, calls_in, play_named
from support.examples import examples
from support.stores import recorded, url_in
from timeline_checks import check_run

from cascade.adapters.executors.local import LocalExecutor
from cascade.runtime import Engine, SkipReason, Timeline
from cascade.runtime.timeline.run_timeline import RunTimeline

PATIENT = 3.0
"""Seconds after which an item is given up that does not end: for longer than a busy machine holds up a process."""
ONCE = {Part.FLAKY, Part.DIE, Part.LATE}
"""What fails at its first attempt, and then does not."""

RANDOM = settings(
    derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@dataclass(frozen=True)
class RecordedMap:
    """A map whose run is recorded."""

    parts: list[Part]
    limit: int | None
    retry: int

    def check(self, executor: LocalExecutor, folder: Path) -> None:
        """Run it, and run it again: what has given a value is not called again, and the timelines say so."""
        ledger = str(folder / "ledger")
        (folder / "ledger").touch()
        first = self.run(executor, folder)
        failing = {Part.FAIL} if self.retry else {Part.FAIL, *ONCE}
        again = [number for number, part in enumerate(self.parts) if part in failing]
        assert calls_in(ledger) == Counter(
            {number: 1 + self.retry * (part in {Part.FAIL, *ONCE}) for number, part in enumerate(self.parts)}
        )
        assert attempts(first) == calls_in(ledger)
        before = calls_in(ledger)
        second = self.run(executor, folder)
        called = Counter({number: 1 + self.retry * (self.parts[number] is Part.FAIL) for number in again})
        assert calls_in(ledger) - before == called
        if again:
            assert attempts(second) == called
            assert recovered(second) == {*range(len(self.parts))} - {*again}

    def run(self, executor: LocalExecutor, folder: Path) -> RunTimeline:
        """Run it or go on with it, and return the timeline of that."""
        items = [(number, part.value) for number, part in enumerate(self.parts)]
        target = play_named.partial(ledger=str(folder / "ledger")).map(items, max_concurrency=self.limit)
        if self.retry:
            target = target.with_retry(max_attempts=self.retry)
        if Part.LATE in self.parts:
            target = target.with_timeout(PATIENT)
        timeline = Timeline()

        async def main() -> None:
            async with Engine(executor=executor, state_backend_cls=recorded(url_in(folder))) as engine:
                try:
                    values = await engine.run(target, run_id="r", on_failure="finish", timeline=timeline)
                except ExceptionGroup:
                    return
            assert values == [2 * number for number in range(len(self.parts))]

        asyncio.run(main())
        (run,) = timeline.runs
        check_run(run)
        return run


def attempts(run: RunTimeline) -> Counter[int]:
    """Return how often a timeline says that each item was called."""
    return Counter(
        {
            call.place.item: call.attempt
            for call in run.calls()
            if call.place.item is not None and not call.place.tree
        }
    )


def recovered(run: RunTimeline) -> set[int | None]:
    """Return the items that a timeline says to be read from the store."""
    return {skip.place.item for skip in run.skips() if skip.reason is SkipReason.RECOVERED} - {None}


@st.composite
def recorded_maps(draw: st.DrawFn, mode: str) -> RecordedMap:
    """Draw a map. Only a worker process may die; and only it may be late, as a thread can't be ended."""
    kinds = [Part.GIVE] * 8 + [Part.FAIL, Part.FLAKY, Part.TREE] + [Part.DIE] * (mode == "process")
    parts = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=30))
    if mode == "process" and draw(st.booleans()):
        parts[draw(st.integers(0, len(parts) - 1))] = Part.LATE
    limit = draw(st.none() | st.integers(1, 3))
    return RecordedMap(parts, limit, draw(st.sampled_from([0, 1])))


def check_many(mode: str, folder: Path, number: int) -> None:
    """Check so many random maps with one executor."""
    executor = LocalExecutor(mode, threads=2, processes=2)
    fresh: Callable[[], Path] = (folder / f"{each}" for each in count()).__next__

    @settings(RANDOM, max_examples=number)
    @given(recorded_maps(mode))
    def check(drawn: RecordedMap) -> None:
        own = fresh()
        own.mkdir()
        drawn.check(executor, own)

    try:
        check()
    finally:
        asyncio.run(executor.close())


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_recorded_map_calls_again_what_has_given_no_value(mode: str, tmp_path: Path) -> None:
    """Whatever its items do: fail, die with their worker, be given up for their timeout, return a tree.

    A worker that is killed costs no other item a second call. The timelines have the calls that were made.
    """
    check_many(mode, tmp_path, examples(25 if mode == "thread" else 6))


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_recorded_map_calls_again_what_has_given_no_value_on_many_maps(mode: str, tmp_path: Path) -> None:
    """The same, on many more maps."""
    check_many(mode, tmp_path, 500 if mode == "thread" else 150)
