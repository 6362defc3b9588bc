"""Strategies: how a target is driven.

A tree is prepared, run, and where its target returns the next tree, that one is run in its place: in a loop, and
nothing of the last round is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade.graph.build import build_graph
from cascade.runtime.keys import FrameKey, Turn
from cascade.runtime.program import Program, compile_program
from cascade.runtime.protocols import Solver
from cascade.spec.lazy_types import LazyResult

if TYPE_CHECKING:
    from cascade.runtime.caching import Lead
    from cascade.runtime.frame import Frame
    from cascade.runtime.jobs import Job
    from cascade.runtime.run import Run


class Preparation:
    """Turns a target into a program and the lazy results that it is bound to."""

    def __init__(self, solver: Solver) -> None:
        self._solver = solver

    def prepare(self, target: object) -> tuple[Program, list[LazyResult[Any]]]:
        """Build, plan and compile.

        Raises:
            CascadeError: If the tree makes no sense; see `build_graph` and `Solver.resolve`.
        """
        graph = build_graph(target)
        assert graph.tree is not None
        return compile_program(graph, self._solver.resolve(graph)), graph.tree.lazies


class TailCallLoop:
    """The rounds that stand in the place of one call, or of the run itself (`job` is `None`).

    One frame at a time: it is closed and forgotten before the next one opens. `lead` is for the cache key that the
    loop's value will fill: that of a run's first target, whose frame is gone by then.
    """

    __slots__ = ("_round", "frame", "job", "lead", "run")

    def __init__(self, run: Run, job: Job | None) -> None:
        self.run = run
        self.job = job
        self.frame: Frame | None = None
        self.lead: Lead | None = None
        self._round = 0

    def begin(self, target: object) -> None:
        """Open the first round.

        Raises:
            CascadeError: If the target can't be run.
        """
        key = self.job.key if self.job is not None else None
        place = FrameKey(key.frame if key else None, key.path if key else None, Turn.ROUND, self._round)
        self.frame = self.run.open_frame(self, place, target)

    def next_round(self, job: Job, target: LazyResult[Any]) -> None:
        """Close the frame whose target `job` returned the next target, and open that one.

        Raises:
            CascadeError: If the target can't be run.
        """
        if job.lead is not None:
            if self.job is None and self._round == 0:
                self.lead = job.lead
            else:
                job.lead.give_up()  # a middle round fills no key
            job.lead = None
        self.close()
        self._round += 1
        self.begin(target)

    def close(self) -> None:
        """Forget the current round."""
        if self.frame is not None:
            self.run.close_frame(self.frame)
            self.frame = None
