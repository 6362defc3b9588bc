"""Claims about graphs made by hand, structure paths and plans."""

from __future__ import annotations

import pickle
import random
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.graph import (
    CycleError,
    Edge,
    EdgeType,
    Graph,
    GraphError,
    Node,
    StructurePath,
    UnknownFormatError,
    build_graph,
    plan,
    stages,
)
from cascade.graph.path import ROOT, Place, segment


@cs.task
def f(*args: object) -> object:
    return args


def by_hand(*edges: tuple[str, str]) -> Graph:
    names = dict.fromkeys(name for edge in edges for name in edge)
    return Graph([Node(name, name) for name in names], [Edge(source, target) for source, target in edges])


def names(found: object) -> list[list[str]]:
    return [[node.name for node in stage] for stage in found]  # type: ignore[attr-defined]


def test_a_graph_by_hand() -> None:
    """A graph made of nodes and edges has the last node as target, unless told otherwise."""
    nodes = [Node("", "empty id"), Node("b", "b")]
    assert Graph(nodes, [Edge("", "b")]).target.id == "b"
    assert Graph(nodes, target="").target.name == "empty id"


def test_a_node_has_an_id_of_its_own() -> None:
    """Two nodes of one id are refused."""
    with pytest.raises(GraphError, match="two nodes of one graph have the same id"):
        Graph([Node("a", "a"), Node("a", "b")])


def test_an_edge_has_two_ends() -> None:
    """An edge or a target that names a missing node is refused, and the node is named."""
    with pytest.raises(GraphError, match="names node 'b', which is not in the graph"):
        Graph([Node("a", "a")], [Edge("b", "a")])
    with pytest.raises(GraphError, match="names node 'c'"):
        Graph([Node("a", "a")], target="c")


def test_an_empty_graph_has_no_target() -> None:
    """A graph without nodes has an empty plan, and asking for its target is refused."""
    assert list(stages(Graph([]))) == []
    with pytest.raises(GraphError, match="the graph is empty"):
        Graph([]).target  # noqa: B018 - the claim


def test_graphs_are_equal_by_content() -> None:
    """Two graphs are equal if nodes, edges and target are; a difference in any of them tells them apart."""
    assert by_hand(("a", "b")) == by_hand(("a", "b"))
    assert by_hand(("a", "b")) != by_hand(("b", "a"))
    nodes = [Node("a", "a"), Node("b", "b")]
    assert Graph(nodes, target="a") != Graph(nodes)
    assert Graph(nodes) != Graph(nodes, [Edge("a", "b")])
    assert Graph(nodes) != Graph(nodes[:1])
    assert Graph([Node("a", "a", structure_path=ROOT)]) != Graph([Node("a", "a")])
    assert build_graph(f(f())) == build_graph(f(f()))
    assert build_graph(f([f()])) != build_graph(f(f()))
    assert Graph(nodes) != nodes


def test_a_picture_has_no_functions() -> None:
    """`picture()` keeps names, kinds, paths and edges and leaves out functions and tasks."""
    graph = build_graph(f(f()))
    picture = graph.picture()
    assert picture != graph
    assert picture.picture() == picture
    assert [node.callable_obj or node.task for node in picture.nodes] == [None, None]
    assert [(node.id, node.name) for node in picture.nodes] == [(node.id, node.name) for node in graph.nodes]
    assert (picture.edges, picture.target.id) == (graph.edges, graph.target.id)
    assert Graph([]).picture() == Graph([])


def test_nodes_and_edges_are_frozen() -> None:
    """Neither a node nor an edge can be written to."""
    with pytest.raises(AttributeError):
        Node("a", "a").name = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Edge("a", "b").label = "x"  # type: ignore[misc]


def test_nodes_can_be_sliced() -> None:
    """The nodes of a graph are a sequence: by index from both ends, and by slice."""
    nodes = build_graph(f(f(), f())).nodes
    assert [node.id for node in nodes[1:]] == ["n1", "n2"]
    assert nodes[-1].id == "n2"
    with pytest.raises(IndexError):
        nodes[3]


def test_equal_paths_are_one_key() -> None:
    """Structure paths of the same segments are equal and hash alike; any other segment tells them apart."""
    one = ROOT.below(segment(Place.ARGUMENT, 0, (1,))).below(segment(Place.ROUTE, 2))
    same = StructurePath().below(segment(Place.ARGUMENT, 0, (1,))).below(segment(Place.ROUTE, 2))
    assert one == same
    assert hash(one) == hash(same)
    assert str(one) == "root.args.0[1].routes.2"
    assert repr(one) == "StructurePath('root.args.0[1].routes.2')"
    others = [
        one.parent,
        ROOT,
        same.below(segment(Place.ROUTE, 2)),
        ROOT.below(segment(Place.ARGUMENT, 0, (1,))),
    ]
    assert one not in others
    assert ROOT.below(segment(Place.ARGUMENT, 0)) != ROOT.below(segment(Place.KEYWORD, "0"))


def test_stages_by_hand() -> None:
    """A node stands in the earliest stage after all that it may wait for."""
    assert names(stages(by_hand(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("e", "d")))) == [
        ["a", "e"],
        ["b", "c"],
        ["d"],
    ]


