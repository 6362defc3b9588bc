"""The event log: the events of a run on stderr, one line each, for people or for programs.

A map is one call here: what became of its items is in the line of its end. Only `debug` tells of each item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from cascade.cli.log_lines import LogFormat, LogLevel, LogLine, Rank, WriteLine, line_writer, where_text
from cascade.runtime import (
    CacheBypassed,
    Event,
    MessageBus,
    ResourceAcquired,
    ResourceReleased,
    RunFinished,
    RunStarted,
    SkipReason,
    Status,
    TaskBlocked,
    TaskEvent,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskRetrying,
    TaskSkipped,
)


def log_events(bus: MessageBus, level: LogLevel, form: LogFormat) -> Callable[[], None]:
    """Log the events of `bus` to stderr, from `level` on; return a function that ends this."""
    lowest = Rank[level.name]
    log = _EventLog(line_writer(form), lowest)
    kinds = [kind for kind, (rank, _) in _EVENTS.items() if rank >= lowest]
    ends = [bus.subscribe(kind, log.take) for kind in ([Event] if lowest is Rank.DEBUG else kinds)]
    if ends:
        ends.append(bus.subscribe(RunFinished, log.forget))

    def stop() -> None:
        for end in ends:
            end()

    return stop


class _Items:
    """What became of the items of one map so far. `retries` were made after attempts that failed."""

    __slots__ = ("is_told", "outcomes", "retries")

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.retries = 0
        self.is_told = False  # whether one of its retries had a line

    def __str__(self) -> str:
        told = [f"{count} {how}" for how, count in self.outcomes.items()]
        if self.retries:
            told.append(f"{self.retries} {'retry' if self.retries == 1 else 'retries'}")
        return ", ".join(told)


class _EventLog:
    """Makes lines of events. Knows of the calls under way how often they were retried, and of maps their items."""

    def __init__(self, write: WriteLine, lowest: Rank) -> None:
        self._write = write
        self._lowest = lowest
        self._retries: dict[tuple[str, str], int] = {}
        self._maps: dict[tuple[str, str], _Items] = {}

    def take(self, event: Event) -> None:
        """Write the line of an event, unless it is one of an item, which the line of its map tells of."""
        if not isinstance(event, TaskEvent):
            self._write(_line(event, where_text(event.run_id) if not _names_run(event) else "", {}))
            return
        mapped, item = _item_of(event.task_id)
        attempt = self._attempt(event)
        if item is not None and self._lowest > Rank.DEBUG and not self._tells_of_item(event, mapped):
            return
        facts: dict[str, object] = {"item": item}
        if attempt is not None:
            facts["attempt"] = attempt
        items = ""
        if item is None and isinstance(event, TaskExecutionFinished):
            of_map = self._maps.pop((event.run_id, event.task_id), None)
            if of_map is not None:
                items = f"; items: {of_map}"
                facts["items"] = {**of_map.outcomes, "retries": of_map.retries}
        self._write(_line(event, where_text(event.run_id, item, attempt), facts, items))

    def _attempt(self, event: TaskEvent) -> int | None:
        """Return the number of the attempt that an event tells of, if it tells of one."""
        key = event.run_id, event.task_id
        if isinstance(event, TaskRetrying):
            self._retries[key] = event.attempt
            return event.attempt
        if isinstance(event, TaskExecutionFinished):
            return self._retries.pop(key, 0) + 1
        return self._retries.get(key, 0) + 1 if isinstance(event, TaskExecutionStarted) else None

    def _tells_of_item(self, event: TaskEvent, mapped: str) -> bool:
        """Count what an event tells of an item; return True if it has a line: the first retry, where no end has one."""
        items = self._maps.setdefault((event.run_id, mapped), _Items())
        if isinstance(event, TaskExecutionFinished):
            items.outcomes[event.status.lower()] += 1
        elif isinstance(event, TaskSkipped):
            items.outcomes[
                "from the cache" if event.reason is SkipReason.CACHE_HIT else str(event.reason)
            ] += 1
        elif isinstance(event, TaskRetrying):
            items.retries += 1
            is_first, items.is_told = not items.is_told, True
            return is_first and self._lowest is Rank.WARNING
        return isinstance(event, CacheBypassed)

    def forget(self, event: RunFinished) -> None:
        """Forget what is known of a run."""
        self._retries = {key: count for key, count in self._retries.items() if key[0] != event.run_id}
        self._maps = {key: items for key, items in self._maps.items() if key[0] != event.run_id}


def _item_of(task_id: str) -> tuple[str, int | None]:
    """Return the id of a call, or that of its map and its index."""
    mapped, bracket, index = task_id.partition("[")
    return (mapped, int(index[:-1])) if bracket else (task_id, None)


def _line(event: Event, where: str, facts: dict[str, object], items: str = "") -> LogLine:
    own = {field.name: getattr(event, field.name) for field in fields(event)}
    record = {"event": type(event).__name__, **own, **facts}
    return LogLine(_rank(event), _sentence(event) + items, where, record)


def _names_run(event: Event) -> bool:
    return isinstance(event, RunStarted | RunFinished)


def _rank(event: Event) -> Rank:
    """Return the level that an event is shown at."""
    if getattr(event, "status", None) == Status.FAILED:
        return Rank.ERROR
    return _EVENTS[type(event)][0] if type(event) in _EVENTS else Rank.DEBUG


def _sentence(event: Event) -> str:
    """Return what an event says in words; for a type that has no sentence here, its fields."""
    if type(event) in _EVENTS:
        return _EVENTS[type(event)][1](event)
    facts = ", ".join(f"{field.name}={getattr(event, field.name)}" for field in fields(event))
    return f"{type(event).__name__}: {facts}"


def _who(event: TaskEvent) -> str:
    return f"{event.task_name} ({event.task_id})"


def _ended(event: RunFinished | TaskExecutionFinished, who: str) -> str:
    error = f": {event.error}" if event.error else ""
    return f"{who} {event.status.lower()} after {event.duration:.3f} s{error}"


def _retrying(event: TaskRetrying) -> str:
    which = f"retry {event.attempt} of {event.max_attempts} in {event.delay:.3g} s"
    return f"{_who(event)} failed, {which}: {event.error}"


def _released(event: ResourceReleased) -> str:
    error = f" with an error: {event.error}" if event.error else ""
    return f"resource {event.name} released{error}"


_EVENTS: dict[type[Event], tuple[Rank, Callable[[Any], str]]] = {
    RunStarted: (Rank.INFO, lambda event: f"run {event.run_id} of {', '.join(event.target_tasks)} started"),
    RunFinished: (Rank.INFO, lambda event: _ended(event, f"run {event.run_id}")),
    TaskExecutionStarted: (Rank.INFO, lambda event: f"{_who(event)} started"),
    TaskExecutionFinished: (Rank.INFO, lambda event: _ended(event, _who(event))),
    TaskSkipped: (Rank.INFO, lambda event: f"{_who(event)} skipped: {event.reason}"),
    TaskRetrying: (Rank.WARNING, _retrying),
    TaskBlocked: (Rank.DEBUG, lambda event: f"{_who(event)} waits: {event.reason}"),
    CacheBypassed: (Rank.WARNING, lambda event: f"{_who(event)} runs without the cache: {event.reason}"),
    ResourceAcquired: (Rank.DEBUG, lambda event: f"resource {event.name} acquired for one {event.scope}"),
    ResourceReleased: (Rank.DEBUG, _released),
}
"""The level of each type of event, and what it says in words. A type that is not here has `debug` and shows its fields.

The end of a task has `info` even if the task failed, which is shown as an error: at the default level, `warning`,
nobody listens to tasks then, and the run is faster. The command reports the error at its end anyway.
"""
