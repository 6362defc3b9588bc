"""Claims about atomic resources: what is called done can't be undone any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.stores import recorded, values_of

import cascade as cs
from cascade.runtime import AtomicLoopError, CacheBypassed, Engine, MessageBus
from cascade.spec import CodecError, SpecError

Rows = list[str]

ROWS: Rows = []
"""What is in the database."""
CALLS: list[str] = []
SAVED: list[str] = []
"""Who has saved in the last run."""
TROUBLE: dict[str, BaseException] = {}
"""What is raised, once, by whom."""


@pytest.fixture(autouse=True)
def afresh() -> None:
    ROWS.clear()
    CALLS.clear()
    TROUBLE.clear()


@cs.resource(atomic=True)
def database() -> Iterator[Rows]:
    """A database whose transaction lasts as long as the run."""
    transaction: Rows = []
    CALLS.append("open")
    yield transaction  # a failure does not come back: it rolls back
    trouble("commit")
    ROWS.extend(transaction)
    trouble("committed")


@cs.resource
def session(database: Rows = cs.inject("database")) -> Iterator[Rows]:
    yield database
    trouble("session")


@cs.resource(name="database", scope="task", atomic=True)
def database_per_call() -> Iterator[Rows]:
    transaction: Rows = []
    yield transaction
    trouble("commit")
    ROWS.extend(transaction)


def trouble(name: str) -> None:
    error = TROUBLE.pop(name, None)
    if error is not None:
        raise error


def noted(name: str) -> None:
    CALLS.append(name)
    trouble(name)


@cs.task
def save(name: str, *deps: Any, db: Rows = cs.inject("database")) -> str:
    noted(name)
    db.append(name)
    SAVED.append(name)
    return name


@cs.task
def put(name: str, places: Any) -> str:
    noted(name)
    places["where"][0].append(name)
    SAVED.append(name)
    return name


@cs.task
def work(name: str, *deps: Any) -> str:
    noted(name)
    return name


@cs.task
async def later(name: str, *deps: Any) -> str:
    await asyncio.sleep(0)
    noted(name)
    return name


@cs.task
def say(name: str, value: Any, *deps: Any) -> Any:
    noted(name)
    return value


@cs.task
def expand(name: str, how: str, *deps: Any) -> Any:
    noted(name)
    return {
        "save": lambda: work(f"{name} after", save(f"{name} saved"), work(f"{name} free")),
        "work": lambda: work(f"{name} inner"),
        "skip": lambda: work(f"{name} skipped").run_if(say(f"{name} no", False, save(f"{name} saved"))),
    }[how]()


@cs.task
def saved_expand(name: str, how: str, db: Rows = cs.inject("database")) -> Any:
    noted(name)
    db.append(name)
    SAVED.append(name)
    return expand(f"{name} expanded", how)


RESOURCES = [database, session]

SHAPES: dict[str, tuple[Callable[[], Any], set[str], set[str]]] = {
    "a call": (lambda: save("a"), {"a"}, set()),
    "through another resource": (
        lambda: put("a", {"where": [cs.inject("session")]}),
        {"a"},
        set(),
    ),
    "what takes its value": (lambda: work("b", save("a"), work("c")), {"a", "b"}, {"c"}),
    "what takes it from a coroutine": (lambda: work("c", later("b", save("a"))), {"a", "b", "c"}, set()),
    "what is gathered": (lambda: work("b", [save("a"), {"k": work("c")}]), {"a", "b"}, {"c"}),
    "what comes after": (lambda: work("b").after(save("a")), {"a", "b"}, set()),
    "a sequence": (lambda: cs.sequence([work("c"), save("a"), work("b")]), {"a", "b"}, {"c"}),
    "a condition": (lambda: work("b", work("c")).run_if(say("d", True, save("a"))), {"a", "b", "d"}, {"c"}),
    "a condition that is false": (
        lambda: work("e", work("b").run_if(say("d", False, save("a")), otherwise=1)),
        {"a", "d", "e"},
        set(),
    ),
    "a condition of its own that is final": (
        lambda: work("e", save("a").run_if(say("d", False), otherwise=1)),
        set(),
        {"d", "e"},
    ),
    "a route": (
        lambda: work(
            "e", cs.Router(selector=say("d", "x", save("a")), routes={"x": work("b"), "y": work("c")})
        ),
        {"a", "d", "e"},
        {"b"},
    ),
    "a route that is not taken": (
        lambda: work("e", cs.Router(selector=say("d", "y"), routes={"x": save("a"), "y": work("c")})),
        set(),
        {"c", "d", "e"},
    ),
    "an amount": (lambda: work("b").with_constraints(gpu=say("d", 1, save("a"))), {"a", "b", "d"}, set()),
    "items": (lambda: work("e", save.map(name=["a", "b"])), {"a", "b", "e"}, set()),
    "items by what was saved": (
        lambda: work("e", work.map(name=say("d", ["b", "c"], save("a")))),
        {"a", "b", "c", "d", "e"},
        set(),
    ),
    "one item's tree": (
        lambda: work("e", expand.map(name=["a", "b"], how=["work", "save"])),
        {"e", "b after", "b saved"},
        {"a", "a inner", "b", "b free"},
    ),
    "a tree in a call's place": (
        lambda: work("e", expand("a", "save")),
        {"a after", "a saved", "e"},
        {"a", "a free"},
    ),
    "a tree whose target is skipped": (
        lambda: work("e").after(work("f", expand("a", "skip")).run_if(say("g", True), otherwise=1)),
        {"a no", "a saved"},
        {"a", "g"},
    ),
    "what a saved call hands over": (
        lambda: work("e", saved_expand("a", "work")),
        {"a", "a expanded", "a expanded inner", "e"},
        set(),
    ),
    "the run's own next target": (lambda: expand("a", "save"), {"a after", "a saved"}, {"a", "a free"}),
    "what the run's own saved target hands over": (
        lambda: saved_expand("a", "save"),
        {"a", "a expanded", "a expanded after", "a expanded saved", "a expanded free"},
        set(),
    ),
}


DISK = "the disk is full"


async def driven(url: str | None, target: Any, resources: Any, **settings: Any) -> Any:
    state = None if url is None else recorded(url)
    async with Engine(state=state, system_resources={"gpu": 2}) as engine:
        for each in RESOURCES if resources is None else resources:
            engine.register(each)
        return await engine.run(target, run_id="r", **settings)


async def run(url: str | None, target: Any, resources: Any = None, **settings: Any) -> list[str]:
    """Run a target; return what was called."""
    CALLS.clear()
    SAVED.clear()
    await driven(url, target, resources, **settings)
    return [each for each in CALLS if each != "open"]


async def fail(url: str, target: Any, resources: Any = None, **settings: Any) -> list[str]:
    """Run a target that fails; return what was called."""
    with pytest.raises((OSError, ExceptionGroup)) as caught:
        await run(url, target, resources, **settings)
    error = caught.value
    assert DISK in str(error.exceptions[0] if isinstance(error, ExceptionGroup) else error)
    return [each for each in CALLS if each != "open"]


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_rests_on_a_database_that_rolled_back_is_done_again(url: str, shape: str) -> None:
    """After a failed commit exactly what rests on the database is called again, and all of it is there in the end."""
    make, rests, free = SHAPES[shape]
    TROUBLE["commit"] = OSError(DISK)
    first = await fail(url, make()) if rests else await run(url, make())
    assert not ROWS
    assert set(first) == rests | free
    again = await run(url, make())
    assert sorted(again) == sorted(each for each in first if each in rests)
    assert sorted(ROWS) == sorted(SAVED)
    assert await run(url, make()) == []


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_run_that_ended_well_is_done(url: str, shape: str) -> None:
    """After a release without an error all counts as done: nothing is called again."""
    make, rests, free = SHAPES[shape]
    assert set(await run(url, make())) == rests | free
    assert sorted(ROWS) == sorted(SAVED)
    assert await run(url, make()) == []


async def test_a_route_that_rests_on_a_database_that_rolled_back_may_be_another_one(url: str) -> None:
    """A router that chose by the database may choose anew, also if another one of the same call chose after it."""
    chosen = ["x"]

    @cs.task
    def choose(*deps: Any) -> str:
        noted("choose")
        return chosen[0]

    def make() -> cs.LazyResult[str]:
        first = cs.Router(selector=choose(save("a")), routes={"x": work("b"), "y": work("c")})
        return work("end", first, cs.Router(selector=later("z"), routes={"z": work("d")}))

    TROUBLE["commit"] = OSError(DISK)
    assert sorted(await fail(url, make())) == ["a", "b", "choose", "d", "end", "z"]
    chosen[0] = "y"
    assert sorted(await run(url, make())) == ["a", "c", "choose", "end"]
    assert ROWS == ["a"]


async def test_nothing_provisional_is_in_the_store(url: str) -> None:
    """While the database is open, what rests on it can be used and is not in the store; what is final is."""

    @cs.task
    def look(*deps: Any) -> str:
        assert deps == ("a", "b", "c")
        stored = b"".join(values_of(url))
        seen.append((b"aaaa" in stored, b"cccc" in stored))
        return "looked"

    seen: list[tuple[bool, bool]] = []
    target = look(say("one", "a", save("aaaa")), later("b"), say("two", "c", later("cccc")))
    await run(url, target)
    assert seen == [(False, True)]
    stored = b"".join(values_of(url))
    assert b"aaaa" in stored
    assert b"looked" in stored


@pytest.mark.parametrize("on_failure", ["stop", "finish"])
async def test_a_failure_elsewhere_undoes_what_was_done(url: str, on_failure: str) -> None:
    """Whatever fails in the run, and however the run goes on after it, what was rolled back is done again."""
    target = [work("end", save("a")), work("z", work("y", work("x")))]
    TROUBLE["z"] = OSError(DISK)
    await fail(url, target, on_failure=on_failure)
    assert not ROWS
    again = await run(url, target)
    assert {"a", "end", "z"} == set(again)
    assert ROWS == ["a"]


async def test_a_cancelled_run_undoes_what_was_done(url: str) -> None:
    """After a cancellation what was rolled back is done again, and what does not rest on it is not."""
    begun = asyncio.Event()

    @cs.task
    async def hang(*deps: Any) -> str:
        CALLS.append("hang")
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return "there"

    target = hang(save("a"), work("b"))
    running = asyncio.ensure_future(driven(url, target, None))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(CALLS) == ["a", "b", "hang", "open"]
    assert not ROWS
    await driven(url, target, None)
    assert CALLS[4:] == ["open", "a", "hang"]
    assert ROWS == ["a"]


async def test_a_resource_that_swallows_a_failure_has_undone_all_the_same(url: str) -> None:
    """A failure that was thrown into an atomic resource counts as one, whatever the resource makes of it."""

    @cs.resource(name="database", atomic=True)
    def swallowing() -> Iterator[Rows]:
        try:
            yield []
        except OSError:
            return

    target = work("b", save("a"))
    TROUBLE["b"] = OSError(DISK)
    await fail(url, target, [swallowing])
    assert await run(url, target, [swallowing]) == ["a", "b"]


async def test_what_fails_after_the_release_undoes_nothing(url: str) -> None:
    """Once the database has committed, another resource's failure leaves what was done as done."""

    @cs.resource
    def other() -> Iterator[int]:
        yield 1
        trouble("other")

    @cs.task
    def first(other: int = cs.inject("other")) -> int:
        noted("first")
        return other

    TROUBLE["other"] = OSError(DISK)
    target = work("b", save("a", first()))
    await fail(url, target, [database, other])
    assert ROWS == ["a"]
    assert await run(url, target, [database, other]) == []
    assert ROWS == ["a"]


