"""Structure paths: a node's place in its lazy tree, the same for every tree of one structure.

Kept as a link to the parent and a segment, so that the paths of a deep chain share their beginnings; the text is
made when asked for.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from cascade.spec.calls.arguments import Slot


class Place(Enum):
    """The kinds of places that a lazy result can stand in."""

    ARGUMENT = "args"
    KEYWORD = "kwargs"
    CONDITION = "_condition"
    DEPENDENCY = "_dependencies"
    AMOUNT = "_constraints"
    SELECTOR = "selector"
    ROUTE = "routes"
    MEMBER = "_sequence"

    __hash__ = object.__hash__  # members are single; by name, as enums do it, costs a call


class Segment(NamedTuple):
    """One step down: the kind of place, which one of them, and the way inside a container."""

    place: Place
    at: int | str
    steps: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.place is Place.SELECTOR or (self.place is Place.CONDITION and self.at == 0):
            return f".{self.place.value}"
        return f".{self.place.value}.{self.at}" + "".join(f"[{step}]" for step in self.steps)


@lru_cache(maxsize=1024)
def segment(place: Place, at: int | str, steps: tuple[int, ...] = ()) -> Segment:
    """Return a segment, shared by the paths that go through a place of this kind."""
    return Segment(place, at, steps)


def segment_of(slot: Slot) -> Segment:
    """Return the segment that leads to a slot."""
    place = Place.ARGUMENT if isinstance(slot.argument, int) else Place.KEYWORD
    return segment(place, slot.argument, slot.steps)


class StructurePath:
    """The root, or a segment below another path. Equal and hashed by its segments; a `str` shows them."""

    __slots__ = ("cached_digest", "cached_hash", "parent", "segment")
    cached_digest: bytes
    """For stores, which set it where they need it: most paths have none."""

    def __init__(self, parent: StructurePath | None = None, segment: Segment | None = None) -> None:
        self.parent = parent
        self.segment = segment
        self.cached_hash: int | None = None  # most paths are never hashed

    def below(self, segment: Segment) -> StructurePath:
        """Return the path of that place under this one."""
        return StructurePath(self, segment)

    def segments(self) -> tuple[Segment, ...]:
        """Return all segments from the root down."""
        found = []
        path: StructurePath | None = self
        while path is not None:
            if path.segment is not None:
                found.append(path.segment)
            path = path.parent
        return tuple(reversed(found))

    def __hash__(self) -> int:
        if self.cached_hash is None:
            path: StructurePath | None = self
            unknown: list[StructurePath] = []
            while path is not None and path.cached_hash is None:
                unknown.append(path)
                path = path.parent
            known = None if path is None else path.cached_hash
            for each in reversed(unknown):
                known = each.cached_hash = hash((known, each.segment))
        assert self.cached_hash is not None
        return self.cached_hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StructurePath):
            return NotImplemented
        mine: StructurePath | None = self
        theirs: StructurePath | None = other
        while mine is not theirs:
            if mine is None or theirs is None or hash(mine) != hash(theirs) or mine.segment != theirs.segment:
                return False
            mine, theirs = mine.parent, theirs.parent
        return True

    def __str__(self) -> str:
        return "root" + "".join(map(str, self.segments()))

    def __repr__(self) -> str:
        return f"StructurePath({str(self)!r})"


_STEPS = 32
"""Segments that `shortened` shows: the path of a deep chain would be as long as it is."""


def shortened(path: StructurePath) -> str:
    """Return a path as text; of one that is deep, `...` and its last segments."""
    steps: list[str] = []
    at = path
    while at.parent is not None:
        if len(steps) == _STEPS:
            return "".join(["...", *reversed(steps)])
        steps.append(str(at.segment))
        at = at.parent
    return str(path)


ROOT = StructurePath()
"""The place of a tree's target."""


class PathTable:
    """Many paths as rows of parent and segment: equal paths have one row, and it stands below its parent's.

    Takes O(paths) for all paths of a tree, however deep, where comparing each with `==` takes O(paths * depth).
    The paths looked up must outlive the table.
    """

    __slots__ = ("_by_content", "_by_id")

    def __init__(self) -> None:
        self._by_content: dict[tuple[int | None, Segment | None], int] = {}
        self._by_id: dict[int, int] = {}

    @property
    def rows(self) -> list[tuple[int | None, Segment | None]]:
        """The parent's row and the segment of each path."""
        return list(self._by_content)

    def row_of(self, path: StructurePath | None) -> int | None:
        """Return the row of a path, made if it is new; `None` for none."""
        way = []
        while path is not None and id(path) not in self._by_id:
            way.append(path)
            path = path.parent
        row = None if path is None else self._by_id[id(path)]
        for each in reversed(way):
            row = self._by_content.setdefault((row, each.segment), len(self._by_content))
            self._by_id[id(each)] = row
        return row
