"""Claims about `explain`: what a cache has for each node, what has changed, and what is unknown until a task runs."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend, SqliteCacheBackend
from cascade.runtime import SkipReason, UnknownParamError
from cascade.runtime.explaining.key_differences import Change, KeyDifference
from cascade.runtime.why import Before, ItemCount, Judgement, Verdict, explain
from cascade.spec import CachedCall, CacheKey, Hit, InputError, StoreFormatError
from cascade.spec.cache_keys import make_key
from cascade.spec.errors import StoreNotFoundError

CALLS: list[str] = []
KEEP = cs.ByInputs()


@cs.task(cache=KEEP)
def load(city: str, days: int = 7) -> list[int]:
    CALLS.append("load")
    return [1, 2, 3, 4, 5][:days]


@cs.task(cache=cs.ByInputs(ttl=60))
def square(x: int) -> int:
    CALLS.append("square")
    return x * x


@cs.task(cache=KEEP)
def total(values: Any) -> int:
    CALLS.append("total")
    return sum(values)


@cs.task
def fresh(value: Any = 1) -> Any:
    CALLS.append("fresh")
    return value


@cs.task(cache=KEEP)
def same(value: Any) -> Any:
    CALLS.append("same")
    return value


@cs.task(cache=KEEP)
def countdown(n: int) -> Any:
    CALLS.append("countdown")
    return countdown(n - 1) if n else "landed"


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def cache(clock: list[float]) -> InMemoryCacheBackend:
    return InMemoryCacheBackend(clock=lambda: clock[0])


class Asked:
    """Asks a cache about targets, and checks that no task is called."""

    def __init__(self, cache: InMemoryCacheBackend, clock: list[float]) -> None:
        self._cache = cache
        self._clock = clock

    def __call__(self, target: Any, **params: Any) -> list[Judgement]:
        CALLS.clear()
        found = asyncio.run(explain(target, self._cache, params=params, clock=lambda: self._clock[0]))
        assert not CALLS
        return found

    def one(self, target: Any, task: str = "", **params: Any) -> Judgement:
        """Return the judgement of the only node of a task; of the target, if none is named."""
        found = self(target, **params)
        (judgement,) = [each for each in found if each.task == task] if task else found[-1:]
        return judgement


@pytest.fixture
def ask(cache: InMemoryCacheBackend, clock: list[float]) -> Asked:
    return Asked(cache, clock)


def words(judgements: list[Judgement]) -> list[tuple[str, str]]:
    return [(each.task, each.verdict.value) for each in judgements]


def test_a_chain_of_hits_is_followed(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """The value of a hit makes the next key; inputs are read, gatherings made; all in the plan's order."""
    target = [total(load(cs.Param("city"))), total(cs.gather(total(load("Oslo")), same(1)))]
    cs.run(target, cache=cache, params={"city": "Rome"})
    found = ask(target, city="Rome")
    assert sorted(words(found)) == sorted(
        [("city", "input"), ("gather", "gathered"), ("gather", "gathered"), ("same", "hit")]
        + [("load", "hit")] * 2
        + [("total", "hit")] * 3
    )
    assert str(found[-1].place) == "root"
    assert not any(each.until for each in found)


def test_a_hit_tells_its_times(cache: InMemoryCacheBackend, ask: Asked, clock: list[float]) -> None:
    """Of a hit it is known when it was stored and until when it holds, on the cache's clock."""
    cs.run([square(3), load("Oslo")], cache=cache)
    clock[0] += 59
    answer = ask.one([square(3)], "square").answer
    assert (answer.verdict, answer.stored_at, answer.expires_at) == (Verdict.HIT, 1000.0, 1060.0)
    answer = ask.one(load("Oslo")).answer
    assert (answer.verdict, answer.stored_at, answer.expires_at) == (Verdict.HIT, 1000.0, None)


