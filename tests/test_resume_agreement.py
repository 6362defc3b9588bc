"""Random workflows that are recorded, stopped somewhere and resumed: they end as if nobody had stopped them."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from descriptions import CAPACITY, CODEC, TRAVELLING, StoppedError, Workflow, World
from hypothesis import HealthCheck, Phase, assume, event, given, seed, settings
from hypothesis import strategies as st
from observation import Observed, params_for, run_in_time
from support.examples import examples
from support.journals import FailingJournal, WatchedJournal
from support.putting_executor import PuttingExecutor
from support.stores import SHARED, recorded, url_in
from support.value_stores import MemoryValues
from workflows import workflows

from cascade.adapters.state.journal import Changes, Journal
from cascade.adapters.state.recorded.durable_state import RecordedState
from cascade.adapters.values import KeptValues
from cascade.graph import CycleError, build_graph
from cascade.runtime import Engine, MessageBus, SkipReason
from cascade.runtime.events import Event, RunFinished, Status, TaskExecutionFinished
from cascade.spec import StoreError
from cascade.spec.internal_tasks import INTERNAL

QUICK = settings(
    max_examples=examples(500),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
SOAK = settings(QUICK, max_examples=5_000, derandomize=False, phases=[Phase.generate, Phase.shrink])
NUMBERS = count()
OWN = {*INTERNAL, "p", "q"} - {"map"}
"""Calls whose values are never stored: they gather values, or read inputs."""


class How(Enum):
    """In which way a run is stopped."""

    CALL = "a call raises"
    EVENT = "it is cancelled at an event"
    LOST = "a batch is not written, nor any later one"
    UNTOLD = "a batch is written, and the store tells of an error"
    NO_VALUES = "the value store fails, and stays so"
    UNTOLD_VALUE = "a value is written, and the value store tells of an error"


@dataclass(frozen=True)
class Stop:
    """How a run is stopped, and at the how manieth call, event or batch."""

    how: How
    at: int


def stops(*ways: How) -> st.SearchStrategy[list[Stop]]:
    """Give lists of up to three stops, in these ways."""
    return st.lists(st.builds(Stop, st.sampled_from(ways), st.integers(1, 30)), min_size=1, max_size=3)


STOPS = stops(How.CALL, How.EVENT, How.LOST, How.UNTOLD)


class Home(NamedTuple):
    """Where a run is recorded: the URL of a store, and the id of the run."""

    url: str
    run_id: str = "r"


@dataclass
class Attempt(Observed):
    """One run of a recorded workflow. `kept` has the names of the calls that the store knows to be made."""

    kept: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] | None = None
    written: Counter[str] | None = None

    @property
    def made(self) -> Counter[str]:
        """The names of the calls that were made and gave something."""
        return Counter(
            each.task_name
            for each in self.events
            if isinstance(each, TaskExecutionFinished)
            and each.status is Status.SUCCEEDED
            and each.task_name not in OWN
        )

    def note_commits(self, state: RecordedState) -> RecordedState:
        """Note what was made when a commit begins: what comes while values are put is in the next one."""
        commit = state.commit

        async def noted() -> None:
            self.taken = self.made
            await commit()

        vars(state)["commit"] = noted
        return state

    def write(self, changes: Changes) -> None:
        self.written = self.taken

    def keep(self, changes: Changes) -> None:
        assert self.written is not None
        self.kept = self.written


def attempt(
    home: Home, target: Any, on_failure: Any, stop: Stop | None = None, values: MemoryValues | None = None
) -> Attempt:
    """Run a target that is recorded in a store, up to a stop; with `values` each value is in that value store."""
    at = {} if stop is None else {stop.how: stop.at}
    if values is not None:
        values.calls.clear()
        values.fails_at = at.get(How.NO_VALUES, at.get(How.UNTOLD_VALUE, 0))
        values.after = How.UNTOLD_VALUE in at
    kept = None if values is None else KeptValues(values, 0)
    by_workers = values is not None and values.by_workers
    seen = Attempt(world=World(stop_at=at.get(How.CALL, 0)))

    def wrap(journal: Journal) -> Journal:
        watched: Journal = WatchedJournal(journal, seen.write, seen.keep)
        for how in {How.LOST, How.UNTOLD} & at.keys():  # opening is a call, too
            watched = FailingJournal(watched, at[how] + 1, after=how is How.UNTOLD, stays=True)
        return watched

    async def run() -> None:
        bus = MessageBus()
        running = asyncio.current_task()
        assert running is not None

        def note(each: Event) -> None:
            seen.events.append(each)
            if len(seen.events) == at.get(How.EVENT) and not isinstance(each, RunFinished):
                running.cancel()

        bus.subscribe(Event, note)
        codec = TRAVELLING if by_workers else CODEC
        make = recorded(home.url, wrap, codec=codec, values=kept)
        engine = Engine(
            bus=bus,
            executor=PuttingExecutor() if by_workers else None,
            system_resources={"gpu": CAPACITY},
            state_backend_cls=lambda run_id: seen.note_commits(make(run_id=run_id)),
        )
        before = asyncio.all_tasks()
        with seen.world.at_hand():
            try:
                params = params_for(target)
                seen.value = await engine.run(
                    target, params=params, run_id=home.run_id, on_failure=on_failure
                )
            except (Exception, StoppedError, asyncio.CancelledError) as error:  # noqa: BLE001 - is looked at
                seen.error = error
        assert asyncio.all_tasks() == before

    run_in_time(run())
    return seen


def was_stopped(seen: Attempt) -> bool:
    return isinstance(seen.error, (StoppedError, asyncio.CancelledError, StoreError))


@contextmanager
def two_homes(server: str | None) -> Iterator[tuple[Home, Home]]:
    """Give homes of two runs of which nothing is recorded, in files or in a server."""
    if server is not None:
        number = next(NUMBERS)
        yield Home(server, f"alone {number}"), Home(server, f"stopped {number}")
        return
    with tempfile.TemporaryDirectory(dir=SHARED if SHARED.is_dir() else None) as folder:
        yield Home(url_in(Path(folder, "alone"))), Home(url_in(Path(folder, "stopped")))


def resumes(
    workflow: Workflow,
    given_stops: list[Stop],
    on_failure: str,
    server: str | None = None,
    values: MemoryValues | None = None,
) -> None:
    """Check one workflow: stopped and resumed, it gives what it gives alone, and makes no recorded call again."""
    target = workflow.build()
    with two_homes(server) as (first_home, home):
        alone = attempt(first_home, target, on_failure)
        assume(not isinstance(alone.error, CycleError))
        recorded_calls: Counter[str] = Counter()
        for stop in given_stops:
            seen = attempt(home, target, on_failure, stop, values)
            seen.check_order()
            recorded_calls += seen.kept
            if not was_stopped(seen):
                break
            event(stop.how.name)
        last = attempt(home, target, on_failure, values=values)
        last.check_order()
        assert (type(last.value), last.value) == (type(alone.value), alone.value)
        if on_failure == "finish":
            assert last.problems == alone.problems
        else:  # which of several failures comes first is a matter of time
            assert last.problems.total() == alone.problems.total()
        if on_failure == "finish" or not alone.problems:
            assert last.made + recorded_calls == alone.made
            check_first(target, alone, last)
        if alone.error is None:
            again = attempt(home, target, on_failure, values=values)
            assert again.value == alone.value
            assert not again.made
            assert not again.world.calls


def check_first(target: Any, alone: Attempt, resumed: Attempt) -> None:
    """What is told of the first structure is what was told without the stop, or that it was recovered.

    A run that goes on in a later structure counts the nodes of that one anew: these have other names.
    """
    told, expected = resumed.told, alone.told
    for node in build_graph(target).nodes:
        if node.name in OWN or (seen := told.get(node.id)) is None or seen.name != node.name:
            continue
        assert seen.verdict in (expected[node.id].verdict, SkipReason.RECOVERED), node


@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped(on_failure: str) -> None:
    """On any workflow, stopped anywhere, up to three times: values, errors, skips and calls are those of one run."""

    @settings(QUICK, max_examples=examples(120))
    @given(workflows(), STOPS)
    def check(workflow: Workflow, given_stops: list[Stop]) -> None:
        resumes(workflow, given_stops, on_failure)

    check()


@pytest.mark.parametrize("by_workers", [False, True])
@pytest.mark.parametrize("number", [20, pytest.param(1_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_a_run_with_all_values_in_a_value_store_ends_as_if_it_had_not_been_stopped(
    on_failure: str, number: int, by_workers: bool
) -> None:
    """With every value in a value store, which may fail at any call: values, skips and calls are those of one run.

    So they are if workers put the results there.
    """

    @settings(QUICK, max_examples=number, phases=[Phase.generate])
    @given(workflows(), stops(*How))
    def check(workflow: Workflow, given_stops: list[Stop]) -> None:
        resumes(workflow, given_stops, on_failure, values=MemoryValues(by_workers=by_workers))

    check()


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("redis", 40),
        ("postgres", 8),
        pytest.param("redis", 1_000, marks=pytest.mark.soak),
        pytest.param("postgres", 1_000, marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_a_run_in_a_server_ends_as_if_it_had_not_been_stopped(
    on_failure: str, kind: str, number: int, request: pytest.FixtureRequest
) -> None:
    """In a server as in files: on any workflow, stopped anywhere, all is as in one run."""
    url = request.getfixturevalue(f"{kind}_url")

    @seed(2027)
    @settings(SOAK, max_examples=number)
    @given(workflows(), STOPS)
    def check(workflow: Workflow, given_stops: list[Stop]) -> None:
        resumes(workflow, given_stops, on_failure, url)

    check()


@pytest.mark.soak
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped_for_long(on_failure: str) -> None:
    """On any workflow, stopped anywhere, values, errors, skips and calls are those of one run: on very many."""

    @seed(2026)
    @settings(SOAK, max_examples=2_500)
    @given(workflows(size=16), STOPS)
    def check(workflow: Workflow, given_stops: list[Stop]) -> None:
        resumes(workflow, given_stops, on_failure)

    check()
