"""Preparation: what trees need before their first calls. For a large one it is done in more than one time slice."""

from __future__ import annotations

from cascade.graph.small_steps import Steps
from cascade.runtime.frames.frame import Loop
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import Way
from cascade.runtime.strategies import BoundPlan


class Preparation:
    """Prepares the next targets of loops. `reuse` has the structures that are known."""

    __slots__ = ("_ahead", "_time_slice", "_under_way", "reuse")

    def __init__(self, services: Services) -> None:
        self.reuse = services.reuse
        self._time_slice = services.time_slice
        self._under_way: dict[Loop, Steps[BoundPlan]] = {}
        self._ahead: dict[Loop, BoundPlan] = {}  # prepared before it was their turn

    def ahead(self, loop: Loop) -> Steps[BoundPlan]:
        """Prepare the next target of a loop before it is its turn, for a frame.

        Raises:
            CascadeError: If its tree makes no sense.
        """
        prepared = self.reuse.match(loop.target)
        if prepared is None:
            prepared = yield from self.reuse.steps(loop.target)
        self._ahead[loop] = prepared
        yield
        yield from prepared.program.frame_steps(prepared.lazies)
        return prepared

    def drop(self, loop: Loop) -> None:
        """Drop what was prepared ahead: the loop has another target now."""
        self._ahead.pop(loop, None)

    def is_under_way(self, loop: Loop) -> bool:
        """Tell whether the target of a loop is being prepared."""
        return bool(self._under_way) and loop in self._under_way

    def go_on(self, loop: Loop) -> BoundPlan | None:
        """Prepare the next target of a loop; `None` if the slice is over before that is done.

        Raises:
            CascadeError: If its tree makes no sense.
        """
        if self._ahead and loop in self._ahead:
            return self._ahead.pop(loop)
        steps = self._under_way.pop(loop, None) if self._under_way else None
        if steps is None:
            prepared = self.reuse.match(loop.target)
            if prepared is not None and prepared.is_laid_out:
                return prepared
            steps = self._steps(loop, prepared)
        is_over = self._time_slice.is_over
        while True:
            try:
                next(steps)
            except StopIteration as end:
                ready: BoundPlan = end.value
                return ready
            if is_over():
                self._under_way[loop] = steps
                return None

    def _steps(self, loop: Loop, prepared: BoundPlan | None) -> Steps[BoundPlan]:
        if prepared is None:
            prepared = yield from self.reuse.steps(loop.target)
        if self._time_slice.allowed(prepared.way) is Way.INLINE and prepared.table is not None:
            yield from prepared.table.steps()
        return prepared

    def let_go(self) -> None:
        """Let go of what is under way: the run has ended."""
        self._under_way.clear()
