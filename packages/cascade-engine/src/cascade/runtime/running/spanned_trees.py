"""Spanned trees: which structures have calls with spans of their own. The calls of all others are made as ever."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cascade.runtime.frames.reporting.tracing import RunTracing
from cascade.runtime.programs.program import Program
from cascade.runtime.strategies import BoundPlan, CachedPlan
from cascade.spec.lazy_types import LazyResult


class SpannedTrees:
    """Tells of the structures of one run; each is looked at once, as tasks belong to a structure."""

    __slots__ = ("_known", "_tracing")

    def __init__(self, tracing: RunTracing) -> None:
        self._tracing = tracing
        self._known: dict[Program, bool] = {}

    def others(self, candidates: Iterable[CachedPlan], target: LazyResult[Any]) -> list[CachedPlan]:
        """Return, of the structures that a tree may have, those that have no such calls."""
        return [known for known in candidates if not self._may_have(known, target)]

    def _may_have(self, known: CachedPlan, target: LazyResult[Any]) -> bool:
        found = self._known.get(known.program)
        if found is not None:
            return found
        lazies = None if known.matcher is None else known.matcher(target)
        return lazies is None or self.among(BoundPlan(known.program, lazies))

    def among(self, prepared: BoundPlan) -> bool:
        """Tell whether a tree has such calls."""
        found = self._known.get(prepared.program)
        if found is None:
            found = self._known[prepared.program] = any(map(self._tracing.has_span, prepared.lazies))
        return found


def spanned_trees(tracing: RunTracing | None) -> SpannedTrees | None:
    """Return what tells of a run; `None` if none of its calls has a span."""
    return None if tracing is None or not tracing.spans_calls else SpannedTrees(tracing)
