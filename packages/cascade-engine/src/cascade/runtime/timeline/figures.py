"""Figures: what a timeline knows of all calls of one task, in bounded space."""

from __future__ import annotations

import struct
import sys
import threading
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cascade.runtime.events import SkipReason, Status
from cascade.runtime.timeline.entries import Entry, OneCall
from cascade.runtime.timeline.slowest import SlowestCalls
from cascade.runtime.timeline.views import Call, NodeNames

WAITING = 4096
"""So many calls wait before they are added up: many at once are added faster than one."""
SHAPES = 256
"""So many structures of trees wait before their nodes are counted."""

_TOP = 3 if sys.byteorder == "little" else 0
"""Which of the four pairs of bytes of a number has its sign, its exponent and the first four bits behind the point."""


class TaskFigures(NamedTuple):
    """What is known of the calls of one task, in one run or in several.

    `calls` have ended; `known` are all that a tree or a map has told of so far, those that were skipped, run or wait
    among them. `retries` are attempts beyond the first. `total`, `shortest` and `longest` are in seconds; `timed` calls
    took the `total`. Where no times are kept, that is exact to a time slice, and the others are 0. With `is_looped`
    some are made in further rounds of a loop: nobody knows how many are to come.
    """

    task: str
    known: int
    calls: int
    running: int
    retries: int
    by_status: dict[Status, int]
    skips: dict[SkipReason, int]
    total: float
    shortest: float
    longest: float
    sketch: dict[int, int]
    is_looped: bool = False
    timed: int = 0

    @property
    def mean(self) -> float:
        """The seconds that a call takes on average."""
        return self.total / self.timed if self.timed else 0.0

    @property
    def done(self) -> int:
        """How many have ended or were skipped."""
        return self.calls + sum(self.skips.values())

    def quantile(self, share: float) -> float:
        """Return the seconds that this share of the calls did not exceed: 0.5 gives the median, within 3 percent."""
        left = share * sum(self.sketch.values())
        for bucket, count in sorted(self.sketch.items()):
            left -= count
            if left <= 0:
                return min(max(_middle(bucket), self.shortest), self.longest)
        return self.longest


class Figures:
    """Adds up the figures of one task, many calls at a time."""

    __slots__ = (
        "by_status",
        "is_looped",
        "known",
        "longest",
        "retries",
        "shortest",
        "sketch",
        "skips",
        "timed",
        "total",
    )

    def __init__(self) -> None:
        self.by_status: Counter[Status] = Counter()
        self.known = 0
        self.is_looped = False
        self.retries = 0
        self.skips: Counter[SkipReason] = Counter()
        self.total = 0.0
        self.timed = 0
        self.shortest = float("inf")
        self.longest = 0.0
        # How many calls took how long, by the first 16 bits of the seconds as a number: 16 buckets for each doubling.
        # The idea is that of HdrHistogram, http://hdrhistogram.org; here C code finds the buckets of many at once.
        self.sketch: Counter[int] = Counter()

    def add_durations(self, seconds: Sequence[float]) -> None:
        """Take in how long some calls took."""
        if seconds:
            self.total += sum(seconds)
            self.shortest = min(self.shortest, min(seconds))
            self.longest = max(self.longest, max(seconds))
            self.timed += len(seconds)
            self.sketch.update(array("H", array("d", seconds).tobytes())[_TOP::4])

    def add_estimate(self, calls: int, seconds: float) -> None:
        """Take in how long some calls took together."""
        self.timed += calls
        self.total += seconds

    def add(self, other: Figures) -> None:
        """Take in all that others have added up."""
        self.by_status.update(other.by_status)
        self.known += other.known
        self.is_looped |= other.is_looped
        self.retries += other.retries
        self.skips.update(other.skips)
        self.total += other.total
        self.timed += other.timed
        self.shortest = min(self.shortest, other.shortest)
        self.longest = max(self.longest, other.longest)
        self.sketch.update(other.sketch)

    def snapshot(self, task: str, running: int) -> TaskFigures:
        """Return what is known now."""
        return TaskFigures(
            task=task,
            known=self.known,
            calls=self.by_status.total(),
            running=running,
            retries=self.retries,
            by_status=dict(self.by_status),
            skips=dict(self.skips),
            total=self.total,
            shortest=self.shortest if self.sketch else 0.0,
            longest=self.longest,
            sketch=dict(self.sketch),
            is_looped=self.is_looped,
            timed=self.timed,
        )