async def test_what_fails_before_the_release_undoes_all(url: str) -> None:
    """A resource that is released before the database, and fails, rolls it back."""
    TROUBLE["session"] = OSError(DISK)
    target = put("a", {"where": [cs.inject("session")]})
    await fail(url, target)
    assert not ROWS
    assert await run(url, target) == ["a"]
    assert ROWS == ["a"]


async def test_an_error_right_after_the_commit_makes_the_calls_again(url: str) -> None:
    """What is in the database may be made again: a release that fails after its commit counts as undone."""
    TROUBLE["committed"] = OSError(DISK)
    target = save("a")
    await fail(url, target)
    assert ROWS == ["a"]
    assert await run(url, target) == ["a"]
    assert ROWS == ["a", "a"]


async def test_what_can_not_be_recorded_fails_before_the_release(url: str) -> None:
    """A value that the codec refuses fails its own call, so that the database rolls back."""

    @cs.task
    def give(db: Rows = cs.inject("database")) -> object:
        db.append("a")
        return object()

    with pytest.raises(CodecError):
        await run(url, give())
    assert not ROWS


async def test_what_was_recorded_in_a_provisional_place_stays(url: str) -> None:
    """Calls that don't rest on the database are not made again, though what stands for them is not final."""
    TROUBLE["commit"] = OSError(DISK)
    target = work("end", expand.map(name=["a", "b"], how=["save", "save"]))
    await fail(url, target)
    again = await run(url, target)
    assert sorted(again) == ["a after", "a saved", "b after", "b saved", "end"]