def test_a_miss_tells_what_has_changed(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """Arguments that are other than in the closest entry are told by name, and so is a version."""
    cs.run([load("Oslo"), load("Oslo", 3), load("Rome")], cache=cache)
    answer = ask.one(load("Bern", 3)).answer
    assert (answer.verdict, answer.stored_at) == (Verdict.MISS, 1000.0)
    assert answer.differences == (KeyDifference(Change.ARGUMENT, "city"),)
    versioned = load("Oslo").with_cache(cs.ByInputs(version="2"))
    assert ask.one(versioned).answer.differences == (KeyDifference(Change.VERSION),)


def test_changed_code_is_told(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """A task whose code is another than when its entry was made is a miss for that reason."""

    def make(factor: int) -> Any:
        @cs.task(cache=KEEP)
        def scale(x: int) -> int:
            return x * factor

        return scale(3)

    cs.run(make(2), cache=cache)
    assert ask.one(make(2)).verdict is Verdict.HIT
    assert ask.one(make(5)).answer.differences == (KeyDifference(Change.CODE),)


def test_what_has_expired_is_told(cache: InMemoryCacheBackend, ask: Asked, clock: list[float]) -> None:
    """An entry of the very key that has expired is the reason, whatever was put since."""
    cs.run(square(3), cache=cache)
    clock[0] += 61
    cs.run(square(4), cache=cache)
    answer = ask.one(square(3)).answer
    assert answer.differences == (KeyDifference(Change.EXPIRED),)
    assert (answer.stored_at, answer.expires_at) == (1000.0, 1060.0)


def test_a_task_without_entries_was_never_seen(ask: Asked) -> None:
    """Where the cache has nothing of a task, a miss has no entry to compare with."""
    answer = ask.one(load("Oslo")).answer
    assert (answer.verdict, answer.differences, answer.stored_at) == (Verdict.MISS, (), None)


async def test_a_value_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """An entry of the very key whose bytes are damaged is a miss because of its value."""
    url = f"sqlite:///{tmp_path}/cache.db"
    await cs.arun(load("Oslo"), cache=url)
    with sqlite3.connect(tmp_path / "cache.db") as connection:
        connection.execute("UPDATE entry SET value = x'00'")
    connection.close()
    (judgement,) = await explain(load("Oslo"), url)
    assert judgement.answer.differences == (KeyDifference(Change.VALUE),)


def test_below_a_miss_all_is_unknown(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """What takes the value of a miss, directly or not, is unknown until that task runs."""
    target = same(total(load("Oslo")))
    found = ask(target)
    assert words(found) == [("load", "miss"), ("total", "unknown"), ("same", "unknown")]
    assert [each.until for each in found] == [(), (Before("n2", "load"),), (Before("n2", "load"),)]


def test_calls_that_are_not_cached_are_unknown_beyond(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """A call without a policy is `not cached`, whatever was stored of what takes it."""
    target = same(fresh(load("Oslo")))
    cs.run(target, cache=cache)
    found = ask(target)
    assert words(found) == [("load", "hit"), ("fresh", "not cached"), ("same", "unknown")]
    assert found[-1].until == (Before("n1", "fresh"),)


def test_an_argument_without_a_canonical_form_is_named(ask: Asked) -> None:
    """A call that can't have a key tells the argument and its type, and is unknown beyond."""
    found = ask(total(same(object())))
    assert words(found) == [("same", "uncacheable"), ("total", "unknown")]
    assert (found[0].answer.argument, found[0].answer.kind) == ("value", "builtins.object")


def test_a_file_that_exists_is_told(tmp_path: Path, cache: InMemoryCacheBackend, ask: Asked) -> None:
    """`FileExists` is answered by the file, also where an input is unknown; its value is then the path."""
    path = tmp_path / "made.txt"
    target = same(fresh(load("Oslo")).with_cache(cs.FileExists(path)))
    assert words(ask(target)) == [("load", "miss"), ("fresh", "unknown"), ("same", "unknown")]
    assert ask.one(fresh().with_cache(cs.FileExists(path))).verdict is Verdict.MISSING
    path.touch()
    cs.run(same(path), cache=cache)
    assert words(ask(target)) == [("load", "miss"), ("fresh", "exists"), ("same", "hit")]


def test_a_known_selector_is_followed(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """The route that a known selector chooses is judged, and the others are pruned."""
    router = cs.Router(selector=same("b"), routes={"a": load("Oslo"), "b": load("Rome")})
    target = total(router)
    cs.run(target, cache=cache)
    found = {str(each.place): each for each in ask(target)}
    assert found["root"].verdict is Verdict.HIT
    assert found["root.args.0.routes.1"].verdict is Verdict.HIT
    assert found["root.args.0.routes.0"].answer.reason is SkipReason.PRUNED


def test_routes_of_an_unknown_selector_may_be_wanted(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """Each route is judged, and told to depend on the selector; what takes the router waits for the selector alone."""
    target = total(cs.Router(selector=fresh("b"), routes={"a": load("Oslo"), "b": load("Rome")}))
    cs.run(target, cache=cache)
    found = {str(each.place): each for each in ask(target)}
    first = (Before("n1", "fresh"),)
    assert [found[f"root.args.0.routes.{each}"].verdict.value for each in (0, 1)] == ["miss", "hit"]
    assert [found[f"root.args.0.routes.{each}"].until for each in (0, 1)] == [first, first]
    assert (found["root"].verdict, found["root"].until) == (Verdict.UNKNOWN, first)


def test_a_selector_without_a_route_fails(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """A key that no route has is told by the error's name, without the key; what follows is skipped."""
    target = same(total(cs.Router(selector=same("secret"), routes={"a": load("Oslo")})))
    with pytest.raises(cs.CascadeError):
        cs.run(target, cache=cache)
    found = ask(target)
    assert (found[-2].verdict, found[-2].answer.kind) == (Verdict.FAILS, "RouteNotFoundError")
    assert found[-1].answer.reason is SkipReason.UPSTREAM_FAILED
    assert "secret" not in repr(found)


def test_known_conditions_decide(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """A false condition skips, what only the skipped wants is not needed, and `otherwise` is a value like any other."""
    no = same(0)
    cs.run([no, total([9])], cache=cache)
    skipped = total(load("Oslo")).run_if(no)
    found = {str(each.place): each for each in ask([skipped, same(skipped)])}
    assert found["root.args.0[0]"].answer.reason is SkipReason.CONDITION_FALSE
    assert found["root.args.0[0].args.0"].answer.reason is SkipReason.NOT_NEEDED
    assert found["root.args.0[1]"].answer.reason is SkipReason.UPSTREAM_DATA
    assert ask.one(total(same(1).run_if(no, otherwise=[9]))).verdict is Verdict.HIT


def test_an_unknown_condition_leaves_its_node_open(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """The node is unknown until the condition runs; its inputs are judged, and told to depend on it."""
    cs.run(load("Oslo"), cache=cache)
    found = ask(total(load("Oslo")).run_if(fresh(True), otherwise=0))
    assert sorted(words(found)) == [("fresh", "not cached"), ("load", "hit"), ("total", "unknown")]
    assert all(each.until == (Before("n1", "fresh"),) for each in found if each.task != "fresh")
    plain = ask.one(fresh(1).run_if(countdown(3)), "fresh")
    assert (plain.verdict, [each.task for each in plain.until]) == (Verdict.NOT_CACHED, ["countdown"])


def test_otherwise_is_open_while_a_condition_is(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """Where one condition is false and another unknown, it is open whether `otherwise` takes the place."""
    cs.run([same(0), total([9])], cache=cache)
    target = total(same(1).run_if(fresh(1), otherwise=[9]).run_if(same(0), otherwise=[9]))
    assert ask.one(target).verdict is Verdict.UNKNOWN


def test_the_items_of_a_map_are_counted(cache: InMemoryCacheBackend, ask: Asked, clock: list[float]) -> None:
    """A map tells how many of its items are there, and of the first that is not what has changed."""
    cs.run([square(1), square(2), square(4)], cache=cache)
    judgement = ask.one(square.map([1, 2, 3, 4, 5]))
    assert judgement.items == ItemCount(5, 3, 2)
    assert judgement.answer.differences == (KeyDifference(Change.ARGUMENT, "x"),)
    target = total(square.map(load("Oslo")))
    cs.run(target, cache=cache)
    found = ask(target)
    assert words(found) == [("load", "hit"), ("square", "hit"), ("total", "hit")]
    assert found[1].items == ItemCount(5, 5, None)
    clock[0] += 60
    found = ask(target)
    assert found[1].items == ItemCount(5, 0, 0)
    assert found[1].answer.differences == (KeyDifference(Change.EXPIRED),)
    assert words(found)[2] == ("total", "unknown")


def test_a_map_that_cannot_begin_fails(ask: Asked, cache: InMemoryCacheBackend) -> None:
    """Where what a map is given is nothing to iterate over, the node fails, as it would in a run."""
    cs.run(same(1), cache=cache)
    judgement = ask.one(square.map(same(1)))
    assert (judgement.verdict, judgement.answer.kind) == (Verdict.FAILS, "MapError")


def test_a_map_of_factories_is_not_cached(ask: Asked) -> None:
    """The factory of `cs.map` is not called."""
    assert ask.one(cs.map(lambda x: square(x), [1, 2])).verdict is Verdict.NOT_CACHED


def test_a_hit_of_a_loop_is_its_final_value(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """What a tail call leads to is the value of the first call's hit; the rounds are no nodes."""
    target = same(countdown(3))
    cs.run(target, cache=cache)
    assert words(ask(target)) == [("countdown", "hit"), ("same", "hit")]


def test_a_policy_of_ones_own_is_asked(cache: InMemoryCacheBackend, ask: Asked) -> None:
    """A policy may know the value, leave the cache alone, or raise: then the call would fail."""

    class Policy:
        ttl = None

        def __init__(self, mode: str) -> None:
            self.mode = mode

        def known(self, call: CachedCall) -> Hit | None:
            return Hit(None) if self.mode == "known" else None

        def key(self, call: CachedCall) -> CacheKey | None:
            if self.mode == "raise":
                raise OSError
            return make_key(call.task, {}) if self.mode == "key" else None

    modes = [("known", "exists"), ("none", "not cached"), ("raise", "fails"), ("key", "miss")]
    for mode, verdict in modes:
        assert ask.one(fresh().with_cache(Policy(mode))).verdict.value == verdict


def test_inputs_are_checked_as_a_run_does(ask: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, missing and ill-typed inputs are refused; a workflow function is called once."""
    target = same(cs.Param("n", type=int))
    with pytest.raises(InputError):
        ask(target)
    with pytest.raises(InputError):
        ask(target, n="1")
    with pytest.raises(UnknownParamError):
        ask(target, n=1, m=2)
    monkeypatch.setenv("WHY_CITY", "Oslo")
    assert words(ask(lambda: load(cs.Env("WHY_CITY")))) == [("WHY_CITY", "input"), ("load", "miss")]


def test_no_value_is_in_a_judgement(ask: Asked) -> None:
    """Judgements hold names and digests' differences, and neither inputs nor secrets."""
    target = [same(cs.Secret("token")), load(cs.Param("city"))]
    assert "hunter2" not in repr(ask(target, token="hunter2", city="hunter2x"))


async def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    """A cache file that is not there is told and not made; one that is not a cache is told and not touched."""
    with pytest.raises(StoreNotFoundError, match=r"cache\.db: there is no such file"):
        await explain(load("Oslo"), f"sqlite:///{tmp_path}/cache.db")
    assert not list(tmp_path.iterdir())
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreFormatError, match="is empty"):
        SqliteCacheBackend(tmp_path / "empty.db", create=False)
    assert [(each.name, each.stat().st_size) for each in tmp_path.iterdir()] == [("empty.db", 0)]


async def test_a_file_that_may_only_be_read_is_looked_into(tmp_path: Path) -> None:
    """Looking into a cache changes no byte of it."""
    path = tmp_path / "cache.db"
    await cs.arun(load("Oslo"), cache=f"sqlite:///{path}")
    before = path.read_bytes()
    path.chmod(0o400)
    (judgement,) = await explain(load("Oslo"), f"sqlite:///{path}")
    assert judgement.verdict is Verdict.HIT
    assert path.read_bytes() == before


def test_what_has_to_run_first_is_told_of_few(ask: Asked) -> None:
    """Of many tasks that have to run first, the first ones are named; a deep chain is judged all the same."""
    assert len(ask.one(total([fresh(each) for each in range(100)])).until) == 8
    chain = load("Oslo")
    for _ in range(2000):
        chain = same(chain)
    assert [each.task for each in ask.one(chain).until] == ["load"]
