"""Missing inputs: the error of a run whose own target was skipped, which names the task and the reason."""

from __future__ import annotations

from cascade.runtime.events import SkipReason
from cascade.runtime.exceptions import DependencyMissingError
from cascade.runtime.frames.frame import Frame, Job

_PLACES = {
    SkipReason.UPSTREAM_CONDITION: "condition",
    SkipReason.UPSTREAM_CONSTRAINT: "amount",
    SkipReason.UPSTREAM_ROUTE: "route",
}


def missing_error(frame: Frame, reason: SkipReason) -> DependencyMissingError | None:
    """Return the error for a skipped target; `None` where its sequence skipped it, which is no error."""
    if reason is SkipReason.UPSTREAM_SEQUENCE:
        return None
    target = Job(frame, frame.program.target)
    source = frame.flow.missing(frame.program.target, reason)
    if source is None:
        return DependencyMissingError(target.name, reason)
    argument = _PLACES.get(reason) or _argument(target, source)
    return DependencyMissingError(target.name, reason, argument, Job(frame, source).name)


def _argument(job: Job, source: int) -> str:
    call = job.frame.program.calls[job.position]
    for slot, filled_from in zip(call.slots, call.sources, strict=True):
        if filled_from == source:
            return f"argument '{job.task.describe_slot(slot)}'"
    return "selector"