async def test_a_failed_run_goes_on_many_times(url: str) -> None:
    """However often the database rolls back, what is final stays, and the rest is there in the end."""
    target = work("end", save("a"), expand("x", "save"), save.map(name=["b", "c"]))
    for _ in range(3):
        TROUBLE["commit"] = OSError(DISK)
        await fail(url, target)
    await run(url, target)
    assert sorted(ROWS) == ["a", "b", "c", "x saved"]
    assert await run(url, target) == []


# Resources of one call


async def test_one_of_scope_task_is_done_with_its_call(url: str) -> None:
    """An atomic resource that is released after each call leaves nothing provisional."""
    TROUBLE["end"] = OSError(DISK)
    target = work("end", save("a"), save("b"))
    await fail(url, target, [database_per_call])
    assert sorted(ROWS) == ["a", "b"]
    assert await run(url, target, [database_per_call]) == ["end"]
    assert sorted(ROWS) == ["a", "b"]


async def test_a_call_whose_own_release_fails_is_made_again(url: str) -> None:
    """A commit of one call that fails is that call's failure, and nothing else is made again."""
    TROUBLE["commit"] = OSError(DISK)
    target = work("end", save("b", save("a")))
    await fail(url, target, [database_per_call])
    assert await run(url, target, [database_per_call]) == ["a", "b", "end"]
    assert ROWS == ["a", "b"]