def test_a_plan_is_a_list_of_stages() -> None:
    """A plan can be iterated over, indexed, sliced and compared, and `order` is its nodes by position."""
    made = stages(by_hand(("a", "b"), ("b", "c")))
    assert len(made) == 3
    assert names([made[0], made[-1]]) == [["a"], ["c"]]
    assert names(made[1:]) == [["b"], ["c"]]
    assert made.order == (0, 1, 2)
    assert made == stages(by_hand(("x", "y"), ("y", "z")))
    assert hash(made) == hash(stages(by_hand(("x", "y"), ("y", "z"))))
    assert repr(made) == "<Plan of 3 nodes in 3 stages>"


def test_a_printed_plan_is_a_table() -> None:
    """`print(cs.plan(x))` shows each node with its stage, and what it waits for; many names are counted."""
    nodes = [Node("a", "load a\nfile"), Node("b", "sum"), *(Node(str(n), "n") for n in range(8))]
    edges = [Edge("a", "b"), *(Edge(str(n), "b") for n in range(8))]
    lines = str(stages(Graph(nodes, edges, "b"))).splitlines()
    assert lines[0].split() == ["STAGE", "NODE", "TASK", "KIND", "WAITS", "FOR"]
    assert lines[1] == "1      a     load a file  task"
    assert lines[-1] == "2      b     sum          task  a, 0, 1, 2, 3, 4 and 3 more"
    assert len(lines) == 11


def test_equal_trees_give_equal_plans() -> None:
    """A plan depends on the structure alone."""
    assert plan(f(f(1), f(2))) == plan(f(f(3), f(4)))


def test_a_plan_waits_for_everything_but_potential_edges() -> None:
    """Data, conditions, amounts, order and routes order a plan; a potential edge does not."""
    nodes = [Node("a", "a"), Node("b", "b")]
    for edge_type in EdgeType:
        made = stages(Graph(nodes, [Edge("b", "a", edge_type)]))
        assert names(made) == ([["a", "b"]] if edge_type is EdgeType.POTENTIAL else [["b"], ["a"]])


def test_a_plan_of_a_workflow() -> None:
    """Every node of a tree stands after its inputs, conditions, amounts, predecessors, selectors and routes."""
    router = cs.Router(selector=f(), routes={1: f(f()), 2: f()})
    tree = f(router, [f()]).run_if(f()).after(f(f())).with_constraints(gpu=f())
    made = plan(cs.sequence([f(), tree]))
    stage_of = {node.id: index for index, stage in enumerate(made) for node in stage}
    assert len(stage_of) == len(made.graph) == 11
    assert all(stage_of[edge.source] < stage_of[edge.target] for edge in made.graph.edges)


@given(st.integers(1, 30), st.randoms())
def test_a_plan_keeps_the_order_of_any_graph(size: int, source: random.Random) -> None:
    """In the plan of any acyclic graph each node stands one stage after the last that it waits for."""
    pairs = [(str(a), str(b)) for a in range(size) for b in range(a) if source.random() < 0.2]
    graph = Graph([Node(str(index), str(index)) for index in range(size)], [Edge(a, b) for a, b in pairs])
    stage_of = {node.id: index for index, stage in enumerate(stages(graph)) for node in stage}
    for name in stage_of:
        waits = [stage_of[a] for a, b in pairs if b == name]
        assert stage_of[name] == max(waits, default=-1) + 1


def test_a_cycle_by_hand_is_refused() -> None:
    """A cycle made through the graph API is a `CycleError` that names its tasks in order, and those alone."""
    graph = by_hand(("start", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "end"))
    with pytest.raises(CycleError) as caught:
        stages(graph)
    assert sorted(caught.value.names) == ["a", "b", "c"]
    doubled = "".join(caught.value.names * 2)
    assert "abc" in doubled
    assert " -> " in str(caught.value)
    with pytest.raises(CycleError, match="a -> a"):
        stages(by_hand(("a", "a")))


def test_sequences_may_make_a_cycle() -> None:
    """Sequences that contradict each other, or the data, are a `CycleError` in the plan."""
    a, b = f(), f()
    for target in (
        [cs.sequence([a, b]), cs.sequence([b, a])],
        cs.sequence([f(a), a]),
        cs.sequence([a, b, a]),
    ):
        with pytest.raises(CycleError):
            plan(target)


def test_errors_survive_pickling() -> None:
    """The errors of the graph wheel keep class, text, facts and notes."""
    for error in (GraphError("a problem"), CycleError(("a", "b")), UnknownFormatError("svg", ("dot",))):
        error.add_note("note")
        read = pickle.loads(pickle.dumps(error))
        assert type(read) is type(error)
        assert (str(read), vars(read)) == (str(error), vars(error))
        assert isinstance(read, ValueError)
        assert isinstance(read, cs.CascadeError)


def test_a_graph_lets_go_of_its_tree() -> None:
    """When a graph is freed, the lazy results that it was built from are freed too."""
    lazy = f(f())
    alive = weakref.ref(lazy)
    graph = build_graph(lazy)
    assert graph.edges
    del lazy, graph
    assert alive() is None
