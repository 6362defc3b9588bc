"""Claims about building: which nodes, edges and structure paths a lazy tree gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.graph import EdgeType, Graph, NodeType, build_graph
from cascade.spec import CallError, ContractConflictError, Mode, NotLazyError, SpecError

calls: list[str] = []


@cs.task
def f(*args: object, **kwargs: object) -> object:
    calls.append("f")
    return None


@cs.task
def named(x: object, y: object = None) -> object:
    return x


def task(name: str) -> cs.LazyResult[object]:
    made: cs.Task[object] = cs.Task(f.func, name)
    return made()


def paths(target: object) -> dict[str, str]:
    """Return the structure path of each node, by task name."""
    return {node.name: str(node.structure_path) for node in build_graph(target).nodes}


def edges(target: object) -> list[tuple[str, EdgeType, str, str]]:
    """Return source, type, label and target of each edge, by task names."""
    graph = build_graph(target)
    names = {node.id: node.name for node in graph.nodes}
    return [(names[edge.source], edge.edge_type, edge.label, names[edge.target]) for edge in graph.edges]


def test_building_runs_nothing() -> None:
    """`build_graph` calls no task."""
    before = len(calls)
    build_graph(f(f(), x=[f.map([1, 2])]))
    assert len(calls) == before


def test_a_node_shows_its_call() -> None:
    """A node has name, kind, function, task and mode of its call, and the target is the graph's."""
    graph = build_graph(cs.task(mode="thread")(named.func)(f.map([1]), cs.Param("p")))
    target, mapped, param = graph.nodes
    assert graph.target == target
    assert (target.name, target.node_type, target.callable_obj) == ("named", NodeType.TASK, named.func)
    assert target.mode is Mode.THREAD
    assert (mapped.name, mapped.node_type, mapped.task) == ("f", NodeType.MAP, f)
    assert (param.name, param.node_type) == ("p", NodeType.PARAM)
    assert len({node.id for node in graph.nodes}) == len(graph) == 3


def test_lazies_are_found_at_any_depth() -> None:
    """Lazy results nested in lists, tuples and dicts of arguments are nodes, each with a DATA edge to its place."""
    tree = named([1, (task("a"), {"k": [task("b")]})], y={"m": 0, "n": task("c")})
    assert edges(tree) == [
        ("a", EdgeType.DATA, "x[1][0]", "named"),
        ("b", EdgeType.DATA, "x[1][1][0][0]", "named"),
        ("c", EdgeType.DATA, "y[1]", "named"),
    ]


def test_structure_paths() -> None:
    """A path names each step from the root: argument, container entry, condition, predecessor, amount."""
    tree = f(
        task("positional"),
        f.map([task("item"), 1]),
        x=[0, task("nested")],
    )
    tree = tree.run_if(task("condition")).run_if(task("second")).after(task("first"), task("then"))
    tree = tree.with_constraints(gpu=task("amount"))
    assert str(build_graph(tree).target.structure_path) == "root"
    assert {name: path for name, path in paths(tree).items() if name != "f"} == {
        "first": "root._dependencies.0",
        "then": "root._dependencies.1",
        "condition": "root._condition",
        "second": "root._condition.1",
        "amount": "root._constraints.gpu",
        "positional": "root.args.0",
        "item": "root.args.1.args.0[0]",
        "nested": "root.kwargs.x[1]",
    }


def test_structure_paths_of_routers_and_sequences() -> None:
    """Selector, routes (by position) and the members before a sequence's last have places of their own."""
    router = cs.Router(selector=task("selector"), routes={"a": task("first"), "b": task("second")})
    sequence = cs.sequence([task("before"), task("last")])
    assert paths(named(router, y=[sequence])) == {
        "named": "root",
        "selector": "root.args.0.selector",
        "first": "root.args.0.routes.0",
        "second": "root.args.0.routes.1",
        "last": "root.kwargs.y[0]",
        "before": "root.kwargs.y[0]._sequence.0",
    }


