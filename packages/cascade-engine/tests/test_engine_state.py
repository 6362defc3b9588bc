"""Claims about what is handed in: a state backend sees every fact, an executor every call, a solver every graph."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest

import cascade as cs
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.state import InMemoryStateBackend
from cascade.graph import CycleError, Edge, Graph, Node, NodeType, Plan
from cascade.runtime import Engine
from cascade.runtime.events import TaskSkipped


class Ledger(InMemoryStateBackend):
    """A backend of a user's own: it notes every fact beside keeping it."""

    made: ClassVar[list[Ledger]]  # set by each test's own subclass

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.results: list[tuple[str, object]] = []
        self.skips: list[tuple[str, str]] = []
        self.made.append(self)

    def put_result(self, key: Any, value: object) -> None:
        self.results.append((str(key.path), value))
        super().put_result(key, value)

    def mark_skipped(self, key: Any, reason: str) -> None:
        self.skips.append((str(key.path), str(reason)))
        super().mark_skipped(key, reason)


@pytest.fixture
def ledger() -> type[Ledger]:
    class OwnLedger(Ledger):
        made: ClassVar[list[Ledger]] = []

    return OwnLedger


class Witness:
    """An executor of a user's own: it notes each call and makes it at once."""

    def __init__(self) -> None:
        self.calls: list[tuple[Node, tuple[Any, ...], dict[str, Any]]] = []

    async def execute(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls.append((node, args, kwargs))
        assert node.callable_obj is not None
        value = node.callable_obj(*args, **kwargs)
        return await value if asyncio.iscoroutine(value) else value


@cs.task
def give(value: object) -> object:
    return value


@cs.task
def fail() -> None:
    raise ValueError


@cs.task
def back(factory: Callable[[], Any]) -> Any:
    return factory()


@cs.task
def add(x: int, y: int = 0) -> int:
    return x + y


async def skips_and_events(ledger: type[Ledger], target: Any, **settings: Any) -> tuple[list[str], list[str]]:
    """Return the reasons of skips that the backend was told of, and those that listeners were."""
    events: list[cs.Event] = []
    bus = cs.MessageBus()
    bus.subscribe(TaskSkipped, events.append)

    async with Engine(state_backend_cls=ledger, bus=bus) as engine:
        with suppress(Exception):
            await engine.run(target, **settings)
    (made,) = ledger.made
    return sorted(reason for _, reason in made.skips), sorted(str(event.reason) for event in events)


@pytest.mark.parametrize(
    ("make", "settings", "reasons"),
    [
        (
            lambda: add(cs.Router(selector=give("a"), routes={"a": give(1), "b": add(give(2), 3)}), 4),
            {},
            ["Pruned_UnselectedRoute"] * 2,
        ),
        (lambda: give(give(1).run_if(give(False), otherwise=2)), {}, ["ConditionFalse"]),
        (lambda: give(add(give(1), 2).run_if(give(False), otherwise=3)), {}, ["ConditionFalse", "NotNeeded"]),
        (
            lambda: give(give(0).run_if(give(False))),
            {},
            ["ConditionFalse", "UpstreamSkipped_Data"],
        ),
        (lambda: [fail(), give(give(1))], {}, ["RunStopped"] * 3),
        (lambda: [add(fail(), 1), give(1)], {"on_failure": "finish"}, ["UpstreamFailed"] * 2),
        (
            lambda: give(back(lambda: add(give(1).run_if(give(False), otherwise=2), 3))),
            {},
            ["ConditionFalse"],
        ),
        (
            lambda: back.map(factory=[lambda: give(add(1, 1).run_if(give(False), otherwise=2))]),
            {},
            ["ConditionFalse"],
        ),
    ],
)
async def test_a_backend_is_told_why_a_node_has_no_value(
    ledger: type[Ledger], make: Callable[[], Any], settings: dict[str, Any], reasons: list[str]
) -> None:
    """Each skip that listeners hear of is marked in the backend: those that are pruned, not needed or stopped too."""
    told, heard = await skips_and_events(ledger, make(), **settings)
    assert told == heard == reasons


@cs.task
async def later(x: int) -> int:
    return x


@cs.task
def count(left: int) -> int | cs.LazyResult[int]:
    return count(left - 1) if left else 0


async def test_a_backend_is_made_once_per_run(ledger: type[Ledger]) -> None:
    """`state_backend_cls` is called once for each run, with its `run_id`."""
    async with Engine(state_backend_cls=ledger) as engine:
        await asyncio.gather(*(engine.run(count(3), run_id=name) for name in "abc"))
    assert [backend.run_id for backend in ledger.made] == ["a", "b", "c"]


def test_a_backend_sees_every_result(ledger: type[Ledger]) -> None:
    """Each node's value, `None` and other falsy ones among them, is put once, under its own key."""
    assert cs.run(add(add(1, y=2), y=later(4)), state=ledger) == 7
    assert sorted(ledger.made[0].results) == [("root", 7), ("root.args.0", 3), ("root.kwargs.y", 4)]

    @cs.task
    def nothing() -> None:
        return None

    cs.run([nothing(), add(0)], state=ledger)
    assert sorted(ledger.made[1].results, key=str)[:2] == [("root", [None, 0]), ("root.args.0[0]", None)]


async def test_a_backend_sees_every_result_however_often_the_structure_came(ledger: type[Ledger]) -> None:
    """A structure that is run many times has its facts seen each time."""
    async with Engine(state_backend_cls=ledger) as engine:
        for _ in range(50):
            await engine.run(add(add(1), add(2)))
    assert [len(backend.results) for backend in ledger.made] == [3] * 50


def test_a_backend_sees_every_skip(ledger: type[Ledger]) -> None:
    """Each skip is marked with its reason; one with `otherwise` has a value too."""
    skipped = add(1).run_if(add(0))
    target = [add(2).run_if(add(skipped)), add(3).run_if(add(0), otherwise=9)]
    with pytest.raises(cs.DependencyMissingError):
        cs.run(target, state=ledger)
    [backend] = ledger.made
    assert Counter(reason for _, reason in backend.skips) == {
        "ConditionFalse": 2,
        "UpstreamSkipped_Data": 2,
        "UpstreamSkipped_Condition": 1,
    }
    assert 9 in [value for _, value in backend.results]


def test_a_backend_sees_every_round_and_item(ledger: type[Ledger]) -> None:
    """Rounds of a loop and items of a map put their values, too."""
    assert cs.run(add.map(x=[1, 2]), state=ledger) == [1, 2]
    assert [value for _, value in ledger.made[0].results] == [1, 2, [1, 2]]
    assert cs.run(add(count(2)), state=ledger) == 0
    assert [value for _, value in ledger.made[1].results] == [0, 0, 0]


def test_facts_of_past_rounds_are_forgotten() -> None:
    """A loop's facts are cleared round by round: a backend never holds more than two rounds'."""
    most = [0]

    class Bounded(InMemoryStateBackend):
        held = 0

        def put_result(self, key: Any, value: object) -> None:
            self.held += 1
            most[0] = max(most[0], self.held)
            super().put_result(key, value)

        def clear(self, frame: Any = None) -> None:
            self.held = 0
            super().clear(frame)

    @cs.task
    def loop(left: int, *others: int) -> int | cs.LazyResult[int]:
        return loop(left - 1, add(1), add(2)) if left else 0

    cs.run(loop(200), state=Bounded)
    assert 0 < most[0] <= 6


def test_control_flow_follows_the_backend() -> None:
    """What the backend says is what counts: a backend that changes a value changes the run."""

    class Doubling(InMemoryStateBackend):
        def get_result(self, key: Any) -> Any:
            return 2 * super().get_result(key)

    assert cs.run(add(add(5)), state=Doubling) == 20


def test_an_executor_sees_every_call() -> None:
    """An executor that is handed in makes every call, with the node and its resolved arguments only."""
    witness = Witness()
    target = add(add(1, y=2), y=later(4))
    assert cs.run(target, executor=witness) == 7
    calls = {str(node.structure_path): (node.name, args, kwargs) for node, args, kwargs in witness.calls}
    assert calls == {
        "root": ("add", (3,), {"y": 4}),
        "root.args.0": ("add", (1,), {"y": 2}),
        "root.kwargs.y": ("later", (4,), {}),
    }
    assert all(node.callable_obj in (add.func, later.func) for node, _, _ in witness.calls)


def test_an_executor_sees_items_rounds_and_retries() -> None:
    """Items of maps, rounds of loops and attempts go through the executor one by one."""
    witness, fails = Witness(), [1, 1]

    @cs.task
    def flaky() -> int:
        if fails:
            fails.pop()
            raise ValueError
        return 1

    assert cs.run([add.map(x=[1, 2]), count(3), flaky().with_retry()], executor=witness) == [[1, 2], 0, 1]
    assert Counter(node.name for node, _, _ in witness.calls) == {
        "add": 2,
        "count": 4,
        "flaky": 3,
        "gather": 1,
    }
    assert NodeType.MAP in {node.node_type for node, _, _ in witness.calls}


async def test_an_executor_sees_the_calls_of_known_structures() -> None:
    """However often a structure has been run, its calls go through the executor."""
    witness = Witness()

    async with Engine(executor=witness) as engine:
        for number in range(50):
            assert await engine.run(add(add(number), 1)) == number + 1
    assert len(witness.calls) == 100


async def test_an_executor_built_on_the_local_one_sees_every_call() -> None:
    """A subclass of `LocalExecutor` is not bypassed."""
    seen: list[str] = []

    class Tracing(LocalExecutor):
        async def execute(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            seen.append(node.name)
            return await super().execute(node, args, kwargs)

    async with Engine(executor=Tracing()) as engine:
        for _ in range(20):
            await engine.run(add(later(1)))
    assert Counter(seen) == {"add": 20, "later": 20}


def test_an_executor_gets_resources_and_routes_resolved() -> None:
    """Injections, routers and params are values by the time the executor gets them."""
    witness = Witness()

    @cs.resource
    def db() -> Any:
        yield "db"

    @cs.task
    def show(*values: object, db: object = cs.inject("db")) -> object:
        return [*values, db]

    router = cs.Router(add(1), {0: add(10), 1: add(20)})
    value = cs.run(
        show(router, [cs.inject("db")], cs.Param("p")), resources=[db], params={"p": "v"}, executor=witness
    )
    assert value == [20, ["db"], "v", "db"]
    [last] = [call for call in witness.calls if call[0].name == "show"]
    assert last[1:] == ((20, ["db"], "v"), {"db": "db"})


async def test_a_solver_gives_the_order() -> None:
    """A solver that is handed in plans each structure, and its plan ranks what is ready."""
    order: list[int] = []

    class Backwards:
        def resolve(self, graph: Graph) -> Plan:
            plan = NativeSolver().resolve(graph)
            positions = graph.positions()
            return Plan(graph, [[positions[node.id] for node in reversed(stage)] for stage in plan])

    @cs.task
    def note(number: int) -> None:
        order.append(number)

    async with Engine(solver=Backwards()) as engine:
        await engine.run([note(number) for number in range(4)])
    assert order == [3, 2, 1, 0]


def test_a_cycle_is_refused_by_name() -> None:
    """A solver refuses a graph, made by hand, whose tasks wait for each other, and names them."""
    graph = Graph([Node("a", "fetch"), Node("b", "parse")], [Edge("a", "b"), Edge("b", "a")])
    with pytest.raises(CycleError, match=r"fetch.*parse|parse.*fetch"):
        NativeSolver().resolve(graph)
