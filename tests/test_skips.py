"""The skips that the design promises; engine and reference are held against the same cases."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from observation import observe, plain_engine
from recorder import Lazy, Recorder, told_by_engine, told_by_reference

import cascade as cs
from cascade.adapters.state import InMemoryStateBackend
from cascade.runtime import DependencyMissingError, Engine, MessageBus, SkipReason
from cascade.runtime.events import TaskSkipped

Tell = Callable[[Lazy], dict[str, str]]
BOTH = pytest.mark.parametrize("tell", [told_by_engine, told_by_reference])

FALSY: list[Any] = [None, 0, "", [], False, 0.0, {}, ()]


@BOTH
def test_a_false_condition_skips_the_node(tell: Tell) -> None:
    """A false condition skips the node: ConditionFalse."""
    call = Recorder()
    assert tell(call("a").run_if(call("c", False))) == {"a": "ConditionFalse", "c": "Succeeded"}
    assert call.ran == ["c"]


@BOTH
@pytest.mark.parametrize("falsy", FALSY, ids=repr)
def test_any_falsy_value_makes_a_condition_false(tell: Tell, falsy: object) -> None:
    """Whatever is false to Python is false as a condition, and is a value all the same."""
    call = Recorder()
    assert tell(call("a").run_if(call("c", lambda: falsy))) == {"a": "ConditionFalse", "c": "Succeeded"}


@BOTH
def test_a_skip_travels_along_data(tell: Tell) -> None:
    """A skip travels along DATA, at any depth of the arguments."""
    call = Recorder()
    told = tell(call("a", 1, call("b", 1, {"k": [(call.skipped("c"),)]})))
    assert told == {
        "a": "UpstreamSkipped_Data",
        "b": "UpstreamSkipped_Data",
        "c": "ConditionFalse",
        "c's condition": "Succeeded",
    }


@BOTH
def test_a_skip_travels_along_after_and_sequences(tell: Tell) -> None:
    """A skip travels along SEQUENCE, through `after` and through `cs.sequence`."""
    call = Recorder()
    assert tell(call("a").after(call("b"), call.skipped("c")))["a"] == "UpstreamSkipped_Sequence"
    assert tell(cs.sequence([call.skipped("c"), call("a")]))["a"] == "UpstreamSkipped_Sequence"
    assert "a" not in call.ran


@BOTH
def test_a_skip_travels_along_constraints(tell: Tell) -> None:
    """A skip travels along CONSTRAINT: an amount that has no value."""
    call = Recorder()
    assert tell(call("a").with_constraints(gpu=call.skipped("c")))["a"] == "UpstreamSkipped_Constraint"


@BOTH
def test_a_skip_travels_along_conditions(tell: Tell) -> None:
    """A skip travels along CONDITION: a condition that has no value."""
    call = Recorder()
    assert tell(call("a").run_if(call.skipped("c")))["a"] == "UpstreamSkipped_Condition"


@BOTH
def test_a_skip_travels_along_the_selected_route(tell: Tell) -> None:
    """A skip travels along the selected route, and only along that."""
    call = Recorder()
    routes = {0: call.skipped("left"), 1: call("right")}
    assert tell(call("a", 1, cs.Router(call("s", 0), routes)))["a"] == "UpstreamSkipped_Route"
    assert tell(call("a", 1, cs.Router(call("s", 1), routes)))["a"] == "Succeeded"


@BOTH
def test_a_skipped_selector_counts_as_data(tell: Tell) -> None:
    """Selectors count as inputs: one without a value skips its consumer, and no route is pruned by it."""
    call = Recorder()
    told = tell(call("a", 1, cs.Router(call.skipped("s"), {0: call("left")})))
    assert told["a"] == "UpstreamSkipped_Data"
    assert told["left"] == "NotNeeded"


@BOTH
def test_an_unselected_branch_is_pruned(tell: Tell) -> None:
    """An unselected branch is pruned with all below it that nobody else wants."""
    call = Recorder()
    shared = call("shared")
    routes = {
        "x": call("left", 1, shared),
        "y": call("right", 1, shared, call("below").after(call("deeper"))),
    }
    told = tell(call("a", 1, cs.Router(call("s", "x"), routes)))
    pruned = {name for name, verdict in told.items() if verdict == "Pruned_UnselectedRoute"}
    assert pruned == {"right", "below", "deeper"}
    assert told["shared"] == "Succeeded"


@BOTH
def test_the_branch_of_a_skipped_consumer_is_pruned_too(tell: Tell) -> None:
    """A branch is unselected once its selector has chosen another, even if the consumer is skipped later."""
    call = Recorder()
    router = cs.Router(call("s", "x"), {"x": call("left"), "y": call("right")})
    told = tell(call("a", 1, router).after(call.skipped("c")))
    assert told["a"] == "UpstreamSkipped_Sequence"
    assert told["right"] == "Pruned_UnselectedRoute"
    assert told["left"] == "Succeeded"


@BOTH
def test_the_routes_of_a_skipped_node_are_not_needed_though_their_selector_has_run(tell: Tell) -> None:
    """A node whose condition is false chooses no route, also where somebody else wants its selector."""
    call = Recorder()
    selector = call("s", "x")
    router = cs.Router(selector, {"x": call("left"), "y": call("right")})
    told = tell(call("both", 1, selector, call("a", 1, router).run_if(call("c", 0), otherwise=1)))
    assert (told["a"], told["s"], told["both"]) == ("ConditionFalse", "Succeeded", "Succeeded")
    assert told["left"] == told["right"] == "NotNeeded"


@BOTH
def test_what_only_skipped_nodes_wanted_is_not_needed(tell: Tell) -> None:
    """What only skipped nodes wanted is NotNeeded: the inputs, selectors, routes and amounts behind a condition."""
    call = Recorder()
    router = cs.Router(call("selector"), {1: call("route")})
    target = call("a", 1, call("input", 1, call("below")), router).with_constraints(gpu=call("amount"))
    told = tell(target.run_if(call("c", 0)))
    assert told.pop("a") == "ConditionFalse"
    assert told.pop("c") == "Succeeded"
    assert told == dict.fromkeys(["input", "below", "selector", "route", "amount"], "NotNeeded")
    assert call.ran == ["c"]


@BOTH
def test_if_several_reasons_hold_the_first_in_order_counts(tell: Tell) -> None:
    """If several reasons hold: Sequence, Condition, Constraint, Data, Route, in this order."""
    order = ["Sequence", "Condition", "Constraint", "Data", "Route"]
    for chosen in itertools.chain.from_iterable(itertools.combinations(order, size) for size in (2, 3, 5)):
        call = Recorder()
        target = call("a", 1, *_arguments(call, chosen))
        if "Constraint" in chosen:
            target = target.with_constraints(gpu=call.skipped("amount"))
        if "Condition" in chosen:
            target = target.run_if(call.skipped("condition"))
        if "Sequence" in chosen:
            target = target.after(call.skipped("before"))
        assert tell(target)["a"] == f"UpstreamSkipped_{chosen[0]}"


def _arguments(call: Recorder, chosen: tuple[str, ...]) -> list[Any]:
    arguments: list[Any] = []
    if "Route" in chosen:
        arguments.append(cs.Router(call("s", 1), {1: call.skipped("route")}))
    if "Data" in chosen:
        arguments.append(call.skipped("data"))
    return arguments


@BOTH
def test_sequence_comes_before_a_false_condition(tell: Tell) -> None:
    """A node whose predecessor is skipped and whose condition is false is skipped by its sequence."""
    call = Recorder()
    target = call("a").run_if(call("c", 0), otherwise=5).after(call.skipped("before"))
    assert tell(target)["a"] == "UpstreamSkipped_Sequence"


@BOTH
def test_repeated_run_if_is_and(tell: Tell) -> None:
    """Repeated `run_if` is "and": any false one skips, all true ones let it run."""
    for values in itertools.product([0, 1], repeat=3):
        call = Recorder()
        target = call("a")
        for index, value in enumerate(values):
            target = target.run_if(call(f"c{index}", value))
        assert tell(target)["a"] == ("Succeeded" if all(values) else "ConditionFalse")
        assert {"c0", "c1", "c2"} <= set(call.ran), "all are demanded at once"


@BOTH
def test_conditions_are_judged_in_their_order(tell: Tell) -> None:
    """Of several conditions the first that is not true gives the reason."""
    call = Recorder()
    assert tell(call("a").run_if(call("c", 0)).run_if(call.skipped("d")))["a"] == "ConditionFalse"
    assert tell(call("a").run_if(call.skipped("d")).run_if(call("c", 0)))["a"] == "UpstreamSkipped_Condition"


@BOTH
def test_after_accumulates(tell: Tell) -> None:
    """`after` accumulates: a skip of any of them counts."""
    call = Recorder()
    target = call("a").after(call.skipped("b")).after(call("c"))
    told = tell(target)
    assert told["a"] == "UpstreamSkipped_Sequence"
    assert told["c"] == "Succeeded"


@BOTH
def test_a_node_with_otherwise_reports_its_skip_and_its_dependents_go_on(tell: Tell) -> None:
    """With `otherwise` the node reports its skip, and all kinds of dependents go on with the value."""
    call = Recorder()
    given = call("given").run_if(call("c", 0), otherwise=1)
    router = cs.Router(given, {1: given})
    target = call("a", 1, given, [given], router).after(given).run_if(given).with_constraints(gpu=given)
    assert tell(target) == {"a": "Succeeded", "given": "ConditionFalse", "c": "Succeeded"}


@BOTH
def test_otherwise_is_for_a_false_condition_alone(tell: Tell) -> None:
    """`otherwise` gives nothing for a skip that came from elsewhere."""
    call = Recorder()
    cases = [
        call("b").after(call.skipped("x")).run_if(call("yes"), otherwise=1),
        call("b", 1, call.skipped("x")).run_if(call("yes"), otherwise=1),
        call("b").run_if(call.skipped("x"), otherwise=1),
    ]
    for case in cases:
        assert tell(call("a", 1, case))["a"] == "UpstreamSkipped_Data"


def test_otherwise_gives_its_value() -> None:
    """The value of a node with a false condition is the one of `otherwise`, falsy ones included."""
    call = Recorder()
    for value in [5, *FALSY]:
        given = call("given").run_if(call("c", 0), otherwise=value)
        assert observe(call("a", lambda got: [got], given)).value == [value]
        assert observe(given).value == value


def test_falsy_results_are_results() -> None:
    """A falsy result is a value: it goes into arguments, and no default or skip takes its place."""
    call = Recorder()
    for value in FALSY:
        source = call("source", lambda value=value: value)
        assert observe(source).value == value
        assert observe(call("a", lambda got: [got], source).after(source)).value == [value]


async def test_a_falsy_result_is_a_cache_hit() -> None:
    """A falsy value that was cached is found again: the call is made once and its node reports CacheHit."""
    for value in FALSY:
        call = Recorder()
        target = call("a", lambda value=value: value).with_cache(cs.ByInputs())
        bus = MessageBus()
        skipped: list[TaskSkipped] = []
        bus.subscribe(TaskSkipped, skipped.append)

        async def twice(bus: MessageBus = bus, target: Lazy = target) -> list[Any]:
            async with plain_engine(bus) as engine:
                return [await engine.run(target), await engine.run(target)]

        assert await twice() == [value, value]
        assert call.ran == ["a"]
        assert [each.reason for each in skipped] == [SkipReason.CACHE_HIT]


def test_a_falsy_default_is_a_default() -> None:
    """A parameter with a falsy default has that value and is not missing."""
    for value in FALSY:
        assert cs.run(cs.Param("p", default=value)) == value


def test_a_skipped_target_raises_an_error_that_names_task_and_reason() -> None:
    """A skipped target raises DependencyMissingError with the task and the reason."""
    call = Recorder()
    with pytest.raises(DependencyMissingError, match=r"'report'.*ConditionFalse") as caught:
        cs.run(call("report").run_if(call("c", 0)))
    assert (caught.value.task, caught.value.reason) == ("report", "ConditionFalse")


def test_a_skipped_input_is_named_with_its_argument_and_source() -> None:
    """The error names the task, the argument and the task that should have given the value."""
    call = Recorder()

    @cs.task
    def report(rows: object) -> object:
        return rows

    with pytest.raises(DependencyMissingError, match=r"'report'.*UpstreamSkipped_Data.*'rows\[1\]'.*'load'"):
        cs.run(report(rows=[1, call.skipped("load")]))


def test_a_gathering_with_a_skipped_member_is_missing() -> None:
    """`cs.run([a, b])` asks for both: a skipped one is an error."""
    call = Recorder()
    with pytest.raises(DependencyMissingError, match="UpstreamSkipped_Data"):
        cs.run([call("a"), call.skipped("b")])
    assert cs.run([call("a"), call("b").run_if(call("c", 0), otherwise=None)]) == [1, None]


def test_the_target_skipped_through_its_sequence_gives_none() -> None:
    """The run's own target skipped through its sequence returns None."""
    call = Recorder()
    assert cs.run(cs.sequence([call.skipped("a"), call("b")])) is None
    assert cs.run(call("b").after(call.skipped("a"))) is None
    assert "b" not in call.ran