@cs.task
def rounds(left: int, db: Rows = cs.inject("database")) -> Any:
    noted(f"round {left}")
    db.append(f"round {left}")
    return rounds(left - 1) if left else "done"


async def test_a_loop_with_one_of_scope_task_goes_on_at_its_round(url: str) -> None:
    """A recorded loop whose rounds commit for themselves is as far as its last committed round."""
    TROUBLE["round 1"] = OSError(DISK)
    await fail(url, rounds(3), [database_per_call])
    assert ROWS == ["round 3", "round 2"]
    assert await run(url, rounds(3), [database_per_call]) == ["round 1", "round 0"]
    assert ROWS == ["round 3", "round 2", "round 1", "round 0"]


# Loops that would never be recorded


@cs.task
def ping(left: int, *deps: Any) -> Any:
    noted(f"ping {left}")
    return pong(left, "extra") if left else "done"


@cs.task
def pong(left: int, extra: str, db: Any = None) -> Any:
    return ping(left - 1)


@cs.task
def ping_saved(left: int) -> Any:
    return pong_saved(left) if left else "done"


@cs.task
def pong_saved(left: int, db: Rows = cs.inject("session")) -> Any:
    noted("pong")
    return ping_saved(left - 1)


@cs.task
def begin_saved(db: Rows = cs.inject("database")) -> Any:
    noted("begin")
    return ping(2)