def test_structure_paths_do_not_depend_on_values() -> None:
    """Two trees of one structure have the same paths, whatever their literal values."""
    first = build_graph(f(named(1), x=[named("a", y=2)]))
    second = build_graph(f(named([3]), x=[named(None, y={})]))
    assert [node.structure_path for node in first.nodes] == [node.structure_path for node in second.nodes]
    assert first == second


def test_a_shared_lazy_result_is_one_node() -> None:
    """A lazy result in many places is one node at its first place, with an edge for each place."""
    shared = task("shared")
    tree = f(f(shared), [shared, shared], x=shared)
    assert len(build_graph(tree)) == 3
    assert paths(tree)["shared"] == "root.args.1[0]"
    assert sorted(label for source, _, label, _ in edges(tree) if source == "shared") == [
        "0",
        "1[0]",
        "1[1]",
        "x",
    ]
    assert len(build_graph(f(named(1), named(1)))) == 3


def test_an_edge_of_each_type() -> None:
    """Arguments, conditions, amounts, order and routes give edges of their own types, with the place as label."""
    tree = named(
        cs.Router(selector=task("selector"), routes={"a": task("left"), 2: task("right")}), y=task("data")
    )
    tree = tree.run_if(task("condition")).after(task("before")).with_constraints(gpu=task("amount"), cpu=1)
    assert edges(tree) == [
        ("before", EdgeType.SEQUENCE, "", "named"),
        ("condition", EdgeType.CONDITION, "", "named"),
        ("amount", EdgeType.CONSTRAINT, "gpu", "named"),
        ("selector", EdgeType.DATA, "x.selector", "named"),
        ("left", EdgeType.ROUTER_ROUTE, "x: 'a'", "named"),
        ("right", EdgeType.ROUTER_ROUTE, "x: 2", "named"),
        ("data", EdgeType.DATA, "y", "named"),
    ]


def test_a_sequence_orders_the_very_nodes_it_is_given() -> None:
    """`sequence([a, b, f(b)])` is no node: `b` is one node, after `a`, before and an argument of the last."""
    a, b = task("a"), task("b")
    assert sorted(edges(cs.sequence([a, b, named(b)]))) == [
        ("a", EdgeType.SEQUENCE, "", "b"),
        ("b", EdgeType.DATA, "x", "named"),
        ("b", EdgeType.SEQUENCE, "", "named"),
    ]


def test_the_members_of_a_target_sequence_are_walked() -> None:
    """The arguments of every member are nodes, also where the sequence is the target itself."""
    tree = cs.sequence([named(task("a")), f(task("b"))])
    assert ("a", EdgeType.DATA, "x", "named") in edges(tree)
    assert ("b", EdgeType.DATA, "0", "f") in edges(tree)


def test_a_sequence_stands_for_its_last_member() -> None:
    """The value of a sequence as argument, condition, predecessor or route is its last member's."""
    sequence = cs.sequence([task("first"), task("last")])
    for tree in (
        named(sequence),
        named(1).run_if(sequence),
        named(1).after(sequence),
        named(cs.Router(selector=task("selector"), routes={1: sequence})),
    ):
        found = edges(tree)
        assert ("first", EdgeType.SEQUENCE, "", "last") in found
        assert [target for source, _, _, target in found if source == "last"] == ["named"]
        assert [target for source, _, _, target in found if source == "first"] == ["last"]


def test_an_order_said_twice_is_one_edge() -> None:
    """The same predecessor through `after` and a sequence gives one SEQUENCE edge."""
    a, b = task("a"), task("b")
    assert edges(cs.sequence([a, named(1).after(a, a)])) == [("a", EdgeType.SEQUENCE, "", "named")]
    assert len(edges(f(cs.sequence([a, b]), cs.sequence([a, b])))) == 3


