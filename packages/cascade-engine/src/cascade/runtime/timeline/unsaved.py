"""Unsaved: what a run has told its timeline and the run's store does not have yet."""

from __future__ import annotations

from cascade.runtime.timeline.entries import Entry
from cascade.runtime.timeline.views import MapSize, Place, Retry, TreeView
from cascade.spec.late_dataclasses import dataclass, field


@dataclass(slots=True)
class Unsaved:
    """Calls, trees and the like, in the order in which they were told; `rounds` has those of loops by their place."""

    entries: list[Entry] = field(default_factory=list)
    trees: list[TreeView] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)
    maps: list[MapSize] = field(default_factory=list)
    rounds: dict[Place | None, int] = field(default_factory=dict)
    size: int = 0
