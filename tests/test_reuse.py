"""Graph reuse: a structure is built once, and what differs between its trees never mixes."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from support.ways import make_known

import cascade as cs
from cascade.graph import build_graph
from cascade.runtime import RunStarted


@cs.task
def leaf(value: int = 1) -> int:
    return value


@cs.task
def add(*values: int) -> int:
    return sum(values)


@cs.task
def parity(n: int) -> int:
    return n % 2


@cs.task
def same(value: Any) -> Any:
    return value


@cs.task
def pair(first: Any, second: Any) -> tuple[Any, Any]:
    return first, second


@cs.task
def positional(*values: Any) -> tuple[Any, ...]:
    return values


@cs.task
def keywords(**values: Any) -> list[str]:
    return list(values)


Dependency = Callable[[int], Any]


def countdown(dependency: Dependency) -> Callable[[int], cs.LazyResult[Any]]:
    """Return a task that returns itself with a fresh dependency each round."""

    @cs.task
    def complex_recursive(n: int, _dep: object = None) -> Any:
        return complex_recursive(n - 1, _dep=dependency(n)) if n else "done"

    return complex_recursive


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The targets that the strategies have built."""
    built: list[object] = []

    def counting(target: object) -> Any:
        built.append(target)
        return build_graph(target)

    monkeypatch.setattr("cascade.runtime.strategies.build_graph", counting)
    return built


