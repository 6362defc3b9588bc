"""Claims about size: chains and fans of 100,000 nodes, whatever connects them."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import cascade as cs
from cascade.graph import (
    build_graph,
    critical_path,
    cycles,
    from_json,
    plan,
    stages,
    structure_digest,
    to_dot,
    to_json,
    to_mermaid,
    to_networkx,
)

DEPTH = 100_000
Lazy = cs.LazyResult[Any]


@cs.task
def f(*args: object) -> object:
    return args


def chain(step: Callable[[Lazy], Lazy]) -> Lazy:
    lazy: Lazy = f()
    for _ in range(DEPTH - 1):
        lazy = step(lazy)
    return lazy


@pytest.fixture(scope="module")
def deep() -> Lazy:
    return chain(lambda lazy: f(lazy))


LINKS: dict[str, Callable[[Lazy], Lazy]] = {
    "argument": lambda lazy: f([lazy]),
    "condition": lambda lazy: f().run_if(lazy),
    "predecessor": lambda lazy: f().after(lazy),
    "amount": lambda lazy: f().with_constraints(gpu=lazy),
    "route": lambda lazy: f(cs.Router(selector=lazy, routes={1: lazy})),
    "sequence": lambda lazy: cs.sequence([lazy, f()]),
}


@pytest.mark.parametrize("link", LINKS)
def test_a_deep_chain_is_built_planned_and_freed(link: str) -> None:
    """A chain of 100,000 through any kind of link is built, planned and freed without recursion."""
    if link == "sequence":
        lazy: Lazy = cs.sequence([f() for _ in range(DEPTH)])
    else:
        lazy = chain(LINKS[link])
    graph = build_graph(lazy)
    assert len(graph) == DEPTH
    assert len(stages(graph)) == DEPTH
    alive = weakref.ref(graph.tree.lazies[-1]) if graph.tree else None
    assert alive is not None
    del graph, lazy
    assert alive() is None


def test_a_deep_chain_is_hashed(deep: Lazy) -> None:
    """The structure digest of a chain of 100,000 is made without recursion."""
    assert len(structure_digest(deep)) == 64


def test_a_deep_chain_is_drawn(deep: Lazy) -> None:
    """Both drawings of a chain of 100,000 have a line per node and edge."""
    graph = build_graph(deep)
    assert to_mermaid(graph).count("\n") == 2 * DEPTH
    assert to_dot(graph).count("\n") == 2 * DEPTH + 1


def test_a_deep_chain_is_serialised(deep: Lazy) -> None:
    """A chain of 100,000 takes less than 300 characters per node, and comes back as its picture in seconds."""
    graph = build_graph(deep)
    text = to_json(graph)
    assert len(text) < 300 * DEPTH
    started = time.perf_counter()
    assert from_json(text) == graph.picture()
    assert time.perf_counter() - started < 30  # comparing each path with its whole way takes minutes


def test_a_deep_chain_is_analysed(deep: Lazy) -> None:
    """networkx, cycles and the critical path take a chain of 100,000 without recursion."""
    graph = build_graph(deep)
    assert len(to_networkx(graph)) == DEPTH
    assert cycles(graph) == []
    assert len(critical_path(graph)) == DEPTH


def test_the_path_of_a_deep_node(deep: Lazy) -> None:
    """The structure path of the deepest node is rendered, compared and hashed without recursion."""
    first, second = build_graph(deep).nodes[-1].structure_path, build_graph(deep).nodes[-1].structure_path
    assert first == second
    assert hash(first) == hash(second)
    assert str(first) == "root" + ".args.0" * (DEPTH - 1)


def test_a_wide_fan_is_built_planned_and_hashed() -> None:
    """A call of 100,000 lazy results, in a list or a dict, is built, planned in two stages and hashed."""
    for fan in (f([f() for _ in range(DEPTH)]), f({index: [f()] for index in range(DEPTH)})):
        assert [len(stage) for stage in plan(fan)] == [DEPTH, 1]
        assert len(structure_digest(fan)) == 64
