"""Any workflow can be recorded as bytes and read again: the tree that comes back is the one that was recorded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from descriptions import Lazy, Workflow
from hypothesis import given
from workflows import workflows

from cascade.adapters.codec import DataCodec, DataType
from cascade.adapters.codec.trees import decode_target, encode_target
from cascade.graph import build_graph
from cascade.graph.build import read_tree
from cascade.graph.structure_keys import structure_key

# What the tasks of these workflows do is an argument, in which types stand as well.
CONTAINERS = {kind.__name__: kind for kind in (list, tuple, dict)}
TYPE = DataType(type, "type", encode=lambda kind: kind.__name__, decode=CONTAINERS.__getitem__)
CODEC = DataCodec(types=[TYPE])
HOME = "home_of_the_tasks"


@pytest.fixture(autouse=True, scope="module")
def home() -> Iterator[None]:
    """A module in which the tasks, made while the workflows are built, are found by name."""
    sys.modules[HOME] = ModuleType(HOME)
    yield
    del sys.modules[HOME]


def settle(target: Lazy) -> Lazy:
    """Let each task of a tree stand at the top of a module."""
    for lazy in read_tree(target).lazies:
        if lazy.task.name not in ("gather", "map", "input"):
            name = f"task_{lazy.task.serial}"
            vars(lazy.task).update(__module__=HOME, __qualname__=name)
            setattr(sys.modules[HOME], name, lazy.task)
    return target


@given(workflows())
def test_any_workflow_comes_back(workflow: Workflow) -> None:
    """Structure keys, graphs and, recorded once more, bytes are those of the tree that was recorded."""
    target = settle(workflow.build())
    data = encode_target(target, CODEC, key=b"here")
    read = decode_target(data, CODEC, key=b"here")
    assert structure_key(read_tree(read)) == structure_key(read_tree(target))
    assert encode_target(read, CODEC, key=b"here") == data
    assert [(each.name, each.structure_path) for each in build_graph(read).nodes] == [
        (each.name, each.structure_path) for each in build_graph(target).nodes
    ]