@cs.task
def begin() -> Any:
    noted("begin")
    return rounds(2)


LOOPS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "of itself": (lambda: rounds(3), "rounds", "database"),
    "of two": (lambda: ping_saved(2), "ping_saved|pong_saved", "database"),
    "by its argument": (lambda: ping(2, save("a")), "ping", "database"),
    "by its order": (lambda: ping(2).after(save("a")), "ping", "database"),
    "after a call": (lambda: begin_saved(), "ping", "database"),
    "of a later target": (lambda: begin(), "rounds", "database"),
    "in an argument": (lambda: work("end", rounds(2)), "rounds", "database"),
    "in an item": (lambda: rounds.map(left=[1, 2]), "rounds", "database"),
    "in a route": (
        lambda: work("end", cs.Router(selector=say("d", "x"), routes={"x": rounds(1), "y": work("y")})),
        "rounds",
        "database",
    ),
    "given as an argument": (lambda: pong(2, "x", cs.inject("database")), "pong|ping", "database"),
}


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_recorded_loop_with_one_of_the_whole_run_is_refused_before_anything_runs(
    url: str, loop: str
) -> None:
    """A loop none of whose rounds could be recorded is refused by name, with the remedy; nothing is opened."""
    make, task, resource = LOOPS[loop]
    with pytest.raises(
        AtomicLoopError, match=rf"task '({task})' .* resource '{resource}'.*scope=\"task\""
    ) as caught:
        await run(url, make())
    assert caught.value.resource == resource
    assert not CALLS
    assert not values_of_new(url)


def values_of_new(url: str) -> list[bytes]:
    """Return the values in a store that may not have been made."""
    try:
        return values_of(url)
    except Exception:  # noqa: BLE001 - there is no table yet
        return []


def hidden(name: str) -> Any:
    """Return a task that no source leads to."""
    return globals()[name]


@cs.task
def hidden_rounds(left: int, db: Rows = cs.inject("database")) -> Any:
    noted(f"round {left}")
    db.append(f"round {left}")
    return hidden("hidden_rounds")(left - 1) if left else "done"


@cs.task
def hidden_ping(left: int, *deps: Any) -> Any:
    noted(f"ping {left}")
    return hidden("hidden_pong")(left)


@cs.task
def hidden_pong(left: int) -> Any:
    noted(f"pong {left}")
    return hidden("hidden_ping")(left - 1)


@pytest.mark.parametrize(
    ("make", "calls"),
    [
        (lambda: hidden_rounds(3), ["round 3"]),
        (lambda: work("end", hidden_rounds(3)), ["round 3"]),
        (lambda: hidden_ping(3, save("a")), ["a", "ping 3", "pong 3"]),
        (lambda: work("end", hidden_ping(3, save("a"))), ["a", "ping 3", "pong 3"]),
    ],
)
async def test_a_loop_that_no_source_shows_is_refused_when_it_goes_round(
    url: str, make: Callable[[], Any], calls: list[str]
) -> None:
    """Where the source does not show the loop, it fails as soon as a task comes again, and the database rolls back."""
    with pytest.raises(AtomicLoopError, match="database"):
        await run(url, make())
    assert [each for each in CALLS if each != "open"] == calls
    assert not ROWS


