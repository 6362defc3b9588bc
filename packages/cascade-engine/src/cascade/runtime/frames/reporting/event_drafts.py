"""Event drafts: the events of calls, made quickly.

Two of these are made for each call that somebody listens to. What `dataclass` writes for a frozen class fills each
field through a function, which takes twice as long as a plain assignment. So a draft, which has the same fields and is
not frozen, is filled and then turns into the event. Watched by observatory/benchmarks/bench_events.py.
"""

from __future__ import annotations

from typing import Any

from cascade.runtime.events import Event, Status, TaskExecutionFinished, TaskExecutionStarted


def _draft_of(kind: type[Event]) -> type[Any]:
    """Return a class like that of an event, whose fields may be assigned."""
    members = {
        "__slots__": vars(kind)["__slots__"],
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,
    }
    return type(f"{kind.__name__}Draft", kind.__bases__, members)


_Started = _draft_of(TaskExecutionStarted)
_Finished = _draft_of(TaskExecutionFinished)
_new = object.__new__


def call_started(run_id: str, task_id: str, name: str) -> TaskExecutionStarted:
    """Return the event of a call that begins."""
    event: Any = _new(_Started)
    event.run_id = run_id
    event.task_id = task_id
    event.task_name = name
    event.__class__ = TaskExecutionStarted
    made: TaskExecutionStarted = event
    return made


def call_succeeded(
    run_id: str, task_id: str, name: str, duration: float, shown: str | None
) -> TaskExecutionFinished:
    """Return the event of a call that has returned, with the preview of its value if there is one."""
    event: Any = _new(_Finished)
    event.run_id = run_id
    event.task_id = task_id
    event.task_name = name
    event.status = Status.SUCCEEDED
    event.duration = duration
    event.error = None
    event.result_preview = shown
    event.__class__ = TaskExecutionFinished
    made: TaskExecutionFinished = event
    return made
