"""Claims about settings: one table serves every way to run something, and what it does not know is refused."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.adapters.codec import DataCodec
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.state import InMemoryStateBackend, SqliteCatalog
from cascade.runtime import Engine, Event, MessageBus, TaskExecutionFinished
from cascade.runtime.settings import ENGINE_RUN_SETTINGS, ENGINE_SETTINGS, RUN_SETTINGS, row_of
from cascade.spec import PolicyError, SpecError, UnknownSettingError

made: list[object] = []


@cs.task
def note(value: object = None) -> object:
    made.append(value)
    return value


@cs.task(cache=cs.ByInputs())
def kept(value: int) -> int:
    made.append(value)
    return value + 1


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    made.clear()


# The four are called alike, from outside of any event loop.
def _arun(target: object, **settings: Any) -> Any:
    return asyncio.run(cs.arun(target, **settings))


def _engine_run(target: object, **settings: Any) -> Any:
    async def run() -> Any:
        async with Engine() as engine:
            return await engine.run(target, **settings)

    return asyncio.run(run())


def _engine(target: object, **settings: Any) -> Any:
    return Engine(**settings)


CALLS: dict[str, Callable[..., Any]] = {
    "cs.run": cs.run,
    "cs.arun": _arun,
    "Engine(...)": _engine,
    "engine.run(...)": _engine_run,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", ["n", "", "sate", "Params", "max_concurency", "no such"])
def test_an_unknown_setting_is_refused_everywhere(call: str, name: str) -> None:
    """A keyword that is no setting is an error that names the call and the keyword, before anything runs."""
    with pytest.raises(UnknownSettingError) as caught:
        CALLS[call](note(), **{name: 5})
    error = caught.value
    assert (error.call, error.name) == (call, name)
    assert str(error).startswith(f"{call} has no setting {name!r}; ")
    assert isinstance(error, TypeError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert not made


@pytest.mark.parametrize(
    ("call", "given", "told"),
    [
        ("cs.run", "parms", "did you mean 'params'?"),
        ("cs.run", "sate", "did you mean 'state'?"),
        ("cs.run", "max_concurency", "did you mean 'max_concurrency'?"),
        ("cs.arun", "buss", "did you mean 'bus'?"),
        ("cs.run", "n", "the value of a cs.Param goes into params={'n': ...}"),
        ("Engine(...)", "executer", "did you mean 'executor'?"),
        ("Engine(...)", "params", "it belongs to engine.run(...)"),
        ("engine.run(...)", "state", "it belongs to Engine(...)"),
        ("engine.run(...)", "resum", "did you mean 'resume'?"),
    ],
)
def test_an_unknown_setting_has_a_remedy(call: str, given: str, told: str) -> None:
    """The error names the nearest setting, or the call that takes this one, or where values of parameters go."""
    with pytest.raises(UnknownSettingError) as caught:
        CALLS[call](note(), **{given: "5"})
    assert str(caught.value).endswith(told)


def test_help_shows_every_setting_with_its_meaning() -> None:
    """`help(cs.run)` has a line for each setting, and the signatures name them all."""
    for function, names in (
        (cs.run, RUN_SETTINGS),
        (cs.arun, RUN_SETTINGS),
        (Engine.__init__, ENGINE_SETTINGS),
        (Engine.run, ENGINE_RUN_SETTINGS),
    ):
        told = inspect.getdoc(function) or ""
        for name in names:
            assert f"{name}: {row_of(name).meaning}" in told
        assert set(names) <= set(inspect.signature(function).parameters)


def test_all_that_an_engine_takes_is_a_setting_of_a_run() -> None:
    """`cs.run` takes everything that `Engine` and `Engine.run` take, under the same names."""
    own = set(inspect.signature(Engine.run).parameters) - {"self", "target", "spec"}
    assert set(RUN_SETTINGS) == {*ENGINE_SETTINGS, *own, "resources"}


def test_a_run_takes_what_an_engine_takes() -> None:
    """Bus, preview, limits, solver and backends may be handed to `cs.run`."""
    bus, told = MessageBus(), []
    bus.subscribe(TaskExecutionFinished, lambda event: told.append(event.result_preview))
    states: list[str] = []

    def state(run_id: str) -> InMemoryStateBackend:
        states.append(run_id)
        return InMemoryStateBackend(run_id)

    value = cs.run(
        note(3).with_constraints(gpu=1),
        bus=bus,
        preview=repr,
        max_concurrency=1,
        system_resources={"gpu": 1},
        state=state,
        cache=InMemoryCacheBackend(),
        executor=LocalExecutor(),
        run_id="mine",
    )
    assert (value, told, states) == (3, ["3"], ["mine"])


def test_none_is_as_if_not_given() -> None:
    """`None` for a setting leaves it as it is, but for `on_failure`, which has no such word."""
    settings: Any = dict.fromkeys(name for name in RUN_SETTINGS if name != "on_failure")
    assert cs.run(note(3), **settings) == 3
    with pytest.raises(PolicyError, match="use one of 'stop', 'finish'"):
        cs.run(note(3), on_failure=None)  # type: ignore[call-overload]


async def _two_runs(**settings: Any) -> None:
    for _ in range(2):
        async with Engine(**settings) as engine:
            await engine.run(kept(1), run_id="one")


@pytest.mark.parametrize("names", [("state", "cache"), ("state_backend_cls", "cache_backend")])
async def test_an_engine_takes_stores_under_both_spellings(tmp_path: Path, names: tuple[str, str]) -> None:
    """`Engine(state=, cache=)` takes backends, as `state_backend_cls` and `cache_backend` still do."""
    states: list[str] = []

    def state(run_id: str) -> InMemoryStateBackend:
        states.append(run_id)
        return InMemoryStateBackend(run_id)

    await _two_runs(**dict(zip(names, (state, InMemoryCacheBackend()), strict=True)))
    assert (states, made) == (["one", "one"], [1])


async def test_an_engine_opens_what_it_is_given_by_url(tmp_path: Path) -> None:
    """`Engine(state=URL, cache=URL)` records and caches there, and closes both."""
    cache, state = f"sqlite:///{tmp_path}/c.db", f"sqlite:///{tmp_path}/s.db"
    await _two_runs(cache=cache)
    assert made == [1]
    await _two_runs(state=state, durability="async", keep_rounds=2)
    assert made == [1, 1]
    assert [run.run_id for run in SqliteCatalog(tmp_path / "s.db").runs()] == ["one"]


def test_a_codec_serves_the_stores_of_urls(tmp_path: Path) -> None:
    """`codec=` turns values into bytes for state and cache alike."""

    class Counting(DataCodec):
        def encode(self, value: object, *, key: bytes) -> bytes:
            seen.append(value)
            return super().encode(value, key=key)

    seen: list[object] = []
    for setting in ("state", "cache"):
        seen.clear()
        settings: Any = {setting: f"sqlite:///{tmp_path}/{setting}.db"}
        assert cs.run(kept(1), codec=Counting(), run_id="one", **settings) == 2
        assert 2 in seen


@pytest.mark.parametrize("word", ["inline", "threads", "threads:2", "processes", "processes:1"])
async def test_executors_have_words(word: str) -> None:
    """An executor is named by a word; a number after a colon is how many workers it has."""
    async with Engine(executor=word) as engine:
        assert isinstance(engine.executor, LocalExecutor)
        value = str(engine.executor.default_mode)
    assert value == {"i": "inline", "t": "thread", "p": "process"}[word[0]]


@pytest.mark.parametrize(
    "word",
    ["", "thread", "threads:", "threads:0", "threads:-1", "threads:x", "inline:2", "dask", "threads:²"],
)
def test_an_unknown_word_for_an_executor_is_refused(word: str) -> None:
    """A word that names no executor is an error that lists those that do, before anything runs."""
    for settings in ({"executor": word}, {"executors": {"there": word}}):
        with pytest.raises(
            SpecError, match="'inline', 'ray', 'threads', 'threads:8', 'processes', 'processes:8'"
        ):
            cs.run(note(), **settings)
    assert not made


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"executor": LocalExecutor}, "executor= got LocalExecutor, which is not an executor"),
        ({"executor": 3}, "executor= got int, which is not an executor"),
        ({"executors": ["threads"]}, 'give a dict of names and executors: {"pool": "threads:8"}'),
        ({"executors": {1: "threads"}}, "give a dict of names and executors"),
        ({"bus": MessageBus}, "bus= got the class MessageBus"),
        ({"bus": "events"}, "bus= got str; give an object with `publish` and `hears`"),
        ({"solver": 3}, "solver= got int; give an object with `resolve`"),
        ({"codec": DataCodec}, "codec= got the class DataCodec"),
        ({"codec": DataCodec()}, "codec without the URL of a store"),
        ({"durability": "sync"}, "durability without the URL of a store"),
        ({"keep_rounds": 2, "state": InMemoryStateBackend}, "keep_rounds without the URL of a store"),
        ({"durability": "sync", "cache": "sqlite:///c.db"}, "durability without the URL of a store"),
        ({"state": 3}, "a state of type int"),
        ({"cache": 3}, "a cache of type int"),
        ({"cache": "c.db"}, "cache='c.db' is not the URL of a known cache"),
        ({"state": "s.db"}, "state='s.db' is not the URL of a known store"),
        (
            {"state": InMemoryStateBackend, "state_backend_cls": InMemoryStateBackend},
            "both state= and state_backend_cls=",
        ),
        ({"max_concurrency": 0}, "max_concurrency=0"),
        ({"preview": "repr"}, "preview= got str"),
        ({"system_resources": ["gpu"]}, 'give amounts by name: {"gpu": 2}'),
    ],
)
def test_a_setting_that_can_not_be_meant_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], told: str
) -> None:
    """What a setting can't be is told by its name where the engine is made; nothing runs and no file is made."""
    monkeypatch.chdir(tmp_path)
    for call in (cs.run, _engine):
        with pytest.raises(SpecError) as caught:
            call(note(), **settings)
        assert told in str(caught.value)
    assert (made, list(tmp_path.iterdir())) == ([], [])


