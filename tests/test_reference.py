"""The reference interpreter against cases whose answers stand in the design."""

from __future__ import annotations

import pytest
from descriptions import Workflow, World, total
from hypothesis import HealthCheck, given, settings
from observation import params_for
from recorder import Recorder, told_by_reference
from reference import Failed, Problem, Reason, Skipped, Value, interpret
from support.examples import examples
from workflows import workflows

import cascade as cs
from cascade.graph import CycleError


def test_values_go_to_any_depth_of_the_arguments() -> None:
    """Lazy results are found in lists, tuples and dicts; other containers are literals."""
    call = Recorder()
    a = call("a", 5)
    got = interpret(call("b", lambda *args, **kwargs: (args, kwargs), [a, (1, {"k": a})], key={2: a})).outcome
    assert got == Value((([5, (1, {"k": 5})],), {"key": {2: 5}}))


def test_a_diamond_runs_its_source_once() -> None:
    """Each lazy result is called once, however many want it."""
    call = Recorder()
    source = call("source")
    assert interpret(call("end", 1, call("left", 1, source), call("right", 1, source))).outcome == Value(1)
    assert call.ran == ["source", "left", "right", "end"]


def test_a_skipped_target_says_which_and_why() -> None:
    """The outcome of a skipped target has its name and reason."""
    call = Recorder()
    assert interpret(call("a").run_if(call("c", 0))).outcome == Skipped(Reason.CONDITION_FALSE, "a")
    assert interpret(call("b").after(call.skipped("a"))).outcome == Skipped(Reason.SEQUENCE, "b")


def test_a_sequence_is_no_node() -> None:
    """In `sequence([a, b, f(b)])` there are three nodes, and the value is that of the last."""
    call = Recorder()
    a, b = call("a"), call("b", 2)
    report = interpret(cs.sequence([a, b, call("f", lambda got: got + 1, b)]))
    assert report.outcome == Value(3)
    assert [each.name for each in report.told] == ["a", "b", "f"]


def test_a_sequence_that_bites_its_tail_is_a_cycle() -> None:
    """Nodes that wait for each other are a CycleError before anything runs."""
    call = Recorder()
    a = call("a")
    b = call("b", 1, a)
    with pytest.raises(CycleError):
        interpret(cs.gather(b, cs.sequence([b, a])))
    assert call.ran == []


def test_a_cycle_in_a_returned_tree_fails_the_task_that_returned_it() -> None:
    """A later structure is judged before its first node; the error belongs to the run."""
    call = Recorder()
    a = call("a")
    b = call("b", 1, a)
    report = interpret(call("above", 1, call("source", lambda: cs.gather(b, cs.sequence([b, a])))))
    assert report.outcome == Failed()
    assert report.problems == [Problem("CycleError")]
    assert call.ran == ["source"]


def test_a_router_gives_the_route_that_its_selector_names() -> None:
    """Routes are demanded only when chosen; a key without a route fails the consumer."""
    call = Recorder()
    routes = {0: call("zero", 10), None: call("none", 20)}
    assert interpret(call("a", lambda got: got, cs.Router(call("s", 0), routes))).outcome == Value(10)
    assert call.ran == ["s", "zero", "a"]
    assert interpret(call("a", lambda got: got, cs.Router(call("s", None), routes))).outcome == Value(20)
    missing = interpret(call("a", 1, cs.Router(call("s", "other"), routes)))
    assert missing.problems == [Problem("RouteNotFoundError")]
    assert call.ran[-1] == "s"


def test_a_map_calls_once_per_item() -> None:
    """A map gives its values in order; lazy items and lazy fixed arguments are computed once."""
    call = Recorder()
    task = call.task("m", lambda fixed, x, y=0: fixed + 10 * x + 100 * y)
    fixed = call("fixed", 1)
    target = task.partial(fixed).map(x=[1, call("item", 2)], y=call("ys", [3, 4]))
    assert interpret(target).outcome == Value([311, 421])
    assert sorted(call.ran) == ["fixed", "item", "m", "m", "ys"]
    assert interpret(call.task("m").map([])).outcome == Value([])


def test_a_map_of_a_factory_runs_what_it_returns() -> None:
    """`cs.map` runs a whole tree for each item, maps among them."""
    call = Recorder()
    task = call.task("m", lambda x: x + 1)
    assert interpret(cs.map(lambda n: task.map(range(n)), [0, 2, 1])).outcome == Value([[], [1, 2], [1]])


