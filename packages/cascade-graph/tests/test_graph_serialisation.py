"""Claims about JSON: a picture goes out and comes back, and nothing else does."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.graph import (
    Edge,
    EdgeType,
    Graph,
    GraphError,
    Node,
    NodePolicies,
    NodeRetry,
    NodeType,
    StructurePath,
    build_graph,
    from_json,
    stages,
    to_dot,
    to_json,
    to_mermaid,
)
from cascade.graph.path import ROOT, Place, Segment
from cascade.spec import Mode


@cs.task
def f(*args: object, **kwargs: object) -> object:
    return args


def rich() -> cs.LazyResult[object]:
    """Return a tree with every kind of node, edge and place."""
    router = cs.Router(selector=f(), routes={"a": f(), 2: f(f())})
    tree = f(router, [1, {"k": f.map([f(), 2])}], x=cs.Param("p", default=3)).run_if(f()).run_if(f())
    return cs.sequence([f(), tree.after(f()).with_constraints(gpu=f())])


def segments() -> st.SearchStrategy[Segment]:
    at = st.integers(0, 5) | st.text(max_size=3)
    return st.builds(Segment, st.sampled_from(Place), at, st.lists(st.integers(0, 3), max_size=2).map(tuple))


def structure_paths() -> st.SearchStrategy[StructurePath]:
    def path(found: list[Segment]) -> StructurePath:
        at = StructurePath()
        for each in found:
            at = at.below(each)
        return at

    return st.lists(segments(), max_size=4).map(path)


def node_policies() -> st.SearchStrategy[NodePolicies]:
    seconds = st.none() | st.integers(0, 9) | st.floats(0, 9)
    factor = st.floats(0, 1)
    names = st.lists(st.text(max_size=3), max_size=2).map(tuple)
    retry = st.builds(NodeRetry, st.integers(0, 9), seconds, factor, factor, seconds, names)
    whole = st.none() | st.integers(1, 9)
    return st.builds(
        NodePolicies, st.none() | retry, seconds, st.none() | st.text(), names, st.booleans(), whole
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    ids = draw(st.lists(st.text(), min_size=1, max_size=6, unique=True))
    ends = st.sampled_from(ids)
    edges = draw(st.lists(st.builds(Edge, ends, ends, st.sampled_from(EdgeType), st.text()), max_size=8))
    target = draw(ends)
    firm = [edge for edge in edges if edge.edge_type is not EdgeType.POTENTIAL]
    called = {target, *(edge.source for edge in firm), *(edge.target for edge in firm)}
    kinds = [kind for kind in NodeType if kind is not NodeType.POTENTIAL]
    nodes = [
        Node(
            id=each,
            name=draw(st.text()),
            node_type=draw(st.sampled_from(kinds if each in called else NodeType)),
            structure_path=draw(st.none() | structure_paths()),
            mode=draw(st.none() | st.sampled_from(Mode)),
            tco_cycle_id=draw(st.none() | st.text()),
            policies=draw(node_policies()),
        )
        for each in ids
    ]
    return Graph(nodes, edges, target)


@given(graphs())
def test_any_picture_comes_back(graph: Graph) -> None:
    """Any graph of plain pictures is equal to itself after the round trip, and writes the same text again."""
    text = to_json(graph)
    assert from_json(text) == graph
    assert to_json(from_json(text)) == text


def test_a_workflow_comes_back_as_its_picture() -> None:
    """A loaded workflow equals its picture: all but functions and tasks, structure paths among it."""
    graph = build_graph(rich())
    loaded = from_json(to_json(graph))
    assert loaded == graph.picture()
    assert [node.structure_path for node in loaded.nodes] == [node.structure_path for node in graph.nodes]
    assert all(node.callable_obj is None and node.task is None for node in loaded.nodes)
    assert loaded.target.structure_path == ROOT


def test_a_loaded_graph_can_be_planned_and_drawn() -> None:
    """A loaded picture has the plan and the drawings of the graph that it was written from."""
    graph = build_graph(rich())
    loaded = from_json(to_json(graph))
    assert stages(loaded) == stages(graph)
    assert to_mermaid(loaded) == to_mermaid(graph)
    assert to_dot(loaded) == to_dot(graph)


def test_policies_are_shown_and_written() -> None:
    """A node shows the policies of its call, and they come back: numbers and names, a wait without an end as null."""
    retry = cs.RetryPolicy(2, delay=1.5, max_delay=math.inf, on=(OSError, ValueError))
    lazy = (
        f(f.map([1], max_concurrency=3).with_timeout(math.inf))
        .with_cache(cs.ByInputs())
        .with_timeout(5)
        .with_constraints(gpu=1, memory=f())
        .run_if(f(), otherwise=None)
    )
    lazy = cs.task(retry=retry)(f.func)(lazy)
    graph = build_graph(lazy)
    shown = [node.policies for node in from_json(to_json(graph)).nodes]
    assert shown == [node.policies for node in graph.nodes]
    assert [policies for policies in shown if policies != NodePolicies()] == [
        NodePolicies(retry=NodeRetry(2, 1.5, 1.0, 0.0, None, ("OSError", "ValueError"))),
        NodePolicies(timeout=5, cache="ByInputs", constraints=("gpu", "memory"), otherwise=True),
        NodePolicies(max_concurrency=3),
    ]
    json.loads(to_json(graph), parse_constant=pytest.fail)


def test_an_empty_graph_comes_back() -> None:
    """A graph without nodes comes back as one."""
    assert from_json(to_json(Graph([]))) == Graph([])


def test_equal_trees_give_equal_texts() -> None:
    """Two trees of one structure write the same text."""
    assert to_json(build_graph(rich())) == to_json(build_graph(rich()))


def test_no_value_is_written() -> None:
    """No literal argument, default, amount, `otherwise` value or secret is in the text."""
    lazy = f("hunter2", [f(b"hunter2")], x=cs.Secret("token", default="hunter2"))
    lazy = lazy.run_if(cs.Param("p", default="hunter2", description="hunter2"), otherwise="hunter2")
    lazy = lazy.with_constraints(gpu=770077).with_cache(cs.ByInputs(version="hunter2"))
    text = to_json(build_graph(lazy))
    assert "hunter2" not in text
    assert "770077" not in text


def test_the_size_is_linear() -> None:
    """The text of a chain grows by the same amount per node, however deep."""

    def size(depth: int) -> int:
        lazy = f()
        for _ in range(depth):
            lazy = f(lazy)
        return len(to_json(build_graph(lazy)))

    assert size(4000) < 4.2 * size(1000)


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    lazy = cs.task(mode="thread", retry=2)(f.func)(1, [f()])
    data = json.loads(to_json(build_graph(lazy)))
    change(data)
    return json.dumps(data)


BROKEN: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("no version", lambda data: data.pop("version"), "the graph has no field 'version'"),
    ("another version", lambda data: data.update(version=1), "schema version 1, and this Cascade reads 2"),
    (
        "a true version",
        lambda data: data.update(version=True),
        "'version' of the graph must be a whole number",
    ),
    ("no nodes", lambda data: data.pop("nodes"), "the graph has no field 'nodes'"),
    ("no edges", lambda data: data.pop("edges"), "the graph has no field 'edges'"),
    ("no paths", lambda data: data.pop("paths"), "the graph has no field 'paths'"),
    ("no target", lambda data: data.pop("target"), "the graph has no field 'target'"),
    ("nodes no list", lambda data: data.update(nodes={}), "'nodes' of the graph must be an array"),
    ("a node no object", lambda data: data["nodes"].append(3), r"nodes\[2\] must be an object"),
    ("no name", lambda data: data["nodes"][1].pop("name"), r"nodes\[1\] has no field 'name'"),
    ("no mode", lambda data: data["nodes"][1].pop("mode"), r"nodes\[1\] has no field 'mode'"),
    ("a number as id", lambda data: data["nodes"][0].update(id=1), r"'id' of nodes\[0\] must be a string"),
    (
        "two of one id",
        lambda data: data["nodes"][0].update(id="n1"),
        "two nodes of one graph have the same id",
    ),
    (
        "unknown node type",
        lambda data: data["nodes"][0].update(type="loop"),
        r"'type' of nodes\[0\] is 'loop'; known are 'task', 'map', 'param'",
    ),
    (
        "no cycle",
        lambda data: data["nodes"][1].pop("tco_cycle_id"),
        r"nodes\[1\] has no field 'tco_cycle_id'",
    ),
    (
        "a potential target",
        lambda data: data["nodes"][0].update(type="potential"),
        "node 'n0' is potential, so it takes potential edges only",
    ),
    ("no policies", lambda data: data["nodes"][1].pop("policies"), r"nodes\[1\] has no field 'policies'"),
    (
        "a retry no object",
        lambda data: data["nodes"][0]["policies"].update(retry=3),
        r"'retry' of 'policies' of nodes\[0\] must be an object or null",
    ),
    (
        "a delay of text",
        lambda data: data["nodes"][0]["policies"]["retry"].update(delay="1"),
        r"'delay' of 'retry' of 'policies' of nodes\[0\] must be a whole number or a number or null",
    ),
    (
        "a constraint no name",
        lambda data: data["nodes"][0]["policies"].update(constraints=[1]),
        r"'constraints' of 'policies' of nodes\[0\] must hold strings only",
    ),
    ("unknown mode", lambda data: data["nodes"][0].update(mode="gpu"), r"'mode' of nodes\[0\] is 'gpu'"),
    (
        "no such path",
        lambda data: data["nodes"][0].update(path=9),
        r"'path' of nodes\[0\] is 9, where no path stands",
    ),
    ("a negative path", lambda data: data["nodes"][0].update(path=-1), r"'path' of nodes\[0\] is -1"),
    (
        "unknown edge type",
        lambda data: data["edges"][0].update(type="magic"),
        r"'type' of edges\[0\] is 'magic'",
    ),
    (
        "a dangling edge",
        lambda data: data["edges"][0].update(source="n7"),
        "names node 'n7', which is not in",
    ),
    ("no label", lambda data: data["edges"][0].pop("label"), r"edges\[0\] has no field 'label'"),
    ("a missing target", lambda data: data.update(target="n7"), "names node 'n7'"),
    ("a path below itself", lambda data: data["paths"][1].update(parent=1), r"'parent' of paths\[1\] is 1"),
    (
        "a place unknown",
        lambda data: data["paths"][1]["segment"].update(place="x"),
        r"'place' of paths\[1\] is 'x'",
    ),
    ("no place", lambda data: data["paths"][1]["segment"].pop("place"), r"paths\[1\] has no field 'place'"),
    (
        "a step no number",
        lambda data: data["paths"][1]["segment"].update(steps=["a"]),
        r"'steps' of paths\[1\] must",
    ),
    (
        "a step true",
        lambda data: data["paths"][1]["segment"].update(steps=[True]),
        r"'steps' of paths\[1\] must",
    ),
    (
        "at a fraction",
        lambda data: data["paths"][1]["segment"].update(at=1.5),
        r"'at' of paths\[1\] must be a whole",
    ),
]


@pytest.mark.parametrize(("change", "told"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_malformed_input_is_refused(change: Callable[[dict[str, Any]], object], told: str) -> None:
    """What is missing, unknown, dangling or of a wrong type is a `GraphError` that names it and its place."""
    with pytest.raises(GraphError, match=told):
        from_json(changed(change))


@pytest.mark.parametrize("text", ["", "{", "nodes", "[" * 100_000, '{"version": 1'])
def test_what_is_not_json_is_refused(text: str) -> None:
    """Text that is no JSON is a `GraphError` that says so, however deep it is nested."""
    with pytest.raises(GraphError, match="the graph is not JSON"):
        from_json(text)


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null"])
def test_what_is_no_object_is_refused(text: str) -> None:
    """JSON of anything but an object is refused."""
    with pytest.raises(GraphError, match="the graph must be an object"):
        from_json(text)


@given(st.integers(0, 2**32))
def test_damaged_text_never_fails_otherwise(seed: int) -> None:
    """Text with random parts removed or replaced is read or is a `GraphError`, and nothing else."""
    source = random.Random(seed)
    text = list(to_json(build_graph(rich())))
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(text))
        text[at : at + source.randint(0, 4)] = source.choice(
            ['"', "0", "-", "{}", "[]", "null", "", "true", "1e9"]
        )
    try:
        from_json("".join(text))
    except GraphError as error:
        assert str(error)  # noqa: PT017 - either way is right