@cs.resource
def db() -> Any:
    yield "the database"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (db, "resources= got the resource 'db' itself; give a list: resources=[db]"),
        ("db", "resources= got str; give a list of resources: resources=[db]"),
        ({"db": db}, "resources= got dict; give a list of resources"),
        (3, "resources= got int; give a list of resources"),
        ([lambda: 3], "is registered as a resource; put @cs.resource on a generator function"),
    ],
)
def test_resources_that_are_no_list_of_resources(given: Any, told: str) -> None:
    """`resources=` that is no list of resources is one error that says what to write."""
    with pytest.raises(SpecError) as caught:
        cs.run(note(), resources=given)
    assert told in str(caught.value)
    assert not made


def test_two_resources_of_one_name_are_refused() -> None:
    """Two resources with one name are an error that says how to let one stand in for the other."""

    @cs.resource(name="db")
    def other() -> Any:
        yield "another one"

    with pytest.raises(SpecError, match="two resources are named 'db'"):
        cs.run(note(cs.inject("db")), resources=[db, other])
    assert not made
    assert cs.run(note(cs.inject("db")), resources=[db, db]) == "the database"
    engine = Engine()
    engine.register(db)
    engine.override_resource_provider("db", other)
    assert engine.get_resource_provider("db") is other


def test_an_engine_hears_on_the_bus_that_it_is_given() -> None:
    """A bus handed to `cs.run` tells of that run."""
    bus = MessageBus()
    told: list[Event] = []
    bus.subscribe(Event, told.append)
    cs.run(note(1), bus=bus, run_id="heard")
    assert {event.run_id for event in told} == {"heard"}
