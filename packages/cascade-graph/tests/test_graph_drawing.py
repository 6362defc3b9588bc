"""Claims about drawing: Mermaid and DOT, with whatever stands in a name."""

from __future__ import annotations

import re
from typing import Any

import pydot  # type: ignore[import-untyped, unused-ignore]
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.graph import (
    Edge,
    EdgeType,
    Format,
    Graph,
    Node,
    NodeType,
    UnknownFormatError,
    build_graph,
    to_dot,
    to_mermaid,
    visualize,
)
from cascade.spec import NotLazyError

# pydot 4.0 calls pyparsing 3.3 by the names of old.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated - use:DeprecationWarning")

HOSTILE = [
    'say "hi"',
    "back\\slash\\",
    "\\N \\G \\l \\n",
    "two\nlines\r\nthree",
    "]; n0 --> n1; end",
    '"] ; n9 [label="x',
    "<script>alert(1)</script>",
    "<b>bold</b> & &amp; &lt; #35; #quot;",
    "`markdown` **bold** 1. item",
    "%% comment",
    "style x: #123; classDef y: #f00;",
    "end",
    "graph",
    "a|b|c",
    "{}()[]<>",
    "",
    " ",
    "\x00\x07\x1b",
    "\ud800",
    "naïve 任务 🚀",
    "click n0 href 'javascript:alert(1)'",
    "direction LR",
    "the direction   TB of x",
    "subgraph direction direction RL",
]

EDGES = [Edge("a", "b", edge_type, "") for edge_type in EdgeType]


@cs.task
def load() -> None: ...


@cs.task
def parse(text: object) -> None: ...


def picture(*names: str) -> Graph:
    """Return a graph whose nodes and edges carry these texts, as names, ids and labels."""
    nodes = [Node(f"{index} {name}", name) for index, name in enumerate(names)]
    return Graph(nodes, [Edge(nodes[0].id, node.id, EdgeType.DATA, node.name) for node in nodes])


def read_dot(text: str) -> Any:
    (read,) = pydot.graph_from_dot_data(text) or []
    return read


def shown(quoted: str) -> str:
    """Return what Graphviz shows for a quoted label."""
    escapes = {"\\\\": "\\", '\\"': '"', "\\n": "\n", "&amp;": "&"}
    return re.sub(r'\\\\|\\"|\\n|&amp;', lambda found: escapes[found.group()], quoted[1:-1])


def expected(name: str) -> str:
    """Return a name with its lines joined by one kind of break, and what can't be shown replaced."""
    joined = "\n".join(name.splitlines())
    return re.sub("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", joined)


def test_mermaid() -> None:
    """Mermaid text is a flowchart with a line for each node and each edge."""
    graph = build_graph(parse(load()))
    assert to_mermaid(graph) == 'flowchart TD\n    n0["parse"]\n    n1["load"]\n    n1 -->|"text"| n0\n'


