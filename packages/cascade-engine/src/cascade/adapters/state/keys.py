"""Keys of a run's facts: where in the run a node stands.

A frame is one tree that is being run. Its key is a path of frames: for each, the place of the node that it stands in
for, and which round or item it is. A node's key is its frame's key and its structure path.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from cascade.graph.path import StructurePath


class Turn(Enum):
    """What a frame is to the node that it belongs to: a round of its tail-call loop, or an item of its map."""

    ROUND = "round"
    ITEM = "item"


class FrameKey:
    """One frame: its parent, the node in it that this one stands in for, and the number of the round or item.

    The run's own loop has no parent and no node. Hash and equality cost O(1) among frames of one run.
    """

    __slots__ = ("_hash", "cached_digest", "number", "parent", "path", "turn")
    cached_digest: Any
    """For stores, which set it where they need it."""

    def __init__(self, parent: FrameKey | None, path: StructurePath | None, turn: Turn, number: int) -> None:
        self.parent = parent
        self.path = path
        self.turn = turn
        self.number = number
        self._hash = hash((parent, path, turn.value, number))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FrameKey):
            return NotImplemented
        mine: FrameKey | None = self
        theirs: FrameKey | None = other
        while mine is not theirs:
            if mine is None or theirs is None or mine._hash != theirs._hash:
                return False
            if (mine.turn, mine.number, mine.path) != (theirs.turn, theirs.number, theirs.path):
                return False
            mine, theirs = mine.parent, theirs.parent
        return True

    def __str__(self) -> str:
        parts: list[str] = []
        key: FrameKey | None = self
        while key is not None:
            parts.append(f"{key.path or 'run'}:{key.turn.value} {key.number}")
            key = key.parent
        return "/".join(reversed(parts))

    def __repr__(self) -> str:
        return f"FrameKey({str(self)!r})"


class NodeKey(NamedTuple):
    """One node of one frame."""

    frame: FrameKey
    path: StructurePath

    def __str__(self) -> str:
        return f"{self.frame}/{self.path}"
