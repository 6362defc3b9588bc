"""Options: what one run is given besides its target."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from cascade.runtime.settings import Resume
from cascade.runtime.sharing.capacity import Lease
from cascade.spec.inputs.workflow import WorkflowSpec


@dataclass(frozen=True)
class RunOptions:
    """What a run is given besides its target.

    `params` are the values of its parameters by name, `spec` the inputs that its workflow declares. `finish` says that
    after a failure all that does not depend on it still runs. `lender` is the lease of the task inside which the run
    is started, so that it may borrow from it; `caller` is the asyncio task that waits for the run.
    """

    params: dict[str, object] = field(default_factory=dict)
    run_id: str | None = None
    finish: bool = False
    spec: WorkflowSpec | None = None
    resume: Resume | None = None
    restart: bool = False
    max_uncommitted: int | None = None
    lender: Lease | None = None
    caller: asyncio.Task[object] | None = None

    @property
    def compatible(self) -> bool:
        """Whether a run that was recorded with other code or inputs goes on with what has not changed."""
        return self.resume is Resume.COMPATIBLE
