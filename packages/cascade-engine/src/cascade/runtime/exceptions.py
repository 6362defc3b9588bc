"""Errors of the engine: what goes wrong when a graph is prepared or run.

Each derives from `CascadeRuntimeError` and, where one fits, from a builtin error. The facts are attributes, the text
says what to do next. What a task raises itself is never wrapped. All can be pickled.
"""

from __future__ import annotations

from cascade.adapters.travelling.providers import ResourceYieldError as ResourceYieldError
from cascade.spec.errors import CascadeRuntimeError as CascadeRuntimeError
from cascade.spec.late_dataclasses import dataclass


@dataclass(eq=False)
class DependencyMissingError(CascadeRuntimeError, LookupError):
    """A value is asked for that no task gave, because the task was skipped.

    `argument` is where the missing value was to go, `source` the task that should have given it; both are empty
    where the task's own condition was false.
    """

    task: str
    reason: str
    argument: str = ""
    source: str = ""

    def __str__(self) -> str:
        cause = f": its {self.argument} from task '{self.source}' is missing" if self.source else ""
        return (
            f"task '{self.task}' was skipped ({self.reason}){cause}; "
            f"give a value for that case with run_if(..., otherwise=...), or ask for a task that runs"
        )


@dataclass(eq=False)
class ProvisionalValueError(CascadeRuntimeError):
    """A value is not put into the cache, because an atomic resource that is still open may undo what the call did.

    It is the reason in a `CacheBypassed` event and is not raised.
    """

    task: str
    resource: str

    def __str__(self) -> str:
        return (
            f"the value of task '{self.task}' is not cached: it rests on resource '{self.resource}', which is "
            f'atomic and open for the whole run; give the resource scope="task"'
        )


@dataclass(eq=False)
class RouteNotFoundError(CascadeRuntimeError, LookupError):
    """A selector gave a key that its router has no route for.

    `argument` says where the router stands in the call of `task`; `known` are the keys of its routes.
    """

    task: str
    argument: str
    key: object
    known: tuple[object, ...]

    def __str__(self) -> str:
        known = ", ".join(map(repr, self.known))
        return (
            f"the router in '{self.argument}' of task '{self.task}' has no route {self.key!r}; it has {known}"
        )


@dataclass(eq=False)
class AtomicLoopError(CascadeRuntimeError, ValueError):
    """A loop of a recorded run depends on an atomic resource that is open for the whole run.

    No round of it could count as done before the run ends, so nothing of the loop would be recorded.
    """

    resource: str
    task: str

    def __str__(self) -> str:
        return (
            f"task '{self.task}' goes round in a loop of a recorded run, and rests on resource '{self.resource}', "
            f"which is atomic and open for the whole run: no round would count as done before the run ends; "
            f'give the resource scope="task", which is released after each call'
        )


@dataclass(eq=False)
class IdempotencyKeyError(CascadeRuntimeError, TypeError):
    """A task asks for its idempotency key, and one of its arguments can't be a part of it; `kind` is its type."""

    task: str
    argument: str
    kind: str

    def __str__(self) -> str:
        return (
            f"task '{self.task}' asks for its idempotency key, and its argument '{self.argument}' can't go into "
            f"the key: a {self.kind} has no canonical form; pass plain data, say what stands for it with "
            f"register_encoder, or inject it as a resource"
        )


@dataclass(eq=False)
class MapItemSkippedError(CascadeRuntimeError, LookupError):
    """An item of a map has no value, because what it called was skipped. `index` begins at 0."""

    task: str
    index: int
    reason: str

    def __str__(self) -> str:
        return (
            f"item {self.index} of mapped task '{self.task}' was skipped ({self.reason}); "
            f"give a value for that case with run_if(..., otherwise=...)"
        )


@dataclass(eq=False)
class TaskTimeoutError(CascadeRuntimeError, TimeoutError):
    """An attempt took longer than `with_timeout` allows."""

    task: str
    seconds: float

    def __str__(self) -> str:
        return f"task '{self.task}' took longer than its timeout of {self.seconds:g} s"


@dataclass(eq=False)
class TaskCancelledError(CascadeRuntimeError):
    """A call was cancelled, though nobody had cancelled its run: that counts as a failure of its task.

    The `CancelledError` is the `__cause__`.
    """

    task: str

    def __str__(self) -> str:
        return (
            f"task '{self.task}' was cancelled, and not by its run; a task that is to stop the run raises an "
            f"exception of its own"
        )


@dataclass(eq=False)
class ResourceCancelledError(CascadeRuntimeError):
    """The asyncio task that holds the shared resources of a run was cancelled, and not by the run.

    `resources` names those that were open; the `CancelledError` is the `__cause__`.
    """

    resources: tuple[str, ...]

    def __str__(self) -> str:
        names = ", ".join(f"'{name}'" for name in self.resources)
        return f"the asyncio task that holds the resources of the run ({names}) was cancelled; cancel the run instead"


@dataclass(eq=False)
class TimeoutRefusedError(CascadeRuntimeError, ValueError):
    """A call has a timeout, and its executor says that it can't have one there."""

    task: str
    executor: str

    def __str__(self) -> str:
        return (
            f"task '{self.task}' has a timeout, and {self.executor} takes no call with one; leave it out, or have the "
            f"call made elsewhere"
        )