ROUNDS: dict[str, Dependency] = {
    "one dependency": lambda n: leaf(),
    "router": lambda n: cs.Router(parity(n), {0: leaf(), 1: add(1, n)}),
    "condition": lambda n: leaf().run_if(parity(n), otherwise=0),
    "map": lambda n: leaf.map([n, n + 1]),
    "lazy map": lambda n: leaf.map(cs.gather(leaf(n), leaf())),
    "constraint": lambda n: leaf().with_constraints(gpu=leaf()),
    "retry": lambda n: leaf(n).with_retry(2),
    "sequence": lambda n: cs.sequence([leaf(n), leaf()]),
    "shared": lambda n: [shared := leaf(n), add(shared, shared)],
    "order": lambda n: leaf(n).after(leaf()),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_a_loop_builds_its_round_once(name: str, builds: list[object]) -> None:
    """However long a loop lasts and whatever its rounds hold, it builds two structures at most."""
    make = countdown(ROUNDS[name])
    for rounds in (10, 2_000):
        builds.clear()
        assert cs.run(make(rounds), system_resources={"gpu": 1}) == "done"
        assert len(builds) <= 2


def test_ten_thousand_rounds_build_no_more_than_ten(builds: list[object]) -> None:
    """The number of builds does not depend on the number of rounds."""
    assert cs.run(countdown(ROUNDS["one dependency"])(10_000)) == "done"
    assert len(builds) <= 2


def test_a_map_builds_its_items_once(builds: list[object]) -> None:
    """A map whose items are trees builds at most two structures: its own and theirs."""
    assert cs.run(cs.map(lambda x: add(x, leaf(x)), x=range(1_000))) == [2 * x for x in range(1_000)]
    assert len(builds) <= 2


async def test_runs_at_once_build_once(builds: list[object]) -> None:
    """A hundred runs of one workflow at the same time build at most two structures."""
    async with cs.Engine() as engine:
        value = list(await asyncio.gather(*(engine.run(add(each, leaf(each))) for each in range(100))))
    assert value == [2 * each for each in range(100)]
    assert len(builds) <= 2


def test_structures_in_turn_are_built_once_each(builds: list[object]) -> None:
    """A loop that goes through k structures in turn builds each one once."""
    kinds = 12

    @cs.task
    def turn(n: int, _extra: object = None) -> Any:
        return turn(n - 1, [leaf()] * (n % kinds)) if n else "done"

    assert cs.run(turn(600)) == "done"
    assert len(builds) <= kinds + 1


def test_a_growing_literal_is_one_structure(builds: list[object]) -> None:
    """A list without a lazy result inside is one literal, whatever its length."""

    @cs.task
    def chat(n: int, history: list[int]) -> Any:
        return chat(n - 1, [*history, n]) if n else len(history)

    assert cs.run(chat(500, [])) == 500
    assert len(builds) == 1


async def test_runs_of_one_structure_never_see_each_others_values() -> None:
    """A thousand pairs of runs with different literals at the same time keep them apart."""

    @cs.task
    async def pause(value: int) -> int:
        await asyncio.sleep(0)
        return value

    async with cs.Engine() as engine:
        for each in range(1_000):
            targets = (add(leaf(number), pause(number), number) for number in (each, -each))
            assert await asyncio.gather(*map(engine.run, targets)) == [3 * each, -3 * each]


async def test_trees_that_differ_are_told_apart() -> None:
    """On one engine each tree gives its own value, however like another one it looks."""
    shared = leaf(2)

    @cs.task(name="leaf")
    def impostor(value: int = 1) -> int:
        return -value

    @cs.task
    def show(*values: Any, **named: Any) -> str:
        return f"{values} {named}"

    trees: list[tuple[Callable[[], cs.LazyResult[Any]], Any]] = [
        (lambda: show(leaf(1)), "(1,) {}"),
        (lambda: show(impostor(1)), "(-1,) {}"),
        (lambda: show([leaf(1)]), "([1],) {}"),
        (lambda: show((leaf(1),)), "((1,),) {}"),
        (lambda: show({"a": leaf(1)}), "({'a': 1},) {}"),
        (lambda: show({"b": leaf(1)}), "({'b': 1},) {}"),
        (lambda: show(a=leaf(1)), "() {'a': 1}"),
        (lambda: show(b=leaf(1)), "() {'b': 1}"),
        (lambda: show(shared, shared), "(2, 2) {}"),
        (lambda: show(leaf(2), leaf(3)), "(2, 3) {}"),
        (lambda: show([leaf(1), 5]), "([1, 5],) {}"),
        (lambda: show([leaf(1), 5, 6]), "([1, 5, 6],) {}"),
        (lambda: show(cs.Router(leaf(1), {1: leaf(7), 2: leaf(8)})), "(7,) {}"),
        (lambda: show(cs.Router(leaf(2), {1: leaf(7), 2: leaf(8)})), "(8,) {}"),
        (lambda: show(cs.Router(leaf(2), {2: leaf(7), 1: leaf(8)})), "(7,) {}"),
        (lambda: show(cs.Router(leaf(-1), {-1: leaf(7)})), "(7,) {}"),
        (lambda: show(cs.Router(leaf(-2), {-2: leaf(7)})), "(7,) {}"),  # -1 and -2 have the same hash
        (lambda: show(leaf(4).run_if(leaf(0), otherwise="no")), "('no',) {}"),
        (lambda: show(leaf(4).run_if(leaf(1), otherwise="no")), "(4,) {}"),
        (lambda: show(leaf.map([1, 2])), "([1, 2],) {}"),
        (lambda: show(leaf.map([1, 2, 3])), "([1, 2, 3],) {}"),
    ]

    async with cs.Engine() as engine:
        for _ in range(6):
            for make, expected in trees:
                assert await engine.run(make()) == expected


@pytest.mark.parametrize("policy", ["cache", "constraint", "condition", "retry", "otherwise"])
async def test_a_policy_more_is_told_apart(policy: str) -> None:
    """A call with one policy more than a known tree, for which code is written already, follows it."""
    called: list[int] = []

    @cs.task
    def work(value: int) -> int:
        called.append(value)
        if value > len(called):
            raise ValueError(value)
        return value

    def base(value: int = 0) -> cs.LazyResult[int]:
        return work(value).with_retry(max_attempts=2).run_if(leaf(1))

    async with cs.Engine(system_resources={"gpu": 1}) as engine:
        for _ in range(5):
            await engine.run(base())
        called.clear()
        match policy:
            case "cache":
                assert [await engine.run(base().with_cache(cs.ByInputs())) for _ in range(3)] == [0] * 3
                assert called == [0]
            case "constraint":
                with pytest.raises(cs.CascadeError, match="gpu"):
                    await engine.run(base().with_constraints(gpu=2))
            case "condition":
                with pytest.raises(cs.DependencyMissingError):
                    await engine.run(base().run_if(leaf(0)))
            case "otherwise":
                lazy = work(0).with_retry(max_attempts=2).run_if(leaf(0), otherwise=5)
                assert await engine.run(lazy) == 5
            case "retry":
                lazy = work(3).with_retry(max_attempts=3).run_if(leaf(1))
                assert await engine.run(lazy) == 3


async def test_otherwise_stands_for_a_false_condition_alone() -> None:
    """A target whose input was skipped is an error each time, though it has an `otherwise` for its own condition."""
    async with cs.Engine() as engine:
        for _ in range(6):
            with pytest.raises(cs.DependencyMissingError):
                await engine.run(add(leaf(2).run_if(leaf(0))).run_if(leaf(1), otherwise=5))
            assert await engine.run(add(leaf(2).run_if(leaf(1))).run_if(leaf(0), otherwise=5)) == 5


async def test_the_table_of_structures_is_bounded() -> None:
    """Once the table is full, three thousand more structures make memory grow by less than 1.5 MB."""

    @cs.task
    def ignore(*values: object, **named: object) -> int:
        return len(values)

    async with cs.Engine() as engine:
        for number in range(600):
            await engine.run(ignore(**{f"name{number}": leaf()}))
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(600, 3_600):
            await engine.run(ignore(**{f"name{number}": leaf()}))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert engine.stats().evictions > 0
    assert grown < 1_500_000


async def test_a_task_made_in_a_function_is_not_kept_alive() -> None:
    """What an engine remembers of structures keeps no task, no function and no value of theirs."""

    class Precious:
        """Something whose end can be seen."""

    def closure(held: Precious) -> cs.Task[Any]:
        @cs.task
        def count(n: int) -> Any:
            assert held is not None
            return count(n - 1).after(leaf(n)) if n else 0

        return count

    async with cs.Engine() as engine:
        gone: list[weakref.ref[Any]] = []
        for _ in range(5):
            precious = Precious()
            task = closure(precious)
            assert await engine.run(task(5)) == 0
            gone += [weakref.ref(task), weakref.ref(task.func), weakref.ref(precious)]
            del task, precious
        gc.collect()
        assert [reference() for reference in gone] == [None] * len(gone)


async def test_stats_tell_what_was_reused() -> None:
    """`engine.stats()` counts builds, hits, misses and evictions."""

    async def main() -> None:
        async with cs.Engine() as engine:
            assert vars_of(engine) == (0, 0, 0, 0)
            for number in range(20):
                await engine.run(add(number, leaf()))
            assert vars_of(engine) == (1, 19, 1, 0)

    def vars_of(engine: cs.Engine) -> tuple[int, int, int, int]:
        stats = engine.stats()
        return stats.builds, stats.hits, stats.misses, stats.evictions

    await main()


async def test_a_call_without_arguments_is_not_one_with_some() -> None:
    """`f()` and `f(5)` are told apart, also once `f()` is compiled."""
    engine = cs.Engine()
    await make_known(engine, positional)
    assert await engine.run(positional(5)) == (5,)


async def test_keyword_arguments_keep_their_order() -> None:
    """A function with `**kwargs` sees them as they were written, whatever order a known structure has."""
    engine = cs.Engine()
    await make_known(engine, lambda: keywords(a=1, b=2))
    assert await engine.run(keywords(b=1, a=2)) == ["b", "a"]


async def test_another_structure_of_the_same_root_may_declare_inputs() -> None:
    """That `f(1)` is compiled neither hides the parameters that `f(Param)` declares nor begins a run too early."""
    engine = cs.Engine()
    await make_known(engine, lambda: same(1))
    assert await engine.run(same(cs.Param("x", type=int)), params={"x": 7}) == 7
    begun: list[RunStarted] = []
    engine.bus.subscribe(RunStarted, begun.append)
    with pytest.raises(cs.CascadeError):
        await engine.run(same(1, 2))
    assert not begun


async def test_otherwise_stands_in_for_a_false_condition_alone_when_known() -> None:
    """A compiled target that is skipped for its inputs raises the same error as an interpreted one."""

    def make(needed: bool) -> cs.LazyResult[Any]:
        skipped = same(1).run_if(same(needed))
        return pair(skipped, same(same(2))).run_if(same(True), otherwise="instead")

    engine = cs.Engine()
    await make_known(engine, lambda: make(True))
    with pytest.raises(cs.DependencyMissingError):
        await engine.run(make(False))


async def test_routers_on_one_selector_may_have_different_routes() -> None:
    """A key that only one of two routers knows is the other one's `RouteNotFoundError`, compiled or not."""

    def make(key: int) -> cs.LazyResult[Any]:
        selector = same(key)
        both = cs.Router(selector=selector, routes={1: same(1), 2: same(2)})
        return cs.gather(same(both), same(cs.Router(selector=selector, routes={1: same(3)})))

    engine = cs.Engine()
    await make_known(engine, lambda: make(1))
    with pytest.raises(LookupError, match="no route 2"):
        await engine.run(make(2))


async def test_two_contracts_of_one_name_clash_in_a_known_structure() -> None:
    """A tree that is only matched is refused like one that is built."""

    @cs.task
    def later() -> Any:
        return pair(cs.Param("a", type=int, default=1), cs.Param("a", type=str, default="x"))

    engine = cs.Engine()
    await make_known(
        engine, lambda: pair(cs.Param("a", type=int, default=1), cs.Param("a", type=int, default=1))
    )
    with pytest.raises(cs.CascadeError, match="'a'"):
        await engine.run(later())
