"""Sketches: what a picture shows, as boxes and arrows, before anything is placed or written in a format."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from cascade.spec.late_dataclasses import dataclass


class Shape(StrEnum):
    """What a box stands for."""

    TASK = "task"
    MAP = "map"
    INPUT = "input"
    ROUTER = "router"
    INTERNAL = "internal"
    POTENTIAL = "potential"


class Line(StrEnum):
    """What an arrow stands for."""

    DATA = "data"
    CONDITION = "condition"
    AMOUNT = "amount"
    ORDER = "order"
    ROUTE = "route"
    TAIL_CALL = "tail call"


class Status(StrEnum):
    """How the call of a box has ended, or that it has not."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CACHED = "from cache"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of a node's call: its status, and how many seconds it took, if that is known."""

    status: Status
    seconds: float | None = None


Marks = Mapping[str, Mark]
"""What became of the calls of a graph, by node id. A node that is not in it is drawn without a colour."""


@dataclass(frozen=True, slots=True)
class Box:
    """One box of a picture.

    Attributes:
        shape: What it stands for.
        label: The name in it.
        notes: What stands below the name in small letters: policies and numbers of items.
        count: How many nodes it stands for; more than one if alike nodes are folded.
        marks: What became of these nodes, as far as that is known.
        inner: What is inside the box: the tree that each item of a map runs.
    """

    shape: Shape
    label: str
    notes: tuple[str, ...] = ()
    count: int = 1
    marks: tuple[Mark, ...] = ()
    inner: Sketch | None = None


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from one box to another, both by position. Its `count` is that of the edges which it stands for."""

    source: int
    target: int
    line: Line = Line.DATA
    label: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Sketch:
    """The boxes and arrows of a picture. `folded` says how many nodes have no box of their own."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    folded: int = 0

    def shapes(self) -> set[Shape]:
        """Return the shapes that occur, also inside boxes."""
        return {box.shape for sketch in self._all() for box in sketch.boxes}

    def lines(self) -> set[Line]:
        """Return the kinds of arrows that occur, also inside boxes."""
        return {arrow.line for sketch in self._all() for arrow in sketch.arrows}

    def statuses(self) -> set[Status]:
        """Return what became of calls, as far as it is shown."""
        return {mark.status for sketch in self._all() for box in sketch.boxes for mark in box.marks}

    def _all(self) -> list[Sketch]:
        found = [self]
        for sketch in found:  # grows while it is read
            found += [box.inner for box in sketch.boxes if box.inner is not None]
        return found