@BOTH
def test_a_sequence_orders_the_very_nodes_it_is_given(tell: Tell) -> None:
    """In `sequence([a, b, f(b)])` the node b runs once, and the sequence is no node itself."""
    call = Recorder()
    a, b = call("a"), call("b")
    assert tell(cs.sequence([a, b, call("f", 1, b)])) == dict.fromkeys(["a", "b", "f"], "Succeeded")
    assert call.ran == ["a", "b", "f"]


def test_the_value_of_a_sequence_is_the_last_ones() -> None:
    """A sequence stands for its last member, as a target and as an argument."""
    call = Recorder()
    steps = cs.sequence([call("a", 1), call("b", 2)])
    assert cs.run(steps) == 2
    assert cs.run([steps, steps]) == [2, 2]


@BOTH
def test_a_sequence_orders_its_nodes_wherever_it_stands(tell: Tell) -> None:
    """The order of a sequence holds for its nodes also where another node wants one of them alone."""
    call = Recorder()
    first, second = call.skipped("first"), call("second")
    told = tell(call("a", 1, cs.Router(call("s", 0), {0: second, 1: cs.sequence([first, second])})))
    assert told["second"] == "UpstreamSkipped_Sequence"
    assert told["a"] == "UpstreamSkipped_Route"


def test_policies_leave_the_lazy_result_as_it_was() -> None:
    """`run_if` and `after` return a new lazy result and leave the old one unconditional."""
    call = Recorder()
    plain = call("a")
    plain.run_if(call("c", 0)).after(call.skipped("b"))
    assert cs.run(plain) == 1


