"""Claims about loops whose rounds have one structure and surprises in them: the engine and the reference agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from observation import Observed, plain_engine, run_in_time
from reference import Failed, Report, Skipped, Value, interpret
from support.examples import examples
from timeline_checks import check_events, check_run, counts_of, told_by

import cascade as cs
from cascade.runtime import Event, MessageBus

QUICK = settings(
    max_examples=examples(100),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

calls: Counter[str] = Counter()
failed: set[int] = set()


class NoTruthError(Exception):
    """What asking for the truth of a `Grumpy` raises."""


class Grumpy:
    """A value whose truth can't be asked for."""

    def __bool__(self) -> bool:
        raise NoTruthError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grumpy)

    def __hash__(self) -> int:
        return 0


@cs.task
def act(word: str, left: int) -> Any:
    """Give a number, or do what the word says."""
    calls[f"{word}{left}"] += 1
    match word:
        case "fail":
            raise ValueError(left)
        case "flaky" if left not in failed:
            failed.add(left)
            raise ValueError(left)
        case "tree":
            return act("number", left)
        case "false":
            return 0
    return left % 5 + 1


@cs.task
def key(word: str, left: int) -> Any:
    calls[f"key {word}{left}"] += 1
    if word == "fail":
        raise ValueError(left)
    return {"miss": "nowhere", "tree": act("number", left), "false": ""}.get(word, left % 2)


@cs.task
def total(*values: Any) -> int:
    flat = [each for value in values for each in (value if isinstance(value, list) else [value])]
    return sum(each for each in flat if isinstance(each, int)) % 1000


WORDS = ("number", "number", "number", "fail", "flaky", "tree", "false", "miss")
PLACES = ("middle", "condition", "selector", "retried", "item")


@cs.task
def single(words: tuple[tuple[str, str], ...], value: int) -> Any:
    """A round of nothing but itself; the last one may fail, or return a tree of another structure."""
    if not words:
        return value
    (place, word), rest = words[0], words[1:]
    calls[f"single {len(words)}"] += 1
    if word == "fail":
        raise ValueError(len(words))
    if word in ("tree", "miss"):
        return single(rest, total(value, act("number", len(words))))
    return single(rest, value + len(place))


@cs.task
def chained(words: tuple[tuple[str, str], ...], value: Any, *_: Any) -> Any:
    """A round of calls that wait for each other."""
    if not words:
        return value
    (_place, word), rest, left = words[0], words[1:], len(words)
    return chained(rest, total(total(act(word, left)), value), [act("number", left + 100)])


@cs.task
def mixed(words: tuple[tuple[str, str], ...], value: Any) -> Any:
    """A round with a bit of everything, one of whose calls is given a word."""
    if not words:
        return value
    (place, word), rest, left = words[0], words[1:], len(words)
    at = {each: word if each == place else "number" for each in PLACES}
    middle = act(at["middle"], left)
    routed = cs.Router(
        selector=key(at["selector"], left), routes={0: total(left), 1: total(left, middle), "": middle}
    )
    bonus = total(left, 1).run_if(act(at["condition"], left + 100), otherwise=7)
    retried = act(at["retried"], left + 200).with_retry(1)
    items = act.map([at["item"], "number"], [left + 300, left + 400])
    return mixed(rest, total(value, routed, bonus, retried, items))


ROUNDS = st.lists(
    st.one_of(
        *[st.just(("middle", "number"))] * 6, st.tuples(st.sampled_from(PLACES), st.sampled_from(WORDS))
    ),
    max_size=40,
).map(tuple)


def watched(target: Any, on_failure: Any, heard: bool, timeline: cs.Timeline | None) -> Observed:
    """Run a target on an engine that has run others of its structure."""
    seen = Observed(timeline=timeline)

    async def run() -> None:
        bus = MessageBus()
        async with plain_engine(bus) as engine:
            for _ in range(4):
                await engine.run(target.task((("middle", "number"),) * 3, 1))
            calls.clear()
            failed.clear()
            if heard:
                bus.subscribe(Event, seen.events.append)
            try:
                seen.value = await engine.run(target, on_failure=on_failure, timeline=seen.timeline)
            except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked at
                seen.error = error
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_time(run())
    return seen


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])
@pytest.mark.parametrize("timed", [False, True], ids=["untimed", "timed"])
@pytest.mark.parametrize("loop", [single, chained, mixed])
def test_rounds_with_surprises_agree_with_the_reference(loop: cs.Task[Any], timed: bool, heard: bool) -> None:
    """Whatever happens in whichever round, what comes out, what is called and what is told are the same."""

    @QUICK
    @given(ROUNDS, st.sampled_from(["stop", "finish"]))
    def check(words: tuple[tuple[str, str], ...], on_failure: str) -> None:
        calls.clear()
        failed.clear()
        expected = interpret(loop(words, 0))
        expected_calls = Counter(calls)
        seen = watched(loop(words, 0), on_failure, heard, cs.Timeline() if timed else None)
        check_told(seen, expected, whole=on_failure == "finish" or not expected.problems)
        if expected.problems and on_failure == "stop":
            assert set(seen.problems) <= set(expected.problems)
            assert calls <= expected_calls
            return
        assert calls == expected_calls
        match expected.outcome:
            case Value(value):
                assert (seen.error, seen.value) == (None, value)
            case Skipped() | Failed():
                assert seen.problems >= Counter(expected.problems)

    check()


