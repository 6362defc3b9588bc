"""Claims about state backends: whatever is done in whatever order, they hold what a dict would."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.examples import examples
from support.redis_server import RedisProcess

from cascade.adapters.state import InMemoryStateBackend, RedisStateBackend, SqliteStateBackend
from cascade.adapters.state.keys import FrameKey, NodeKey
from cascade.spec import StateBackend
from cascade.spec.durable import DurableStateBackend, FactLabel, NextRound, Note, RunRecord
from cascade.testing.conformance.sample_keys import item_of, path_of, round_at, round_of_run
from cascade.testing.conformance.sample_tasks import give

LABEL = FactLabel("task", "root")
RECORD = RunRecord("task", "", (), {}, {}, b"", 2)

Facts = dict[tuple[NodeKey, str], Any]
"""The dict that a backend is held against: by node, and what the fact is."""

numbers = st.integers(0, 3)
places = st.integers(0, 1)
frames = st.sampled_from([0, 1, 2, 3, 4, 5, 5, 5])
"""Of `frames_of`; facts of the deepest one alone, with none above them, are what is easily lost sight of."""


def frames_of(number: int) -> list[FrameKey]:
    """Return frames of a round that lie in and beside each other."""
    run = round_of_run(number)
    loop = round_at(NodeKey(run, path_of(0)))
    item = item_of(loop)
    return [
        run,
        loop,
        round_at(NodeKey(run, path_of(1))),
        item,
        item_of(loop, 1),
        round_at(NodeKey(item, path_of(0)), 1),
    ]


def lies_in(frame: FrameKey | None, other: FrameKey) -> bool:
    while frame is not None and frame != other:
        frame = frame.parent
    return frame is not None


def stands_for(frame: FrameKey | None, node: NodeKey) -> bool:
    """Tell whether a frame lies in the place of a node."""
    while frame is not None and (frame.parent, frame.path) != node:
        frame = frame.parent
    return frame is not None


class PlainMachine(RuleBasedStateMachine):
    """What any state backend can do."""

    def __init__(self, make: Callable[[], StateBackend]) -> None:
        super().__init__()
        self.make = make
        self.backend: Any = make()
        self.round = 0
        self.facts: Facts = {}

    def node(self, frame: int, place: int) -> NodeKey:
        return NodeKey(frames_of(self.round)[frame], path_of(place))

    @rule(frame=frames, place=places, value=numbers)
    def put_result(self, frame: int, place: int, value: int) -> None:
        self.backend.put_result(self.node(frame, place), value)
        self.facts[self.node(frame, place), "result"] = value

    @rule(frame=frames, place=places, reason=st.sampled_from(["ConditionFalse", "NotNeeded"]))
    def mark_skipped(self, frame: int, place: int, reason: str) -> None:
        self.backend.mark_skipped(self.node(frame, place), reason)
        self.facts[self.node(frame, place), "skip"] = reason

    @rule(frame=st.sampled_from([1, 1, 1, 2, 3, 4, 5]))
    def clear_frame(self, frame: int) -> None:
        gone = frames_of(self.round)[frame]
        self.backend.clear(frames_of(self.round)[frame])
        self.forget(lambda key: lies_in(key.frame, gone))

    def forget(self, gone: Callable[[NodeKey], bool]) -> None:
        for each in [each for each in self.facts if gone(each[0])]:
            del self.facts[each]

    @invariant()
    def agrees(self) -> None:
        for frame in range(6):
            for place in range(2):
                key = self.node(frame, place)
                assert self.backend.has_result(key) == ((key, "result") in self.facts)
                if (key, "result") in self.facts:
                    assert self.backend.get_result(key) == self.facts[key, "result"]
                assert self.backend.get_skip_reason(key) == self.facts.get((key, "skip"))


class InMemoryMachine(PlainMachine):
    """A backend without a store."""

    @rule()
    def clear_all(self) -> None:
        self.backend.clear()
        self.facts.clear()


class DurableMachine(PlainMachine):
    """What a durable one can do besides: `next` is what a commit stores, `stored` what the last one stored.

    `later` is what is provisional, `apart` the frames that are to be forgotten when that is made final.
    """

    def __init__(self, make: Callable[[], DurableStateBackend]) -> None:
        super().__init__(make)
        self.runner = asyncio.Runner()
        self.next: Facts = {}
        self.stored: Facts = {}
        self.stored_round = 0
        self.later: Facts = {}
        self.apart: list[FrameKey] = []
        assert self.runner.run(self.backend.open()) is None
        self.backend.begin(RECORD)
        self.commit()

    def teardown(self) -> None:
        self.runner.run(self.backend.close())
        self.runner.close()

    def forget(self, gone: Callable[[NodeKey], bool]) -> None:
        super().forget(gone)
        for facts in (self.next, self.later):
            for each in [each for each in facts if gone(each[0])]:
                del facts[each]

    def put(self, key: NodeKey, what: str, value: object, provisional: bool) -> None:
        self.facts[key, what] = value
        if provisional:
            self.later[key, what] = value
        else:
            self.next[key, what] = value
            self.later.pop((key, what), None)

    def is_apart(self, frame: FrameKey) -> bool:
        """Tell whether a frame lies in or above one that is forgotten provisionally: nothing is put there then."""
        return any(lies_in(frame, each) or lies_in(each, frame) for each in self.apart)

    @rule(frame=frames, place=places, value=numbers, provisional=st.booleans())
    def keep_result(self, frame: int, place: int, value: int, provisional: bool) -> None:
        key = self.node(frame, place)
        if not self.is_apart(key.frame):
            self.backend.keep_result(key, value, LABEL, provisional=provisional)
            self.put(key, "result", value, provisional)

    @rule(frame=frames, place=places, provisional=st.booleans())
    def keep_skip(self, frame: int, place: int, provisional: bool) -> None:
        key = self.node(frame, place)
        if not self.is_apart(key.frame):
            self.backend.keep_skip(key, "kept", LABEL, provisional=provisional)
            self.put(key, "skip", "kept", provisional)

    @rule(frame=frames, place=places, note=st.sampled_from(Note), value=numbers, provisional=st.booleans())
    def put_note(self, frame: int, place: int, note: Note, value: int, provisional: bool) -> None:
        key = self.node(frame, place)
        if not self.is_apart(key.frame):
            numbers = (value, -1) if note is Note.ROUTES else (value,)
            self.backend.put_note(key, note, numbers, LABEL, provisional=provisional)
            self.put(key, note, numbers, provisional)

    @rule(frame=st.sampled_from([1, 1, 2, 3, 4, 5]))
    def clear_provisionally(self, frame: int) -> None:
        gone = frames_of(self.round)[frame]
        self.backend.clear(gone, provisional=True)
        for facts in (self.facts, self.later):
            for each in [each for each in facts if lies_in(each[0].frame, gone)]:
                del facts[each]
        self.apart.append(gone)

    @rule()
    def keep_provisional(self) -> None:
        self.backend.keep_provisional()
        for each in [each for each in self.next if any(lies_in(each[0].frame, gone) for gone in self.apart)]:
            del self.next[each]
        self.next.update(self.later)
        self.later.clear()
        self.apart.clear()

    @rule(frame=st.sampled_from([1, 1, 1, 2, 3, 4, 5]))
    def clear_frame(self, frame: int) -> None:
        if not self.is_apart(frames_of(self.round)[frame]):
            gone = frames_of(self.round)[frame]
            self.backend.clear(gone)
            self.forget(lambda key: lies_in(key.frame, gone))

    @rule(frame=frames, place=places)
    def discard(self, frame: int, place: int) -> None:
        node = self.node(frame, place)
        if self.is_apart(node.frame):
            return
        self.backend.discard(node)
        self.forget(lambda key: key == node or stands_for(key.frame, node))

    @precondition(lambda self: self.round < 3)
    @rule()
    def go_on(self) -> None:
        """Go on with the next round of the run's own loop."""
        self.backend.put_target(None, NextRound(self.round + 1, give(self.round)), LABEL)
        self.backend.clear(round_of_run(self.round))
        self.forget(lambda key: True)
        self.apart.clear()
        self.round += 1

    @rule()
    def begin(self) -> None:
        self.backend.begin(RECORD)
        self.forget(lambda key: True)
        self.apart.clear()
        self.round = 0

    @rule()
    def commit(self) -> None:
        self.runner.run(self.backend.commit())
        self.stored, self.stored_round = dict(self.next), self.round

    @rule()
    def open_again(self) -> None:
        self.runner.run(self.backend.close())
        self.backend = self.make()
        assert self.runner.run(self.backend.open()) == RECORD
        self.later.clear()
        self.apart.clear()
        self.facts, self.next, self.round = dict(self.stored), dict(self.stored), self.stored_round
        pending = self.backend.get_target(None)
        assert (None if pending is None else pending.round) == (self.round or None)

    @rule()
    def commit_and_open_again(self) -> None:
        self.commit()
        self.open_again()

    @invariant()
    def notes_agree(self) -> None:
        for frame in range(6):
            for place in range(2):
                key = self.node(frame, place)
                for note in Note:
                    assert self.backend.get_note(key, note) == self.facts.get((key, note))


def check(make: Callable[[], PlainMachine]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call, unused-ignore]
        make,  # type: ignore[arg-type]  # whatever makes a machine will do
        settings=settings(
            max_examples=examples(150),
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_state_in_memory_is_a_dict() -> None:
    """The backend in memory holds what a dict would."""
    check(lambda: InMemoryMachine(InMemoryStateBackend))


@pytest.fixture(params=["sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., DurableStateBackend]]:
    if request.param == "redis":
        server: RedisProcess = request.getfixturevalue("redis_server")
        yield partial(RedisStateBackend, server.url)
    else:
        yield partial(SqliteStateBackend, tmp_path / "runs.db", durability="async")


def test_durable_state_is_a_dict(make: Callable[..., DurableStateBackend]) -> None:
    """A durable backend holds what a dict would, and what was committed when it is opened again."""
    check(lambda: DurableMachine(partial(make, run_id=uuid.uuid4().hex)))