def test_other_policies_replace() -> None:
    """Of two retries, and of two constraints, the later one counts."""
    call = Recorder()
    with pytest.raises(ValueError, match="no"):
        cs.run(call("a", ValueError("no")).with_retry(max_attempts=5).with_retry(max_attempts=1))
    assert call.ran == ["a", "a"]
    target = call("b").with_constraints(tpu=9).with_constraints(gpu=1)
    assert observe(target).value == 1


@BOTH
def test_a_skip_is_told_once_however_many_want_the_node(tell: Tell) -> None:
    """Each node that never started is reported once, also where many nodes wait for it."""
    call = Recorder()
    skipped = call.skipped("b")
    told = tell(call("a", 1, *(call(f"d{index}", 1, skipped) for index in range(5)), skipped))
    assert told["b"] == "ConditionFalse"
    assert {told[f"d{index}"] for index in range(5)} == {"UpstreamSkipped_Data"}


def test_a_skip_inside_a_returned_tree_skips_the_dependents() -> None:
    """A node whose returned tree is skipped has no value: its dependents are skipped, it itself has started."""
    call = Recorder()
    inner = call("inner", lambda: call.skipped("deep"))
    told = told_by_engine(call("a", 1, inner))
    assert told["inner"] == "Succeeded"
    assert told["deep"] == "ConditionFalse"
    assert told["a"] == "UpstreamSkipped_Data"


def test_otherwise_does_not_stand_in_for_a_returned_tree() -> None:
    """`otherwise` speaks of the node's own condition, not of a condition in the tree that it returns."""
    call = Recorder()
    inner = call("inner", lambda: call.skipped("deep")).run_if(call("yes"), otherwise=5)
    with pytest.raises(DependencyMissingError, match="UpstreamSkipped_Data"):
        cs.run(call("a", 1, inner))


def test_handed_in_state_sees_skips() -> None:
    """A state backend that is handed in is told of each skip."""
    seen: list[tuple[str, str]] = []

    class Watching(InMemoryStateBackend):
        def mark_skipped(self, key: Any, reason: str) -> None:
            seen.append((str(key.path), str(reason)))
            super().mark_skipped(key, reason)

    call = Recorder()
    observe(call("a", 1, call.skipped("b")), lambda bus: Engine(bus=bus, state_backend_cls=Watching))
    assert ("root", "UpstreamSkipped_Data") in seen
    assert ("root.args.0", "ConditionFalse") in seen