@pytest.mark.parametrize("loop", [single, chained, mixed])
def test_counts_alone_are_those_of_a_timeline_with_all_calls(loop: cs.Task[Any]) -> None:
    """Whatever happens in whichever round, a timeline without times counts what one with times does."""

    @QUICK
    @given(ROUNDS)
    def check(words: tuple[tuple[str, str], ...]) -> None:
        counted = []
        for timeline in (cs.Timeline(), cs.Timeline(timed=False)):
            calls.clear()
            failed.clear()
            seen = watched(loop(words, 0), "finish", False, timeline)
            counted.append((seen.value, seen.problems, counts_of(timeline)))
        assert counted[0] == counted[1]

    check()


@pytest.mark.parametrize("timed", [False, True])
def test_a_map_that_some_rounds_skip_is_counted(timed: bool) -> None:
    """Where a map is called in some rounds alone, its items are counted there, and the skips elsewhere."""

    @cs.task
    def is_even(left: int) -> bool:
        return left % 2 == 0

    @cs.task
    def loop(left: int, *_: Any) -> Any:
        if not left:
            return 0
        items = total.map([left, left, left]).run_if(is_even(left), otherwise=[])
        return loop(left - 1, items)

    async def main() -> cs.Timeline:
        timeline = cs.Timeline(timed=timed)
        async with plain_engine(MessageBus()) as engine:
            for _ in range(4):
                await engine.run(loop(4))
            await engine.run(loop(40), timeline=timeline)
        return timeline

    figures = asyncio.run(main()).tasks()["total"]
    assert (figures.calls, figures.known, sum(figures.skips.values())) == (60, 80, 20)


def check_told(seen: Observed, expected: Report, whole: bool) -> None:
    """Check events and timeline, as far as they are there; of a `whole` run they have what the reference has."""
    told = []
    if seen.events:
        seen.check_order()
        told.append(seen.told)
    if seen.timeline is not None:
        told.append(told_by(seen.timeline))
        for run in seen.timeline.runs:
            check_run(run)
        if seen.events:
            check_events(seen.timeline, seen.events)
    for each in told if whole else []:
        assert Counter(each.values()) == Counter(expected.told)


def test_a_truth_that_raises_ends_the_loop() -> None:
    """What asking for a condition's truth raises comes out, whichever round it is, with all that came before done."""
    made: list[int] = []

    @cs.task
    def note(left: int) -> Any:
        made.append(left)
        return Grumpy() if left == 5 else left

    @cs.task
    def loop(left: int, *_: Any) -> Any:
        return loop(left - 1, total(left).run_if(note(left), otherwise=0)) if left else 0

    async def main() -> None:
        async with plain_engine(MessageBus()) as engine:
            for _ in range(4):
                assert await engine.run(loop(4)) == 0
            made.clear()
            with pytest.raises(NoTruthError):
                await engine.run(loop(40))

    run_in_time(main())
    assert made == list(range(40, 4, -1))


def test_a_loop_may_return_one_object_again_and_again() -> None:
    """A task that returns the very lazy result that it was called by goes on, and reads its arguments anew."""
    left = [50]
    history: list[Any] = []

    @cs.task
    def again(seen: list[Any]) -> Any:
        left[0] -= 1
        if left[0] == 20:
            history.append(total(3, 4))
        return same if left[0] else seen

    same = again(history)
    assert cs.run(same) == [7]
    assert left == [0]


def test_what_a_round_holds_is_let_go() -> None:
    """A loop holds the values of no more than two rounds, however long it lasts."""
    alive: list[int] = [0]

    class Weight:
        def __init__(self) -> None:
            alive[0] += 1

        def __del__(self) -> None:
            alive[0] -= 1

    most = [0]

    @cs.task
    def make(_: object) -> Weight:
        most[0] = max(most[0], alive[0])
        return Weight()

    @cs.task
    def carry(left: int, weight: Any) -> Any:
        return carry(left - 1, make(make(left))) if left else None

    assert cs.run(carry(5000, None)) is None
    assert most[0] <= 4
