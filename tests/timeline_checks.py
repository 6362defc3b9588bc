"""Checks of timelines: that one is the same as the events of its run, and tells of a possible order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reference import Told

from cascade.runtime import Timeline
from cascade.runtime.events import Event, TaskExecutionFinished, TaskRetrying, TaskSkipped
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call, Place


def told_by(timeline: Timeline) -> dict[str, Told]:
    """Return what became of each call that the only run of a timeline mentions, by its id."""
    (run,) = timeline.runs
    told = {call.id: Told(call.task, str(call.status)) for call in run.calls()}
    return told | {skip.place.id: Told(skip.task, str(skip.reason)) for skip in run.skips()}


def check_events(timeline: Timeline, events: Sequence[Event]) -> None:
    """Check that the only run of a timeline has the same as the events of that run, and in their order."""
    if not events:
        assert timeline.runs == ()
        return
    (run,) = timeline.runs
    finished = [event for event in events if isinstance(event, TaskExecutionFinished)]
    assert [(call.id, call.task, call.status, call.error) for call in run.calls()] == [
        (event.task_id, event.task_name, event.status, event.error) for event in finished
    ]
    skipped = [event for event in events if isinstance(event, TaskSkipped)]
    assert [(skip.place.id, skip.task, skip.reason) for skip in run.skips()] == [
        (event.task_id, event.task_name, event.reason) for event in skipped
    ]
    retries = [event for event in events if isinstance(event, TaskRetrying)]
    assert [(retry.place.id, retry.task, retry.attempt) for retry in run.retries()] == [
        (event.task_id, event.task_name, event.attempt) for event in retries
    ]


def check_run(run: RunTimeline) -> None:
    """Check what holds of every run that has ended: each call once, in an order that may have been."""
    calls = {call.place: call for call in run.calls()}
    skips = {skip.place: skip for skip in run.skips()}
    assert run.ended is not None
    assert run.running() == []
    assert len(calls) == len([*run.calls()])
    assert len(skips) == len([*run.skips()])
    assert not calls.keys() & skips.keys()
    for call in calls.values():
        assert run.began <= call.queued <= call.began <= call.ended <= run.ended
    for retry in run.retries():
        call = calls[retry.place]
        assert retry.attempt < call.attempt
        assert call.began <= retry.at <= call.ended
    _check_trees(run, calls)
    _check_figures(run)


def _check_trees(run: RunTimeline, calls: dict[Place, Call]) -> None:
    """Check that each call began when those had ended that it waits for, in its tree and around it."""
    trees = {tree.number: tree for tree in run.trees()}
    assert len(trees) == len([*run.trees()])
    for place, call in calls.items():
        tree = trees[place.tree]
        assert tree.names[place.node] == call.task
        needs = tree.structure.calls[place.node]
        for source in (*needs.inputs(), *needs.conditions, *tree.structure.predecessors(place.node)):
            before = calls.get(Place(place.tree, source))
            assert before is None or before.ended <= call.began
        if tree.call is not None and tree.call in calls:
            assert calls[tree.call].ended <= call.began
        around = calls.get(Place(place.tree, place.node)) if place.item is not None else None
        if around is not None:
            assert around.is_map
            assert around.began <= call.began
            assert call.ended <= around.ended


def _check_figures(run: RunTimeline) -> None:
    figures = run.tasks()
    calls = Counter(call.task for call in run.calls() if not call.is_map)
    assert calls == Counter({task: each.calls for task, each in figures.items() if each.calls})
    skips = Counter(skip.task for skip in run.skips())
    assert skips == Counter({task: sum(each.skips.values()) for task, each in figures.items() if each.skips})
    retries = Counter(retry.task for retry in run.retries())
    assert retries == Counter({task: each.retries for task, each in figures.items() if each.retries})
    for each in figures.values():
        assert each.running == 0
        assert each.done <= each.known
        assert each.shortest <= each.quantile(0.5) <= each.longest


def counts_of(timeline: Timeline) -> dict[str, tuple[object, ...]]:
    """Return what a timeline has counted, by task."""
    return {
        task: (each.known, each.calls, each.running, each.retries, each.by_status, each.skips, each.timed)
        for task, each in timeline.tasks().items()
        if each.known or each.done
    }
