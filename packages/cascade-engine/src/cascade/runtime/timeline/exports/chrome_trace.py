"""Chrome traces: a timeline in the form that Perfetto and `chrome://tracing` open.

One process for each run, one track for each worker, and arrows along the data. Calls of one worker that overlap, as
coroutines do on the event loop, stand in tracks of their own below the first one.

Source: "Trace Event Format", the Chromium project.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from cascade.runtime.sharing.placement import LOOP_WORKER
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call, Place

Event = dict[str, Any]


def chrome_trace(runs: Iterable[RunTimeline]) -> str:
    """Return runs as the text of a trace. Names are there, values are not."""
    numbers = count(1)
    events: list[Event] = []
    for process, run in enumerate(runs, 1):
        events += _RunTrace(run, process, numbers).events()
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, separators=(",", ":"))


class _RunTrace:
    """The events of one run, which is process number `process` of the trace."""

    def __init__(self, run: RunTimeline, process: int, numbers: Iterator[int]) -> None:
        self._run = run
        self._process = process
        self._numbers = numbers
        self._tracks: dict[tuple[str, int], int] = {}

    def events(self) -> Iterator[Event]:
        run = self._run
        yield self._named("process_name", 0, f"run {run.run_id}")
        calls = sorted(run.calls(), key=lambda call: (call.began, -call.ended))
        track_of: dict[Place, int] = {}
        ends: dict[Place, Call] = {}
        for call, lane in _lanes(calls):
            track = self._tracks.setdefault((call.worker, lane), len(self._tracks) + 1)
            track_of[call.place] = track
            ends[call.place] = call
            yield self._call(call, track)
        for (worker, lane), track in self._tracks.items():
            name = "event loop" if worker == LOOP_WORKER else worker
            yield self._named("thread_name", track, f"{name} ({lane + 1})" if lane else name)
            yield self._event("M", "thread_sort_index", track, args={"sort_index": track})
        yield from self._instants(track_of)
        yield from self._arrows(ends, track_of)

    def _call(self, call: Call, track: int) -> Event:
        facts: Event = {"id": call.id, "status": call.status.value, "attempt": call.attempt}
        facts["waited_ms"] = round((call.began - call.queued) * 1e3, 3)
        if call.error is not None:
            facts["error"] = call.error
        event = self._event("X", call.task, track, at=call.began, args=facts)
        event["dur"] = round(call.duration * 1e6, 3)
        event["cat"] = "map" if call.is_map else "task"
        return event

    def _instants(self, track_of: dict[Place, int]) -> Iterator[Event]:
        for retry in self._run.retries():
            facts: Event = {"id": retry.place.id, "attempt": retry.attempt, "error": retry.error}
            yield self._instant(f"retry of {retry.task}", track_of.get(retry.place, 0), retry.at, facts)
        for skip in self._run.skips():
            facts = {"id": skip.place.id, "reason": skip.reason.value}
            yield self._instant(f"{skip.task} is skipped", 0, skip.at, facts)

    def _instant(self, name: str, track: int, at: float, facts: Event) -> Event:
        return {**self._event("i", name, track, at=at, args=facts), "s": "t" if track else "p"}

    def _arrows(self, ends: dict[Place, Call], track_of: dict[Place, int]) -> Iterator[Event]:
        """Give an arrow from each call to those that have taken its value."""
        for tree in self._run.trees():
            for node, sources in enumerate(tree.structure.dependencies()):
                target = Place(tree.number, node)
                for source in (Place(tree.number, each) for each in sources):
                    if target in ends and source in ends:
                        number = next(self._numbers)
                        begin = self._event("s", "data", track_of[source], at=ends[source].ended)
                        end = self._event("f", "data", track_of[target], at=ends[target].began)
                        yield {**begin, "id": number, "cat": "data"}
                        yield {**end, "id": number, "cat": "data", "bp": "e"}

    def _event(
        self, kind: str, name: str, track: int, at: float | None = None, args: Event | None = None
    ) -> Event:
        moment = 0.0 if at is None else round((at - self._run.began) * 1e6, 3)
        return {
            "ph": kind,
            "name": name,
            "pid": self._process,
            "tid": track,
            "ts": moment,
            "args": args or {},
        }

    def _named(self, kind: str, track: int, name: str) -> Event:
        return self._event("M", kind, track, args={"name": name})


def _lanes(calls: list[Call]) -> Iterator[tuple[Call, int]]:
    """Give each call with the number of its track among those of its worker: the first where nothing overlaps it.

    The items of a map may stand in the same track below the map itself.
    """
    lanes: dict[str, list[list[Call]]] = {}
    for call in calls:
        own = lanes.setdefault(call.worker, [])
        for lane, open_calls in enumerate(own):
            while open_calls and open_calls[-1].ended <= call.began:
                open_calls.pop()
            if not open_calls or _is_item_of(call, open_calls[-1]):
                open_calls.append(call)
                yield call, lane
                break
        else:
            own.append([call])
            yield call, len(own) - 1


def _is_item_of(call: Call, other: Call) -> bool:
    same = other.is_map and call.place[:2] == other.place[:2] and call.place.item is not None
    return same and call.ended <= other.ended