def test_a_skipped_item_is_an_error_of_the_map() -> None:
    """An item whose tree is skipped fails the map; the item itself has succeeded."""
    call = Recorder()
    report = interpret(cs.map(lambda n: call("t", n).run_if(call("c", n)), [1, 0]))
    assert report.problems == [Problem("MapItemSkippedError")]
    assert [each.verdict for each in report.told if each.name == "map"] == [
        "Succeeded",
        "Succeeded",
        "Failed",
    ]


@pytest.mark.parametrize(
    ("items", "kind"), [(5, "MapError"), ("text", "MapError"), ([1, 2, 3], "MapLengthError")]
)
def test_a_map_over_what_has_no_items_fails(items: object, kind: str) -> None:
    """Strings, single values and unequal lengths fail the map when they come to light."""
    call = Recorder()
    report = interpret(call.task("m").map([1, 2], y=call("items", items)))
    assert report.problems == [Problem(kind)]


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_a_retry_calls_once_more_than_it_allows(allowed: int) -> None:
    """`max_attempts` counts the re-tries; only the last error is one of the run's."""
    call = Recorder()
    report = interpret(call("a", ValueError("no")).with_retry(max_attempts=allowed))
    assert call.ran == ["a"] * (1 + allowed)
    assert report.problems == [Problem("ValueError", ("no",))]
    assert report.retries == ["a"] * allowed


def test_a_tail_call_stands_for_its_value() -> None:
    """A returned lazy result is run in its place; so is one inside a container that is not quoted."""
    call = Recorder()

    def count(n: int) -> object:
        return task(n - 1) if n else "end"

    task = call.task("count", count)
    assert interpret(call("a", lambda got: [got], task(5))).outcome == Value(["end"])
    assert call.ran == ["count"] * 6 + ["a"]
    inner = call("inner")
    assert interpret(call("b", [inner])).outcome == Value([1])
    assert interpret(call("c", cs.quote([inner]))).outcome == Value([inner])


def test_a_failure_stops_only_what_depends_on_it() -> None:
    """What depends on a failure is UpstreamFailed, whatever else would skip it; the rest runs."""
    call = Recorder()
    failing = call("f", ValueError("no"))
    target = call("a", 1, failing, call("rest")).after(call.skipped("b"))
    told = told_by_reference(target)
    assert told == {
        "a": "UpstreamFailed",
        "f": "Failed",
        "rest": "Succeeded",
        "b": "ConditionFalse",
        "b's condition": "Succeeded",
    }


def test_params_are_nodes_named_by_the_parameter() -> None:
    """A parameter is a node with its name; its value is the one given, else the default."""
    target = cs.gather(cs.Param("p", default=1), cs.Param("q", default=None))
    report = interpret(target, {"p": 5})
    assert report.outcome == Value([5, None])
    assert sorted(each.name for each in report.told) == ["gather", "p", "q"]


@settings(
    max_examples=examples(100),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(workflows())
def test_a_description_built_twice_does_the_same(workflow: Workflow) -> None:
    """Two trees of one description give the same reports and make the same calls."""
    reports = []
    for _ in range(2):
        world = World()
        with world.at_hand():
            target = workflow.build()
            try:
                report = interpret(target, params_for(target))
            except CycleError:
                return
        reports.append((report.outcome, report.problems, report.told, report.retries, world.calls))
    assert reports[0] == reports[1]


def test_random_workflows_are_of_all_kinds() -> None:
    """Among 300 random workflows each reason, each kind of problem and each kind of outcome occurs."""
    seen: set[str] = set()

    @settings(
        max_examples=300,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(workflows())
    def look(workflow: Workflow) -> None:
        with World().at_hand():
            target = workflow.build()
            try:
                report = interpret(target, params_for(target))
            except CycleError:
                seen.add("cycle")
                return
        seen.update(each.verdict for each in report.told)
        seen.update(each.kind for each in report.problems)
        seen.add(type(report.outcome).__name__)
        seen.update(["retried"] if report.retries else [])

    look()
    problems = {"BoomError", "RouteNotFoundError", "MapError", "MapItemSkippedError"}
    assert seen >= {
        "Value",
        "Skipped",
        "Failed",
        "Succeeded",
        "retried",
        "cycle",
        *problems,
        *map(str, Reason),
    }


def test_totals_take_all_numbers() -> None:
    """The sum that tasks make takes the numbers at any depth, and nothing else."""
    assert total([1, (2, {"k": 3}), None, "5", [], False]) == 6
