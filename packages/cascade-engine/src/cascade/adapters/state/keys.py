"""Keys of a run's facts: where in the run a node stands.

A frame is one tree that is being run. It stands in for a node of another frame, as a round or as an item of that
node. So its key is a chain: the parent frame's key, the node's structure path, and the number of the round or item. A
node's key is its frame's key and its structure path.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from cascade.graph.path import StructurePath


class FrameKind(Enum):
    """What a frame is to the node that it stands in for: a round of its tail-call loop, or an item of its map."""

    ROUND = "round"
    ITEM = "item"


class FrameKey:
    """One frame: its parent frame, the node of it that this one stands in for, and which round or item it is.

    A round of the run's own loop has no parent and no node. Hash and equality cost O(1) among the frames of one run.
    """

    __slots__ = ("_hash", "cached_digest", "kind", "number", "parent", "path")
    cached_digest: Any
    """For stores, which set it where they need it."""

    def __init__(
        self, parent: FrameKey | None, path: StructurePath | None, kind: FrameKind, number: int
    ) -> None:
        self.parent = parent
        self.path = path
        self.kind = kind
        self.number = number
        self._hash = hash((parent, path, kind.value, number))

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
            if (mine.kind, mine.number, mine.path) != (theirs.kind, theirs.number, theirs.path):
                return False
            mine, theirs = mine.parent, theirs.parent
        return True

    def __str__(self) -> str:
        parts: list[str] = []
        key: FrameKey | None = self
        while key is not None:
            parts.append(f"{key.path or 'run'}:{key.kind.value} {key.number}")
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
