"""Claims about what the graph wheel makes public, and what it loads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import cascade as cs
from cascade import graph

NAMES = [
    "CycleError",
    "Edge",
    "EdgeType",
    "FileFormat",
    "Format",
    "Graph",
    "GraphError",
    "Mark",
    "MissingRasteriserError",
    "Node",
    "NodePolicies",
    "NodeRetry",
    "NodeType",
    "Picture",
    "Plan",
    "Status",
    "StructurePath",
    "UnknownFormatError",
    "build_graph",
    "critical_path",
    "cycles",
    "draw",
    "from_json",
    "plan",
    "stages",
    "structure_digest",
    "tail_calls",
    "to_dot",
    "to_json",
    "to_mermaid",
    "to_networkx",
    "visualize",
    "with_tail_calls",
]


def python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def test_the_public_names_of_the_graph_wheel() -> None:
    """`cascade.graph.__all__` is this list, sorted, and each name is there."""
    assert list(graph.__all__) == NAMES
    assert all(hasattr(graph, name) for name in NAMES)


def test_the_facade_gives_the_graph_wheels_names() -> None:
    """What the facade shows of the graph wheel are the names of `cascade.graph` themselves."""
    for name in ("Graph", "Picture", "build_graph", "draw", "plan", "visualize"):
        assert getattr(cs, name) is getattr(graph, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that the wheel does not have is an `AttributeError` that names it."""
    with pytest.raises(AttributeError, match=r"module 'cascade\.graph' has no attribute 'bulid_graph'"):
        graph.bulid_graph  # type: ignore[attr-defined]  # noqa: B018 - the claim


def test_networkx_is_loaded_where_it_is_used() -> None:
    """Building, planning, drawing, hashing and JSON load neither networkx nor asyncio; `cycles` loads networkx."""
    script = """if True:
        import sys
        import cascade as cs
        from cascade.graph import from_json, stages, structure_digest, to_json
        f = cs.task(len)
        target = f(f([1]))
        graph = cs.build_graph(target)
        stages(from_json(to_json(graph)))
        structure_digest(target), cs.visualize(target), cs.plan(target)
        print(sorted({"networkx", "asyncio", "concurrent", "cascade.runtime"} & set(sys.modules)), end=" ")
        from cascade.graph import cycles
        print("networkx" in sys.modules)
    """
    assert python(script) == "[] True"
