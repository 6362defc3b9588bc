"""Structure paths: the place of a node in its lazy tree, such as `root.args.0.kwargs.x`.

Trees of one structure have the same paths, whatever their values are: durable runs find a node again by its path. A
path is a segment and a link to the path above it, so that the paths of a deep chain share their beginnings; the text
of each alone would be as long as the chain.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from cascade.spec.calls.arguments import Slot


class Place(Enum):
    """What a lazy result can be to the call that it stands in; the value is how a path spells it."""

    ARGUMENT = "args"
    KEYWORD = "kwargs"
    CONDITION = "_condition"
    DEPENDENCY = "_dependencies"
    AMOUNT = "_constraints"
    SELECTOR = "selector"
    ROUTE = "routes"
    MEMBER = "_sequence"

    # There is one object per member, so identity will do. Enums hash by name, which is a call in Python for each path.
    __hash__ = object.__hash__


class Segment(NamedTuple):
    """One step down a tree: the kind of place, which one of that kind, and the way inside a container.

    In `f([a, b])`, `b` stands at `Segment(Place.ARGUMENT, 0, (1,))`, and in `f(x={"k": a})`, `a` at
    `Segment(Place.KEYWORD, "x", (0,))`: the items of a dict are numbered.
    """

    place: Place
    at: int | str
    steps: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.place is Place.SELECTOR or (self.place is Place.CONDITION and self.at == 0):
            return f".{self.place.value}"
        return f".{self.place.value}.{self.at}" + "".join(f"[{step}]" for step in self.steps)


@lru_cache(maxsize=1024)
def segment(place: Place, at: int | str, steps: tuple[int, ...] = ()) -> Segment:
    """Return a segment, shared by the paths that go through the same place."""
    return Segment(place, at, steps)


def segment_of(slot: Slot) -> Segment:
    """Return the segment of a slot of a call."""
    place = Place.ARGUMENT if isinstance(slot.argument, int) else Place.KEYWORD
    return segment(place, slot.argument, slot.steps)


class StructurePath:
    """The root, or a segment below another path. Paths are equal if their segments are; `str` shows them.

    Nothing here recurses, since a chain of tasks may be far deeper than Python's stack.
    """

    __slots__ = ("cached_digest", "cached_hash", "parent", "segment")
    cached_digest: bytes
    """A digest of the path. Stores set it on the paths that they write; most paths have none."""

    def __init__(self, parent: StructurePath | None = None, segment: Segment | None = None) -> None:
        self.parent = parent
        self.segment = segment
        self.cached_hash: int | None = None  # most paths are never hashed

    def below(self, segment: Segment) -> StructurePath:
        """Return the path of a place in the call that stands at this one."""
        return StructurePath(self, segment)

    def segments(self) -> tuple[Segment, ...]:
        """Return all segments, from the root down."""
        found = []
        path: StructurePath | None = self
        while path is not None:
            if path.segment is not None:
                found.append(path.segment)
            path = path.parent
        return tuple(reversed(found))

    def __hash__(self) -> int:
        if self.cached_hash is None:
            # Upwards to the next path that knows its hash, then down again: each path is hashed once.
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
        # Paths of one tree share their beginnings, so the walk mostly ends soon at an object that both have.
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
"""The most segments that `shortened` shows."""


def shortened(path: StructurePath) -> str:
    """Return a path as text for people; of a deep one, `...` and the last segments."""
    steps: list[str] = []
    at = path
    while at.parent is not None:
        if len(steps) == _STEPS:
            return "".join(["...", *reversed(steps)])
        steps.append(str(at.segment))
        at = at.parent
    return str(path)


ROOT = StructurePath()
"""The place of the target of a tree."""


class PathTable:
    """Many paths as rows of parent and segment. Equal paths have one row, and the row of a parent comes before it.

    Takes O(paths) for all paths of a tree, however deep; comparing each with `==` would take O(paths * depth). The
    paths that are looked up must outlive the table, which knows them by `id`.
    """

    __slots__ = ("_by_content", "_by_id")

    def __init__(self) -> None:
        self._by_content: dict[tuple[int | None, Segment | None], int] = {}
        self._by_id: dict[int, int] = {}

    @property
    def rows(self) -> list[tuple[int | None, Segment | None]]:
        """Each row: the number of its parent's row, and its segment; both `None` for the root."""
        return list(self._by_content)

    def row_of(self, path: StructurePath | None) -> int | None:
        """Return the number of the row of a path, which is made if it is new; `None` for no path."""
        way = []
        while path is not None and id(path) not in self._by_id:
            way.append(path)
            path = path.parent
        row = None if path is None else self._by_id[id(path)]
        for each in reversed(way):
            row = self._by_content.setdefault((row, each.segment), len(self._by_content))
            self._by_id[id(each)] = row
        return row
