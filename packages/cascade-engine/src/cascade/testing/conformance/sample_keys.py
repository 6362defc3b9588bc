"""Keys and values for the suites of state backends. The keys are made as the engine makes them."""

from __future__ import annotations

from cascade.adapters.state.keys import FrameKey, FrameKind, NodeKey
from cascade.graph.path import ROOT, Place, StructurePath, segment

VALUES: tuple[object, ...] = ("text", 1, 0, False, None, "", [], {"k": [1, (2, 3)]})
"""Plain data, falsy values among it."""


def path_of(number: int) -> StructurePath:
    """Return the structure path of an argument of the target."""
    return StructurePath(ROOT, segment(Place.ARGUMENT, number))


def round_of_run(number: int = 0) -> FrameKey:
    """Return a round of the run's own loop."""
    return FrameKey(None, None, FrameKind.ROUND, number)


def node_at(number: int = 0) -> NodeKey:
    """Return a node of the run's first round."""
    return NodeKey(round_of_run(), path_of(number))


def round_at(node: NodeKey, number: int = 0) -> FrameKey:
    """Return a round of a node's loop."""
    return FrameKey(node.frame, node.path, FrameKind.ROUND, number)


def item_of(frame: FrameKey, number: int = 0) -> FrameKey:
    """Return an item of the map that is one and the same node of a frame."""
    return FrameKey(frame, path_of(5), FrameKind.ITEM, number)


def different_keys() -> list[NodeKey]:
    """Return keys that differ in one respect each."""
    places = [
        ROOT,
        path_of(0),
        path_of(1),
        StructurePath(ROOT, segment(Place.ARGUMENT, 0, (0,))),
        StructurePath(ROOT, segment(Place.KEYWORD, "x")),
        StructurePath(ROOT, segment(Place.KEYWORD, "0")),
        StructurePath(ROOT, segment(Place.CONDITION, 0)),
        StructurePath(path_of(0), segment(Place.ARGUMENT, 0)),
    ]
    frames = [
        round_of_run(),
        round_of_run(1),
        round_at(node_at(0)),
        round_at(node_at(1)),
        round_at(node_at(0), 1),
        item_of(round_of_run()),
        item_of(round_of_run(), 1),
        item_of(round_at(node_at(0))),
    ]
    return [NodeKey(frame, place) for frame in frames for place in places]
