"""Watched rounds: a loop that runs by code written for its structure, while somebody watches.

The code notes which way each round takes and when each call ends. All is told from these notes after a stretch of
rounds, so that memory stays flat however many rounds there are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from cascade.runtime.fast.loop_source import PartialRound, WatchedLoop
from cascade.runtime.frames.frame import Loop
from cascade.runtime.frames.reports import Reports
from cascade.runtime.frames.watching import MadeCalls, Noting
from cascade.runtime.programs.plain_values import Awaited
from cascade.runtime.programs.program import Program
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.timeline.entries import Rounds
from cascade.spec.calls.missing import MISSING
from cascade.spec.lazy_types import LazyResult

TOLD_AT = 256
"""After so many rounds it is told what they did: the time that listeners take belongs to the slice."""


class WatchedRounds:
    """Runs rounds of one loop and tells what they did. Called as the code that it runs by, it is a `CompiledLoop`."""

    __slots__ = (
        "_began",
        "_code",
        "_ends",
        "_frames",
        "_loop",
        "_program",
        "_reports",
        "_round",
        "_values",
        "_ways",
    )

    def __init__(
        self, loop: Loop, program: Program, code: WatchedLoop, frames: OpenFrames, reports: Reports
    ) -> None:
        self._loop = loop
        self._program = program
        self._code = code
        self._frames = frames
        self._reports = reports
        self._round = loop.round
        self._ways: list[int] = []
        self._ends: list[float] = []
        self._values: list[Any] = []
        self._began = time.monotonic()  # or when the last call that is told of ended

    def __call__(self, target: LazyResult[Any], rounds: Iterator[None]) -> Any:
        """Run as many rounds as the iterator has; notes are kept until they are told."""
        return self._code.call(target, rounds, self._ways.append, self._ends.append, self._values.append)

    @property
    def is_full(self) -> bool:
        """Whether it is time to tell."""
        return len(self._ways) >= TOLD_AT

    def tell(self) -> None:
        """Tell what the rounds did that have come to their end."""
        if not self._ways:
            return
        code, numbers, loop = self._code, self._ways.copy(), self._loop
        self._ways.clear()
        first = self._frames.next_serial(len(numbers))
        call = None if loop.job is None else loop.job.place
        if len(code.ways) == 1:  # as in most loops
            ways, calls = [code.ways[0]] * len(numbers), code.calls[0] * len(numbers)
        else:
            ways = [code.ways[number] for number in numbers]
            calls = sum(map(code.calls.__getitem__, numbers))
        rounds = Rounds(call, first, self._round, self._program.structure, code.names, ways)
        self._round += len(numbers)
        self._reports.rounds_made(rounds, self._take(calls))

    def tell_all(self, value: Any) -> Any:
        """Tell what all rounds did, and the calls of one that could not go on; return `value`, what the last gave."""
        self.tell()
        if not isinstance(value, PartialRound):
            return value
        stopped, serial = value.stopped, self._frames.next_serial()
        tree = self._reports.tree_begun(self._loop, serial, value.program, value.lazies)
        steps = self._code.ways[value.way] if value.way >= 0 else ()
        nodes = [node for node, skipped in steps if skipped is None and stopped.values[node] is not MISSING]
        if stopped.node is not None and stopped.error is None:
            nodes.append(stopped.node)
            self._values.append(stopped.value)
        made = self._take(len(nodes))
        stopped.began = made.ended
        if nodes:
            is_awaited = type(stopped.value) is Awaited
            made = made._replace(awaited=[len(nodes) - 1] if is_awaited else ())
            self._reports.calls_made(tree, nodes, made)
        return value._replace(serial=serial)

    def _take(self, size: int) -> MadeCalls:
        """Take the notes of so many calls."""
        noting = self._code.noting
        ends = None if noting is Noting.WAYS else self._ends[:size]
        values = self._values[:size] if noting is Noting.VALUES else None
        del self._ends[:size], self._values[:size]
        made = MadeCalls(size, self._began, ends, values)
        self._began = made.ended
        return made