class FiguresOfTasks:
    """The figures of the tasks of one run, or of several.

    What a run adds waits at first, until there is much of it or somebody reads.
    """

    def __init__(self, timed: bool, keeps_slowest: bool = True) -> None:
        self._timed = timed
        self._keeps_slowest = keeps_slowest
        self._lock = threading.Lock()
        self._by_task: dict[str, Figures] = {}
        self._waiting: deque[Entry] = deque()
        self._slowest = SlowestCalls()
        self._calls_waiting = 0  # at most so many: whoever reads takes some of them
        # The names of nodes, and how many trees have them, in further rounds of loops or not; by id, as to hash them
        # would take long.
        self._shapes: dict[tuple[int, bool], tuple[NodeNames, int]] = {}

    def add(self, entry: Entry) -> None:
        """Take in calls that have ended."""
        self._waiting.append(entry)
        self._calls_waiting += entry.size
        if self._calls_waiting >= WAITING:
            self._calls_waiting = 0
            self._add_up()

    def add_tree(self, names: NodeNames, trees: int, is_looped: bool) -> None:
        """Take in that so many trees begin whose nodes have these names; whether as further rounds of a loop."""
        key = id(names), is_looped
        with self._lock:
            _, before = self._shapes.get(key, (names, 0))
            self._shapes[key] = names, before + trees
        if len(self._shapes) >= SHAPES:
            self._add_up()

    def add_known(self, task: str, calls: int) -> None:
        """Take in that a task will be called so many times more than its trees tell."""
        with self._lock:
            self._figures_of(task).known += calls

    def add_retry(self, task: str) -> None:
        """Take in that an attempt was not the last."""
        with self._lock:
            self._figures_of(task).retries += 1

    def add_all(self, others: FiguresOfTasks) -> None:
        """Take in all that others have added up."""
        others._add_up()
        with self._lock:
            for task, figures in others._by_task.items():
                self._figures_of(task).add(figures)

    def load(self, figures: Mapping[str, Figures]) -> None:
        """Take in figures that were added up before, by the names of their tasks."""
        with self._lock:
            for task, each in figures.items():
                self._figures_of(task).add(each)

    def snapshots(self, running: Iterable[str]) -> dict[str, TaskFigures]:
        """Return what is known now of each task; `running` names the task of each call that is under way."""
        self._add_up()
        under_way = Counter(running)
        with self._lock:
            names = dict.fromkeys((*self._by_task, *under_way))
            return {task: self._figures_of(task).snapshot(task, under_way[task]) for task in names}

    def slowest(self) -> tuple[Call, ...]:
        """Return the calls that took longest, the longest first; none where no times are kept."""
        self._add_up()
        return self._slowest.calls

    def _figures_of(self, task: str) -> Figures:
        found = self._by_task.get(task)
        if found is None:
            found = self._by_task[task] = Figures()
        return found

    def _add_ones(self, ones: dict[tuple[str, Status], list[float]], seconds: dict[str, list[float]]) -> None:
        """Count calls that were reported one by one, and add what they took to the `seconds` of their tasks."""
        for (task, status), lengths in ones.items():
            figures = self._figures_of(task)
            figures.by_status[status] += len(lengths)
            if self._timed:
                seconds.setdefault(task, []).extend(lengths)
            else:
                figures.add_estimate(len(lengths), sum(lengths))

    def _add_up(self) -> None:
        with self._lock:
            # Trees first: tasks stand in the order in which they came up.
            shapes, self._shapes = self._shapes, {}
            for (_, is_looped), (names, trees) in shapes.items():
                for task, nodes in names.counts.items():
                    figures = self._figures_of(task)
                    figures.known += nodes * trees
                    figures.is_looped |= is_looped
            waiting = self._waiting
            added: list[tuple[float, Entry]] = []  # with the seconds of the longest call
            seconds: dict[str, list[float]] = {}
            ones: dict[tuple[str, Status], list[float]] = {}
            while waiting:  # others may add to it meanwhile
                entry = waiting.popleft()
                if type(entry) is OneCall:  # many at once are added faster
                    task, _, _, began, ended, status, _, _, is_map, _ = entry.facts
                    if not is_map:  # its items tell more
                        ones.setdefault((task, status), []).append(ended - began)
                        added.append((ended - began, entry))
                    continue
                longest = 0.0 if self._timed else entry.longest()
                for task, status, calls, own, estimate in entry.sums():
                    figures = self._figures_of(task)
                    figures.by_status[status] += calls
                    if self._timed:
                        seconds.setdefault(task, []).extend(own)
                        longest = max(longest, max(own, default=0.0))
                    else:
                        figures.add_estimate(calls, sum(own) + estimate)
                added.append((longest, entry))
                for skip in entry.skip_sums():
                    self._figures_of(skip.task).skips[skip.reason] += skip.calls
            self._add_ones(ones, seconds)
            for task, durations in seconds.items():
                self._figures_of(task).add_durations(durations)
            if self._keeps_slowest:
                self._slowest.take(added)


def _middle(bucket: int) -> float:
    """Return the middle of a bucket, in seconds."""
    low, high = struct.unpack("<2d", struct.pack("<2Q", bucket << 48, (bucket + 1) << 48))
    return float(low + high) / 2
