"""Claims about analysis: networkx, cycles and the critical path."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import networkx
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
    build_graph,
    critical_path,
    cycles,
    to_networkx,
)


@cs.task
def f(*args: object) -> object:
    return args


@cs.task
def g(*args: object) -> object:
    return args


def by_hand(nodes: str, *edges: str) -> Graph:
    return Graph([Node(name, name) for name in nodes], [Edge(edge[0], edge[1]) for edge in edges])


def ids(found: list[Node]) -> str:
    return "".join(node.id for node in found)


def test_networkx_gets_nodes_and_edges() -> None:
    """`to_networkx` gives every node and edge, parallel ones too, with their attributes."""
    shared = f()
    graph = build_graph(g(shared, [shared]).after(shared))
    made = to_networkx(graph)
    assert isinstance(made, networkx.MultiDiGraph)
    assert dict(made.nodes["n0"]) == {
        "name": "g",
        "node_type": "task",
        "structure_path": graph.target.structure_path,
        "tco_cycle_id": None,
    }
    assert str(made.nodes["n1"]["structure_path"]) == "root._dependencies.0"
    edges = [
        (source, target, data["edge_type"], data["label"]) for source, target, data in made.edges(data=True)
    ]
    assert sorted(edges) == [
        ("n1", "n0", "data", "0"),
        ("n1", "n0", "data", "1[0]"),
        ("n1", "n0", "sequence", ""),
    ]


def test_a_workflow_has_no_cycles() -> None:
    """The graph of a lazy tree without sequences has no cycle."""
    assert cycles(build_graph(g(f(f()), f()))) == []


def test_cycles_are_found() -> None:
    """Each cycle is given once, along its edges and from its first node, self-loops too."""
    graph = by_hand("abcdef", "ab", "bc", "ca", "cd", "de", "ed", "ff", "ba")
    assert [ids(cycle) for cycle in cycles(graph)] == ["ab", "abc", "de", "f"]


def test_parallel_edges_make_one_cycle() -> None:
    """Two edges between the same nodes do not double a cycle."""
    nodes = [Node("a", "a"), Node("b", "b")]
    edges = [Edge("a", "b"), Edge("a", "b", EdgeType.CONDITION), Edge("b", "a", EdgeType.SEQUENCE)]
    assert [ids(cycle) for cycle in cycles(Graph(nodes, edges))] == ["ab"]


def test_the_number_of_cycles_is_bounded() -> None:
    """Of a graph with more cycles than could ever be listed, at most `limit` are given."""
    names = "abcdefghijklmnopqrst"
    graph = by_hand(names, *(a + b for a in names for b in names if a != b))
    assert len(cycles(graph)) == 1000
    assert len(cycles(graph, limit=7)) == 7


def test_potential_edges_take_no_part() -> None:
    """A potential edge makes no cycle and lengthens no path."""
    nodes = [Node("a", "a"), Node("b", "b")]
    graph = Graph(nodes, [Edge("a", "b"), Edge("b", "a", EdgeType.POTENTIAL)])
    assert cycles(graph) == []
    assert ids(critical_path(graph)) == "ab"


def test_the_critical_path_counts_nodes() -> None:
    """Without durations the critical path is the one with most nodes, in the order in which they run."""
    assert ids(critical_path(by_hand("abcde", "ab", "bc", "cd", "ad", "ed"))) == "abcd"
    assert critical_path(Graph([])) == []


def test_the_critical_path_takes_durations() -> None:
    """Durations come by id, by task name or from a function, and decide the path."""
    graph = by_hand("abcd", "ab", "bd", "cd")
    assert ids(critical_path(graph, {"a": 1, "b": 1, "c": 3, "d": 0})) == "cd"
    assert ids(critical_path(graph, lambda node: 5.0 if node.name == "c" else 1.0)) == "cd"
    tree = build_graph(g(f(g()), g(), f()))
    other = tree.nodes[2]
    assert other.name == "g"
    assert critical_path(tree, {"f": 1, "g": 0, other.id: 7}) == [other, tree.target]


def test_equal_paths_are_told_apart_by_position() -> None:
    """Of equally long paths the one of more nodes is given, then the one of earlier nodes."""
    assert ids(critical_path(by_hand("abcd", "ac", "bc", "ad"))) == "ac"
    assert ids(critical_path(by_hand("abc", "bc"), {"a": 1, "b": 0, "c": 1})) == "bc"


def test_the_critical_path_needs_an_order() -> None:
    """A cycle is a `CycleError` with its tasks."""
    with pytest.raises(CycleError, match=r"a -> b -> a|b -> a -> b"):
        critical_path(by_hand("ab", "ab", "ba"))


@pytest.mark.parametrize("duration", [-1, math.nan])
def test_a_duration_is_a_span_of_time(duration: float) -> None:
    """A negative duration, or none that is a number, is refused with the node."""
    with pytest.raises(GraphError, match="the duration of node 'a' is"):
        critical_path(by_hand("a"), {"a": duration})


def test_a_missing_duration_is_named() -> None:
    """A node that durations know neither by id nor by name is refused."""
    with pytest.raises(GraphError, match="no duration for node 'b' of task 'b'"):
        critical_path(by_hand("ab", "ab"), {"a": 1})


@given(st.integers(1, 12), st.randoms())
def test_the_critical_path_is_the_longest(size: int, source: random.Random) -> None:
    """On any acyclic graph the path follows edges, and no other path takes longer."""
    edges = [(a, b) for b in range(size) for a in range(b) if source.random() < 0.3]
    durations = {str(index): float(source.randrange(10)) for index in range(size)}
    graph = Graph([Node(str(index), "t") for index in range(size)], [Edge(str(a), str(b)) for a, b in edges])

    def longest(to: int) -> float:
        return durations[str(to)] + max((longest(a) for a, b in edges if b == to), default=0.0)

    path = critical_path(graph, durations)
    assert all((int(a.id), int(b.id)) in edges for a, b in pairwise(path))
    assert sum(durations[node.id] for node in path) == max(map(longest, range(size)))


@given(st.integers(1, 6), st.randoms())
def test_cycles_agree_with_plain_search(size: int, source: random.Random) -> None:
    """On any small graph the cycles are those that a plain depth-first search finds."""
    edges = {(a, b) for a in range(size) for b in range(size) if source.random() < 0.3}
    graph = Graph(
        [Node(str(index), "t") for index in range(size)], [Edge(str(a), str(b)) for a, b in sorted(edges)]
    )

    def search(way: list[int]) -> Any:
        for a, b in edges:
            if a == way[-1] and b == way[0]:
                yield "".join(map(str, way))
            elif a == way[-1] and b > way[0] and b not in way:
                yield from search([*way, b])

    expected = sorted(found for start in range(size) for found in search([start]))
    assert sorted(ids(cycle) for cycle in cycles(graph)) == expected
