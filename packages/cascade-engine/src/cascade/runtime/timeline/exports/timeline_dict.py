"""A timeline as plain data, for JSON: columns of calls, and tables of what they refer to.

The form is documented in docs/reference/timeline-json.md, and checked against docs/reference/timeline.schema.json.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

from cascade.graph.tree import Structure
from cascade.runtime.timeline.figures import TaskFigures
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call, Place, TreeView

SCHEMA: Final = 1
"""The version of the form. It grows when something changes its meaning or goes."""

Data = dict[str, Any]

Key = TypeVar("Key", bound=Hashable)


def timeline_dict(runs: Iterable[RunTimeline]) -> Data:
    """Return runs as plain data: dicts, lists, texts and numbers."""
    return {"schema": SCHEMA, "kind": "timeline", "runs": [run_dict(run) for run in runs]}


def run_dict(run: RunTimeline, calls: Sequence[Call] | None = None) -> Data:
    """Return one run; of its calls, these, or all. Times are seconds from the run's beginning."""
    names: _Table[str] = _Table()
    structures: _Table[int] = _Table()
    trees = [_tree_row(tree, structures) for tree in run.trees()]
    shapes = {id(tree.structure): tree for tree in run.trees()}
    return {
        "run_id": run.run_id,
        "inputs": [*run.inputs],
        "status": None if run.status is None else run.outcome,
        "error": run.error,
        "began_at": run.began_at.isoformat(),
        "seconds": None if run.ended is None else run.ended - run.began,
        "kept": run.kept,
        "folded": run.folded,
        "tasks": [task_dict(figures) for figures in run.tasks().values()],
        "calls": _calls(run, run.calls() if calls is None else calls, names),
        "running": [
            {**_place(each.place), "task": each.task, "began": each.began - run.began}
            for each in run.running()
        ],
        "skips": [
            {**_place(each.place), "task": each.task, "reason": each.reason.value, "at": each.at - run.began}
            for each in run.skips()
        ],
        "retries": [
            {
                **_place(each.place),
                "task": each.task,
                "attempt": each.attempt,
                "at": each.at - run.began,
                "delay": each.delay,
                "error": each.error,
            }
            for each in run.retries()
        ],
        "maps": [{**_place(each.place), "task": each.task, "size": each.size} for each in run.maps()],
        "loops": [
            {"call": None if each.call is None else _place(each.call), "rounds": each.rounds}
            for each in run.loops()
        ],
        "trees": {
            "number": [row[0] for row in trees],
            "call": [row[1] for row in trees],
            "round": [row[2] for row in trees],
            "structure": [row[3] for row in trees],
        },
        "structures": [_structure(shapes[key].structure, shapes[key].names) for key in structures.rows],
        "names": names.rows,
    }


class _Table(Generic[Key]):
    """Numbers things in the order in which they come."""

    def __init__(self) -> None:
        self._numbers: dict[Key, int] = {}

    def number(self, key: Key) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    @property
    def rows(self) -> list[Key]:
        return [*self._numbers]


def _calls(run: RunTimeline, calls: Iterable[Call], names: _Table[str]) -> Data:
    """Return columns, one row for each call; texts are numbers of names."""
    columns: Data = {name: [] for name in CALL_COLUMNS}
    add = [column.append for column in columns.values()]
    began, number = run.began, names.number
    for place, task, attempt, queued, begin, ended, status, worker, error, is_map, notes, *_ in calls:
        row = (
            *place, number(task), attempt, queued - began, begin - began, ended - began, number(status.value),
            number(worker), None if error is None else number(error), is_map, [*notes],
        )  # fmt: skip
        for append, value in zip(add, row, strict=True):
            append(value)
    return columns


CALL_COLUMNS = (
    "tree",
    "node",
    "item",
    "task",
    "attempt",
    "queued",
    "began",
    "ended",
    "status",
    "worker",
    "error",
    "is_map",
    "notes",
)
"""The columns of calls. `task`, `status`, `worker` and `error` are indices into `names`."""


def _place(place: Place) -> Data:
    return place._asdict()


def _tree_row(tree: TreeView, structures: _Table[int]) -> tuple[int, Data | None, int, int]:
    call = None if tree.call is None else _place(tree.call)
    return tree.number, call, tree.round, structures.number(id(tree.structure))


def _structure(structure: Structure, names: Sequence[str]) -> Data:
    """Return a structure: the names of its nodes, and for each one those that it waits for."""
    return {
        "names": [*names],
        "waits_for": [[*sources] for sources in structure.dependencies()],
        "target": structure.target,
    }


def task_dict(figures: TaskFigures) -> Data:
    """Return the figures of one task; times are in seconds."""
    return {
        "task": figures.task,
        "known": figures.known,
        "calls": figures.calls,
        "running": figures.running,
        "retries": figures.retries,
        "by_status": {status.value: count for status, count in figures.by_status.items()},
        "skips": {reason.value: count for reason, count in figures.skips.items()},
        "total": figures.total,
        "mean": figures.mean,
        "shortest": figures.shortest,
        "longest": figures.longest,
        "median": figures.quantile(0.5),
        "p95": figures.quantile(0.95),
    }