def test_a_container_is_gathered() -> None:
    """A list, tuple or dict as target is one node that takes the lazy results inside it."""
    assert [edge[0] for edge in edges([task("a"), (task("b"),)])] == ["a", "b"]
    assert edges({"x": task("a")}) == [("a", EdgeType.DATA, "values[0]", "gather")]


@pytest.mark.parametrize("target", [3, None, int, "text"])
def test_a_target_that_is_not_lazy_is_refused(target: object) -> None:
    """Anything but a lazy result or a container is refused with what to give."""
    with pytest.raises(NotLazyError, match="give the lazy result that calling a task returns"):
        build_graph(target)


@pytest.mark.parametrize("call", [named(), named(1, 2, 3), named(1, z=2), named(1, x=2), named.map(z=[1])])
def test_wrong_arity_and_names_are_refused(call: cs.LazyResult[object]) -> None:
    """A call that the signature does not take is refused while building, at any depth, and the task is named."""
    with pytest.raises(CallError, match=r"task 'named': .*; its signature is named"):
        build_graph(f([f(x=call)]))


def test_contracts_in_conflict_are_refused() -> None:
    """Two inputs of one name with different contracts are refused and both are named; equal ones are two nodes."""
    with pytest.raises(
        ContractConflictError, match=r"Param\('p', type=str\) and Param\('p', type=int\)"
    ) as told:
        build_graph(f(cs.Param("p"), [cs.Param("p", type=int)]))
    assert (told.value.first, told.value.second) == ("Param('p', type=str)", "Param('p', type=int)")
    assert len(build_graph(f(cs.Param("p"), cs.Param("p")))) == 3


@pytest.mark.parametrize("nest", [lambda lazy: {lazy}, lambda lazy: {lazy: 1}, lambda lazy: [{(1, lazy)}]])
def test_a_lazy_result_that_is_hashed_is_refused(nest: Any) -> None:
    """A lazy result as a set member or dict key is refused, and the error names the call that it was passed to."""
    with pytest.raises(SpecError, match=r"task 'named' at root\.args\.0, <LazyResult of 'f'> is a"):
        build_graph(f(named(nest(f()))))


def test_the_label_of_an_argument_is_its_parameter() -> None:
    """A DATA edge is labelled with the parameter's name, or the position where the signature has none."""
    assert edges(named(task("a"), task("b")))[1][2] == "y"
    assert edges(f(1, task("a")))[0][2] == "1"


def test_resources_are_no_nodes() -> None:
    """An injected resource, as argument or default, adds neither node nor edge."""

    @cs.task
    def query(conn: object = cs.inject("db")) -> None: ...

    graph = build_graph(named(query(), [cs.inject("db")]))
    assert len(graph) == 2
    assert len(graph.edges) == 1


def test_a_graph_is_the_same_each_time() -> None:
    """Building a tree twice gives equal graphs, with the same ids."""
    tree = f(named(1).after(f()), x=cs.Router(selector=f(), routes={1: f()}))
    assert build_graph(tree) == build_graph(tree)


@given(st.recursive(st.just(0), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=25))
def test_each_call_is_one_node(shape: Any) -> None:
    """A tree of calls has one node for each call and one edge for each argument."""

    def grow(part: Any) -> cs.LazyResult[object]:
        return f(*(grow(each) for each in part)) if part else f()

    def count(part: Any) -> int:
        return 1 + (sum(map(count, part)) if part else 0)

    graph: Graph = build_graph(grow(shape))
    assert len(graph) == count(shape)
    assert len(graph.edges) == count(shape) - 1


def test_a_sequence_that_is_taken_twice_orders_its_members_once() -> None:
    """A sequence that goes to two arguments has one edge between a member and the next, and one order."""
    steps = cs.sequence([f(), f(), f()])
    graph = build_graph(f(steps, [steps]))
    ordered = [(edge.source, edge.target) for edge in graph.edges if edge.edge_type is EdgeType.SEQUENCE]
    assert len(ordered) == len(set(ordered)) == 2
