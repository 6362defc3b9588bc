"""Errors of calls that are made in another process."""

from __future__ import annotations

from cascade.spec.errors import CascadeError
from cascade.spec.late_dataclasses import dataclass


@dataclass(eq=False)
class RemoteError(CascadeError, RuntimeError):
    """A task in another process raised an exception that can't be sent here.

    `kind` is its type with the module, `text` what it says, `trace` its traceback there.
    """

    task: str
    kind: str
    text: str
    trace: str = ""

    def __str__(self) -> str:
        said = f"{self.kind}: {self.text}" if self.text else self.kind
        return f"task '{self.task}' raised {said} in another process; that exception can't be pickled"


IN_A_THREAD = 'write @cs.task(mode="thread")'
"""How a call is made in the process of the run that would be made in another one, unless its `on=` names a cluster."""


@dataclass(eq=False)
class BoundaryError(CascadeError, TypeError):
    """An argument or a result can't be sent between processes: `what` says which, `kind` and `text` say why.

    `remedy` says how the call can be made in the process of the run.
    """

    task: str
    what: str
    kind: str
    text: str
    trace: str = ""
    remedy: str = IN_A_THREAD

    def __str__(self) -> str:
        return (
            f"{self.what} of task '{self.task}' can't be sent between processes ({self.kind}: {self.text}); "
            f"pass data that can be pickled, or {self.remedy}"
        )


@dataclass(eq=False)
class WorkerLoadError(CascadeError, ImportError):
    """Another process can't import the module of a task, or does not find the task there."""

    task: str
    reference: str
    problem: str
    trace: str = ""

    def __str__(self) -> str:
        return f"task '{self.task}' can't be loaded as {self.reference} in another process: {self.problem}"


@dataclass(eq=False)
class UnguardedMainError(CascadeError, RuntimeError):
    """A file starts a run as soon as it is imported, so each worker process would run it again."""

    file: str

    def __str__(self) -> str:
        return (
            f"{self.file} starts a run when another process imports it for its tasks; "
            f'put what it runs below `if __name__ == "__main__":`'
        )


@dataclass(eq=False)
class WorkerDiedError(CascadeError, RuntimeError):
    """The process that made a call ended without an answer: it crashed, or somebody killed it.

    `exit_code` is negative for a signal, as in `subprocess`; `task` is empty where it died before any call.
    """

    task: str
    exit_code: int | None

    def __str__(self) -> str:
        code = self.exit_code
        how = (
            "without an exit code"
            if code is None
            else f"by signal {-code}"
            if code < 0
            else f"with exit code {code}"
        )
        during = f"during a call of task '{self.task}'" if self.task else "while it started"
        return f"a worker process ended {how} {during}; a retry gets another process"


@dataclass(eq=False)
class ClusterGoneError(CascadeError, ConnectionError):
    """A cluster does not answer, or the connection to it is lost. `address` is that of its scheduler."""

    address: str
    problem: str

    def __str__(self) -> str:
        return f"the cluster at {self.address} can't be used: {self.problem}"


@dataclass(eq=False)
class WorkerAmountError(CascadeError, ValueError):
    """A call asks for amounts that no worker of its cluster has, and none will come by itself.

    `wanted` and `offered` say which, and what the workers have.
    """

    task: str
    wanted: str
    offered: str

    def __str__(self) -> str:
        return (
            f"task '{self.task}' asks for {self.wanted}, and no worker of the cluster has that (workers have: "
            f"{self.offered}); start a worker that has it, or ask for less"
        )