def test_dot() -> None:
    """DOT text is a digraph with a statement for each node and each edge."""
    graph = build_graph(parse(load()))
    assert to_dot(graph) == (
        'digraph cascade {\n    n0 [label="parse", shape=box];\n    n1 [label="load", shape=box];\n'
        '    n1 -> n0 [label="text", style=solid];\n}\n'
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_dot_labels_are_escaped(name: str) -> None:
    """Whatever stands in a name or label, DOT parses to the same nodes and edges and shows that text."""
    read = read_dot(to_dot(picture(name, "other")))
    assert [node.get_name() for node in read.get_nodes()] == ["n0", "n1"]
    assert [(edge.get_source(), edge.get_destination()) for edge in read.get_edges()] == [
        ("n0", "n0"),
        ("n0", "n1"),
    ]
    assert shown(read.get_nodes()[0].get_label()) == expected(name)
    assert shown(read.get_edges()[0].get_label()) == expected(name)


@given(st.text())
def test_dot_shows_any_text(name: str) -> None:
    """Any text at all is shown by DOT as it is."""
    (line,) = [line for line in to_dot(picture(name)).split("\n") if "shape" in line]
    found = re.fullmatch(r'    n0 \[label=("(?:[^"\\]|\\.)*"), shape=box\];', line)
    assert found
    assert shown(found[1]) == expected(name)


MERMAID_LINE = re.compile(
    r"""flowchart\ TD
    | \ \ \ \ n\d+(\[|\[\[|\(\[)"(?P<node>[^"]*)"(\]|\]\]|\]\))
    | \ \ \ \ n\d+\ [-.=>ox]+(\|"(?P<edge>[^"]*)"\|)?\ n\d+""",
    re.VERBOSE,
)
MERMAID_LABEL = re.compile(r"(?:[\w ,]|#\d+;|<br/>)+")


@given(st.text() | st.sampled_from(HOSTILE))
def test_mermaid_labels_are_escaped(name: str) -> None:
    """A Mermaid label holds letters, digits, blanks, commas, codes and our own breaks; decoded it is the text."""
    lines = to_mermaid(picture(name)).removesuffix("\n").split("\n")
    matches = [MERMAID_LINE.fullmatch(line) for line in lines]
    assert all(matches)
    assert len(lines) == 3
    node, edge = matches[1], matches[2]
    assert node is not None
    assert edge is not None
    for label, otherwise in ((node["node"], " "), (edge["edge"], None)):
        assert label is None or MERMAID_LABEL.fullmatch(label)
        assert decoded(label) == (expected(name) or otherwise)


@pytest.mark.parametrize("way", ["TB", "BT", "RL", "LR", "TD"])
@pytest.mark.parametrize("blank", [" ", "  ", "\t", "\u00a0", "\n"])
def test_a_mermaid_label_is_no_direction(way: str, blank: str) -> None:
    """Mermaid reads a line that holds `direction LR` anywhere as that statement, so no line of ours does."""
    drawn = to_mermaid(picture(f"in direction{blank}{way} of travel"))
    assert not re.search(rf"direction\s+{way}", drawn)


def decoded(label: str | None) -> str | None:
    if label is None:
        return None
    return re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label.replace("<br/>", "\n"))


def test_each_edge_type_has_a_style_of_its_own() -> None:
    """No two edge types are drawn alike, in either format."""
    graph = Graph([Node("a", "a"), Node("b", "b")], EDGES)
    arrows = [line.split()[1].split("|")[0] for line in to_mermaid(graph).splitlines()[3:]]
    styles = [line.split('", ')[1] for line in to_dot(graph).splitlines()[3:-1]]
    assert len(set(arrows)) == len(set(styles)) == len(EdgeType)


def test_each_node_type_has_a_shape_of_its_own() -> None:
    """No two node types are drawn alike, in either format."""
    graph = Graph([Node(node_type, "x", node_type) for node_type in NodeType], target=NodeType.TASK)
    shapes = [line.strip()[2:] for line in to_mermaid(graph).splitlines()[1:]]
    assert len(set(shapes)) == len(NodeType)
    read = read_dot(to_dot(graph))
    assert len({node.get_shape() for node in read.get_nodes()}) == len(NodeType)


def test_edges_without_a_label_say_what_they_are() -> None:
    """A condition, an order, an amount, a route or a potential call without a label gets a word."""
    graph = Graph([Node("a", "a"), Node("b", "b")], EDGES)
    words = {shown(edge.get_label()) for edge in read_dot(to_dot(graph)).get_edges()}
    assert words == {"", "if", "amount", "then", "route", "may call"}


def test_visualize_takes_targets_and_graphs() -> None:
    """`cs.visualize` draws a lazy result, a container of some or a graph; in Mermaid unless told otherwise."""
    lazy = parse(load())
    graph = build_graph(lazy)
    assert cs.visualize(lazy) == visualize(graph) == to_mermaid(graph)
    assert cs.visualize(lazy, format="dot") == visualize(graph, Format.DOT) == to_dot(graph)
    assert cs.visualize([lazy]) == to_mermaid(build_graph([lazy]))
    with pytest.raises(NotLazyError, match="the target is int"):
        cs.visualize(3)


def test_drawing_shows_no_value() -> None:
    """Neither arguments nor defaults of inputs are drawn."""
    lazy = parse(
        ["hunter2", cs.Secret("token", default="hunter2"), load().run_if(load(), otherwise="hunter2")]
    )
    for format in Format:
        assert "hunter2" not in cs.visualize(lazy, format)


def test_an_unknown_format_lists_the_known_ones() -> None:
    """An unknown format is a `CascadeError` that lists those that there are."""
    with pytest.raises(
        UnknownFormatError, match="unknown format 'svg'; use one of 'mermaid', 'dot'"
    ) as caught:
        cs.visualize(load(), format="svg")
    assert isinstance(caught.value, cs.CascadeError)
    assert caught.value.known == ("mermaid", "dot")
