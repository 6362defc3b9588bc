"""Watched rounds: a loop that runs by code written for its structure, while somebody watches.

The code notes which way each round takes and when each call ends. All is told from these notes after a stretch of
rounds, so that memory stays flat however many rounds there are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from cascade.runtime.fast.loop_source import PartialRound, WatchedLoop
from cascade.runtime.frames.frame import Loop
from cascade.runtime.frames.reporting.reports import Reports
from cascade.runtime.frames.reporting.watching import MadeCalls, Noting
from cascade.runtime.programs.plain_values import Awaited
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.strategies import CachedPlan
from cascade.runtime.timeline.stretch_entries import Rounds, Step
from cascade.spec.calls.missing import MISSING
from cascade.spec.lazy_types import LazyResult

TOLD_AT = 256
"""After so many rounds it is told what they did: the time that listeners take belongs to the slice."""


class WatchedRounds:
    """Runs rounds of one loop and tells what they did. Called as the code that it runs by, it is a `CompiledLoop`.

    Where nothing is to be noted, its rounds are to be run by `silent`, the code of a loop that nobody watches, and are
    only counted.
    """

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
        "silent",
    )

    def __init__(
        self, loop: Loop, known: CachedPlan, code: WatchedLoop, frames: OpenFrames, reports: Reports
    ) -> None:
        self._loop = loop
        self._program = known.program
        self._code = code
        self.silent = known.compiled if code.is_silent else None
        self._frames = frames
        self._reports = reports
        self._round = loop.round
        self._ways: list[int] = []
        self._ends: list[float] = []
        self._values: list[Any] = []  # or, where counts are noted, how many items maps had
        self._began = time.monotonic()  # or when the last call that is told of ended

    def __call__(self, target: LazyResult[Any], rounds: Iterator[None]) -> Any:
        """Run as many rounds as the iterator has; notes are kept until they are told."""
        return self._code.call(target, rounds, self._ways.append, self._ends.append, self._values.append)

    def note_silent(self, rounds: int) -> None:
        """Note that so many rounds have been run by the code of a loop that nobody watches."""
        self._ways += bytes(rounds)

    @property
    def is_full(self) -> bool:
        """Whether it is time to tell."""
        return len(self._ways) >= TOLD_AT

    def tell(self) -> None:
        """Tell what the rounds did that have come to their end."""
        if not self._ways:
            return
        code, taken, loop = self._code, self._ways.copy(), self._loop
        self._ways.clear()
        first = self._frames.next_serial(len(taken))
        call = None if loop.job is None else loop.job.place
        rounds = Rounds(call, first, self._round, self._program.structure, code.names, code.ways, taken)
        self._round += len(taken)
        times = rounds.times
        calls = sum(code.calls[way] * often for way, often in times.items())
        items = self._take_items(taken)
        self._reports.rounds_made(rounds, self._take(calls), items)

    def tell_all(self, value: Any) -> Any:
        """Tell what all rounds did, and the calls of one that could not go on; return `value`, what the last gave."""
        self.tell()
        if not isinstance(value, PartialRound):
            return value
        code, stopped, serial = self._code, value.stopped, self._frames.next_serial()
        tree = self._reports.tree_begun(self._loop, serial, value.program, value.lazies)
        way = 0 if self.silent is not None else value.way
        steps = code.ways[way] if way >= 0 else ()
        nodes = [
            node
            for node, skipped in steps
            if skipped is None and stopped.values[node] is not MISSING and node not in code.maps
        ]
        if code.maps:
            for node, size in zip(_maps_among(code, steps), self._values, strict=False):
                self._reports.map_made(tree, node, size)
            self._values.clear()
        is_map = stopped.node in code.maps  # a frame goes on with its items
        if stopped.node is not None and stopped.error is None and not is_map:
            nodes.append(stopped.node)
            self._values.append(stopped.value)
        made = self._take(len(nodes))
        stopped.began = made.ended
        if nodes:
            is_awaited = type(stopped.value) is Awaited
            made = made._replace(awaited=[len(nodes) - 1] if is_awaited else ())
            self._reports.calls_made(tree, nodes, made)
        return value._replace(serial=serial)

    def _take_items(self, taken: Sequence[int]) -> Mapping[int, int]:
        """Take how many items the maps of these rounds have had, by their nodes."""
        code, values = self._code, self._values
        if not code.maps:
            return {}
        nodes = [_maps_among(code, way) for way in code.ways]
        maps = sum(map(len, map(nodes.__getitem__, taken)))
        items = Counter[int]()
        if len(code.maps) == 1:  # as in most loops that have any
            items[next(iter(code.maps))] = sum(values[:maps])
        else:
            for node, size in zip(chain.from_iterable(map(nodes.__getitem__, taken)), values, strict=False):
                items[node] += size
        del values[:maps]
        return items

    def _take(self, size: int) -> MadeCalls:
        """Take the notes of so many calls."""
        noting = self._code.noting
        ends = None if noting in (Noting.COUNTS, Noting.WAYS) else self._ends[:size]
        values = None
        if noting is Noting.VALUES:
            values = self._values[:size]
            del self._values[:size]
        del self._ends[:size]
        made = MadeCalls(size, self._began, ends, values)
        self._began = made.ended if made.ends else time.monotonic()
        return made


def _maps_among(code: WatchedLoop, way: Sequence[Step]) -> list[int]:
    """Return the nodes of the maps that are called on a way, in order."""
    return [step.node for step in way if step.skipped is None and step.node in code.maps]