async def test_a_loop_that_is_not_recorded_may_have_one() -> None:
    """Without a record a loop with an atomic resource of the whole run is a loop like any other."""
    assert len(await run(None, rounds(3))) == 4
    assert len(ROWS) == 4


@pytest.mark.parametrize(
    "make", [lambda: work("end", save("a"), ping(3)), lambda: cs.gather(ping(2), save("a"))]
)
async def test_a_loop_beside_the_resource_is_recorded(url: str, make: Callable[[], Any]) -> None:
    """A loop that does not rest on the resource goes round in the same run, and its rounds are final."""
    TROUBLE["commit"] = OSError(DISK)
    await fail(url, make())
    assert not any(each.startswith("ping") for each in await run(url, make()))


# Caches


def cached(name: str, *deps: Any) -> Any:
    return save(name, *deps).with_cache(cs.ByInputs())


@pytest.mark.parametrize(
    "make",
    [
        lambda: cached("a"),
        lambda: work("end", cached("a")),
        lambda: work("end", save.map(name=["a"]).with_cache(cs.ByInputs())),
        lambda: work("end", expand("a", "save").with_cache(cs.ByInputs())),
        lambda: expand("a", "save").with_cache(cs.ByInputs()),
    ],
)
@pytest.mark.parametrize("is_recorded", [False, True])
@pytest.mark.parametrize("is_in_file", [False, True])
async def test_a_cache_is_not_filled_with_what_may_be_undone(
    make: Callable[[], Any], is_recorded: bool, is_in_file: bool, tmp_path: Any
) -> None:
    """A value whose call, or what stood in its place, took an open atomic resource is no hit for anybody later."""
    url = f"sqlite:///{tmp_path / 'r.db'}" if is_recorded else None
    cache = f"sqlite:///{tmp_path / 'c.db'}" if is_in_file else None
    reasons: list[str] = []
    bus = MessageBus()
    bus.subscribe(CacheBypassed, lambda event: reasons.append(event.reason))

    state = None if url is None else recorded(url)
    async with Engine(state=state, cache=cache, bus=bus) as engine:
        engine.register(database)
        TROUBLE["commit"] = OSError(DISK)
        with pytest.raises(OSError, match=DISK):
            await engine.run(make(), run_id="one")
        assert not ROWS
        await engine.run(make(), run_id="two")
    assert ROWS
    assert reasons
    for each in reasons:
        assert "it rests on resource 'database', which is atomic" in each


async def test_what_takes_such_values_alone_is_cached(tmp_path: Any) -> None:
    """A call that was given what was saved, and does not take the resource, is cached by its arguments as ever."""
    async with Engine() as engine:
        engine.register(database)
        for _ in range(2):
            await engine.run(later("b", save("a")).with_cache(cs.ByInputs()))
    assert CALLS == ["open", "a", "b", "open", "a"]


# Writing it down


def test_atomic_is_a_truth_value() -> None:
    """Anything but True and False is refused where the resource is written."""
    with pytest.raises(SpecError, match="atomic='yes'"):
        cs.resource(atomic="yes")  # type: ignore[call-overload]
    assert database.atomic
    assert not session.atomic


async def test_one_that_stands_in_under_another_name_is_atomic(url: str) -> None:
    """An override keeps what the resource says of itself."""

    async def main(fails: bool) -> None:
        async with Engine(state_backend_cls=recorded(url)) as engine:
            engine.override_resource_provider("other", database)
            await engine.run(saves_elsewhere("a"), run_id="r")

    TROUBLE["commit"] = OSError(DISK)
    with pytest.raises(OSError, match=DISK):
        await main(True)
    await main(False)
    assert CALLS == ["open", "a", "open", "a"]


@cs.task
def saves_elsewhere(name: str, db: Rows = cs.inject("other")) -> str:
    noted(name)
    db.append(name)
    return name
