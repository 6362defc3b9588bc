"""Options: what one run is given besides its target, checked.

A new setting of a run is a row in `cascade.runtime.settings` and a field here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from cascade.runtime.progress.displays import Display, installed_display
from cascade.runtime.settings import EngineRunSettings, OnFailure, OngoingRunSettings, Resume
from cascade.runtime.sharing.capacity import Lease, held
from cascade.runtime.timeline.timeline_of_runs import KeepsRuns
from cascade.spec.durable import NO_TAKES, Takes
from cascade.spec.errors import PolicyError, SpecError
from cascade.spec.inputs.words import parse_word
from cascade.spec.inputs.workflow import WorkflowSpec
from cascade.spec.late_dataclasses import dataclass, field
from cascade.spec.tasks.definition import TaskReference


@dataclass(frozen=True)
class RunOptions:
    """What a run is given besides its target.

    `params` are the values of its parameters by name, `spec` the inputs that its workflow declares. `finish` says that
    after a failure all that does not depend on it still runs. `lender` is the lease of the task inside which the run
    is started, so that it may borrow from it; `caller` is the asyncio task that waits for the run. `timeline` is its
    own, in place of the engine's; `display` shows its progress.

    `workflow` is where its workflow function is found, of a run that keeps its inputs. A run that `recovers` goes on
    with one that was interrupted, and does nothing else: it begins none, and goes on with none that has ended. `takes`
    says how often that was tried before.
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
    timeline: KeepsRuns | None = None
    display: Display | None = None
    workflow: TaskReference | None = None
    recovers: bool = False
    takes: Takes = NO_TAKES

    @property
    def compatible(self) -> bool:
        """Whether a run that was recorded with other code or inputs goes on with what has not changed."""
        return self.resume is Resume.COMPATIBLE


def default_options() -> RunOptions:
    """Return the options of a run that is given nothing but its target; called where `checked_options` is."""
    return RunOptions(lender=held.get(), caller=asyncio.current_task())


def checked_options(
    settings: EngineRunSettings, spec: WorkflowSpec | None, timeline: KeepsRuns | None
) -> RunOptions:
    """Return the options that the settings of `Engine.run` mean; called in the asyncio task that waits for the run.

    Raises:
        SpecError: If a setting can't be meant, or settings don't go together.
        MissingWheelError: If progress is to be shown, and nothing is installed that shows it.
    """
    run_id, resume, restart = settings.get("run_id"), settings.get("resume"), settings.get("restart")
    _check_identity(run_id, resume, restart)
    keeps = settings.get("keep_inputs")
    if keeps is not None and not isinstance(keeps, bool):
        raise SpecError(f"keep_inputs={keeps!r}", "give True or False")
    on_failure = settings.get("on_failure", OnFailure.STOP)
    return RunOptions(
        params=_checked_params(settings.get("params")),
        run_id=run_id,
        finish=parse_word(OnFailure, "on_failure", on_failure) is OnFailure.FINISH,
        spec=spec,
        resume=None if resume is None else parse_word(Resume, "resume", resume),
        restart=bool(restart),
        max_uncommitted=checked_count("max_uncommitted", settings.get("max_uncommitted")),
        lender=held.get(),
        caller=asyncio.current_task(),
        timeline=timeline,
        display=_checked_display(settings.get("progress")),
    )


def recovery_options(settings: OngoingRunSettings) -> RunOptions:
    """Return what the settings of `Engine.recover` mean for each run that goes on.

    Raises:
        SpecError: If a setting can't be meant.
    """
    resume, on_failure = settings.get("resume"), settings.get("on_failure", OnFailure.STOP)
    return RunOptions(
        finish=parse_word(OnFailure, "on_failure", on_failure) is OnFailure.FINISH,
        resume=None if resume is None else parse_word(Resume, "resume", resume),
        max_uncommitted=checked_count("max_uncommitted", settings.get("max_uncommitted")),
        recovers=True,
    )


def _checked_params(params: object) -> dict[str, object]:
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise SpecError(
            f"params= got {type(params).__name__}", 'give a dict of names and values: params={"n": 5}'
        )
    return dict(params)


def _check_identity(run_id: object, resume: object, restart: object) -> None:
    if run_id is not None and not (isinstance(run_id, str) and run_id):
        raise SpecError(f"run_id={run_id!r}", "give a text that is not empty, or none for an id of its own")
    if restart is not None and not isinstance(restart, bool):
        raise SpecError(f"restart={restart!r}", "give True or False")
    if resume is not None and restart:
        raise SpecError(f"resume={resume!r} and restart=True", "give one of them: to go on, or to begin anew")
    if resume is not None and run_id is None:
        raise SpecError(f"resume={resume!r} without a run_id", "give the run_id of the run that is to go on")


def checked_seconds(name: str, given: float | None) -> float | None:
    """Return a setting that is a time in seconds.

    Raises:
        PolicyError: If it is no number above 0.
    """
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if given is not None and not (is_number and 0 < given < float("inf")):
        raise PolicyError(f"{name}={given!r}", "give a number of seconds above 0")
    return given


def _checked_display(given: object) -> Display | None:
    if given is None or given is False:
        return None
    if given is True:
        return installed_display()
    if isinstance(given, Display):
        return given
    raise SpecError(f"progress={given!r}", "give True or False, or a function that shows progress")


def checked_count(name: str, given: int | None) -> int | None:
    """Return a setting that counts something.

    Raises:
        PolicyError: If it is no whole number of 1 or more.
    """
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise PolicyError(f"{name}={given!r}", "give a whole number, 1 or more")
    return given