@dataclass(eq=False)
class InlineTimeoutError(CascadeRuntimeError, ValueError):
    """A plain function that runs in the event loop's own thread has a timeout, which could never fire there."""

    task: str

    def __str__(self) -> str:
        return (
            f"task '{self.task}' is a plain function that runs inline, where a timeout can't interrupt it; "
            f'make it async, or write @cs.task(mode="thread")'
        )


@dataclass(eq=False)
class ResourceNotFoundError(CascadeRuntimeError, LookupError):
    """A resource is injected that nobody registered. `wanted_by` says who takes it, `known` what is registered."""

    resource: str
    wanted_by: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return (
            f"{self.wanted_by} wants resource '{self.resource}', which is not registered (registered: {known}); "
            f"pass it in resources=[...] or call engine.register(...)"
        )


@dataclass(eq=False)
class ResourceCycleError(CascadeRuntimeError, ValueError):
    """Resources need each other. `names` are those of the cycle, each before the one that it needs."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"resources need each other: {' -> '.join((*self.names, self.names[0]))}; take one injection away"
        )


@dataclass(eq=False)
class ResourceScopeError(CascadeRuntimeError, ValueError):
    """A resource of scope `task` is taken by what lives longer than a call, `user`."""

    user: str
    resource: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.user} can't take resource '{self.resource}' of scope 'task'; {self.remedy}"


@dataclass(eq=False)
class DriverResourceError(CascadeRuntimeError, TypeError):
    """A resource is opened in the process of the run, and `user` takes it in another one: it can't travel."""

    user: str
    resource: str

    def __str__(self) -> str:
        return (
            f"{self.user} can't take resource '{self.resource}', which is opened in the process of the run and can't "
            f'travel to another one; write @cs.resource(where="worker"), so that each worker opens its own'
        )


@dataclass(eq=False)
class RequirementError(CascadeRuntimeError, ValueError):
    """A constraint asks for more than the engine has, for what it does not declare, or for no amount at all."""

    task: str
    resource: str
    problem: str

    def __str__(self) -> str:
        return f"task '{self.task}' needs {self.problem}"


@dataclass(eq=False)
class UnknownParamError(CascadeRuntimeError, LookupError):
    """A value is given for a parameter that the workflow does not declare. `known` are those that it does."""

    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return f"the workflow has no parameter '{self.name}'; it has: {known}"


@dataclass(eq=False)
class UnknownExecutorError(CascadeRuntimeError, LookupError):
    """A task is to run on an executor that the engine does not have. `known` are the names of those that it has."""

    task: str
    executor: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        return (
            f"task '{self.task}' is to run on '{self.executor}', which is not an executor of the engine (executors: "
            f"{known}); give executors={{{self.executor!r}: ...}}, "
            f"or --executors {self.executor}=... on the command line"
        )


@dataclass(eq=False)
class RunningLoopError(CascadeRuntimeError):
    """`cs.run` is called where an event loop runs already."""

    def __str__(self) -> str:
        return "cs.run can't be called in a running event loop; write `await cs.arun(target)` there"


@dataclass(eq=False)
class EngineLoopError(CascadeRuntimeError):
    """An engine is used in a second event loop while it serves a first one."""

    def __str__(self) -> str:
        return "this engine serves another event loop; make an Engine for each loop"


@dataclass(eq=False)
class EngineClosedError(CascadeRuntimeError):
    """An engine is used after it was closed."""

    def __str__(self) -> str:
        return "this engine is closed; run inside its `async with` block"


@dataclass(eq=False)
class RunChangedError(CascadeRuntimeError, ValueError):
    """A recorded run is asked to go on, and is another one than it began as; `changes` tells each difference."""

    run_id: str
    changes: tuple[str, ...]

    def __str__(self) -> str:
        shown = self.changes[:_CHANGES_SHOWN]
        more = len(self.changes) - len(shown)
        changes = "; ".join(shown) + (f"; and {more} more" if more else "")
        return (
            f"run '{self.run_id}' began otherwise: {changes}. Give resume=\"compatible\" to keep what did not change, "
            f"restart=True to begin anew, or another run_id"
        )


_CHANGES_SHOWN = 10


@dataclass(eq=False)
class RunEndedError(CascadeRuntimeError, LookupError):
    """A run was to be taken over, and is not interrupted any more: it has ended, or is gone. `status` says how."""

    run_id: str
    status: str

    def __str__(self) -> str:
        return f"run '{self.run_id}' is not interrupted any more: it {self.status or 'is gone'}"


@dataclass(eq=False)
class RunAbandonedError(CascadeRuntimeError, RuntimeError):
    """A run is taken over no more: `takes` processes in a row were interrupted in it without getting on."""

    run_id: str
    takes: int

    def __str__(self) -> str:
        return (
            f"run '{self.run_id}' was taken over {self.takes} times and interrupted each time before anything new was "
            "recorded; see what ends its processes, then go on with it by `cascade runs resume`"
        )


@dataclass(eq=False)
class WorkflowNotFoundError(CascadeRuntimeError, LookupError):
    """The workflow of a run that is to be taken over is not there; `module` and `qualname` say where it was."""

    run_id: str
    module: str
    qualname: str

    def __str__(self) -> str:
        return (
            f"the workflow of run '{self.run_id}' is {self.module}.{self.qualname}, and no module that is imported "
            f"here has a function of that name; import {self.module} first, or name it to `cascade worker`"
        )


class BlockedLoopWarning(UserWarning):
    """A task has held the event loop for long while others waited for it."""
