"""Settings: the one table of what may be set for a run and for an engine.

`run`, `arun`, `cs.cli`, `Engine` and the command line all read it. A new setting is a new row: its name, its type and
what it means. An unknown keyword is refused, with the nearest known one.
"""

# Annotations are evaluated here, unlike elsewhere: the rows are read at run time.

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Annotated, Any, Literal, NoReturn, TypedDict, TypeVar, get_args

from cascade.adapters.addresses import CACHE_URLS, STATE_URLS, VALUE_EXAMPLES
from cascade.adapters.values.value_store import ValueStore
from cascade.runtime.bus import MessageBus
from cascade.runtime.progress.displays import Display
from cascade.runtime.protocols import CacheBackend, Executor, Solver, StateBackendFactory
from cascade.runtime.recorded_runs.recovered_run import Told
from cascade.runtime.timeline.timeline_of_runs import Timeline
from cascade.spec.calls.signatures import show_keywords
from cascade.spec.errors import UnknownSettingError
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.protocols import Codec
from cascade.spec.resource import Resource

Function = TypeVar("Function", bound=Callable[..., object])


class OnFailure(StrEnum):
    """What a run does after the first failure: stop, or finish what does not depend on it."""

    STOP = "stop"
    FINISH = "finish"


class Resume(StrEnum):
    """How a recorded run goes on: only if it is exactly what it began as, or with all that has not changed since."""

    EXACT = "exact"
    COMPATIBLE = "compatible"


@dataclass(frozen=True, slots=True)
class Flag:
    """How a setting is given on a command line: the text of its help, and what stands there for the value.

    With `needs_state` it makes no sense without a store for the run. With `has_off` there is a second form that turns
    it off, which is not the same as to leave it out.
    """

    help: str
    value: str = ""
    needs_state: bool = False
    has_off: bool = False


class StoreSettings(TypedDict, total=False):
    """What is set for stores that are given by their URLs. A backend that is handed in has settings of its own."""

    durability: Annotated[
        Literal["sync", "async"] | StrEnum | None,
        'What a commit to `state` survives: "sync" the loss of power, "async" the end of the process.',
        Flag("Survive loss of power, or the end of the process.", needs_state=True),
    ]
    keep_rounds: Annotated[
        int | None,
        "How many rounds of a loop `state` keeps; 1 by default.",
        Flag("How many rounds of a loop the store keeps.", "N", needs_state=True),
    ]
    codec: Annotated[
        Codec | str | None,
        'Turns values into bytes for `state` and `cache`: "data" (the default), "pickle" with the key in the '
        'environment variable CASCADE_PICKLE_KEY, "module:name", or a codec.',
        Flag(
            "Store values as data, as signed pickle, or by a codec of yours, module:name.",
            "CODEC",
            needs_state=True,
        ),
    ]
    values: Annotated[
        ValueStore | str | None,
        "Where large values of `state` and `cache` are kept, by their digests: a URL, "
        "`file:///shared/values` or `s3://bucket/values` say, or a value store.",
        Flag(f"Keep large values here: {VALUE_EXAMPLES}.", "URL", needs_state=True),
    ]
    values_over: Annotated[
        int | None,
        "Values of more bytes than this are large; 1 MiB by default.",
        Flag("Values of more bytes are large; 1 MiB unless told.", "BYTES", needs_state=True),
    ]


class EngineSettings(StoreSettings, total=False):
    """What an `Engine` takes."""

    state: Annotated[
        StateBackendFactory | str | None,
        'Where runs are recorded: the URL of a store, "sqlite:///runs.db" say, or what makes a backend when it is '
        "called with run_id=; in memory by default.",
        Flag(f"Record the run in this store: {STATE_URLS}.", "URL"),
    ]
    cache: Annotated[
        CacheBackend | str | None,
        'Where cached values are kept: a URL, "sqlite:///cache.db" say, or a backend; in memory by default.',
        Flag(f"Keep cached values here: {CACHE_URLS}.", "URL"),
    ]
    executor: Annotated[
        Executor | str | None,
        'Where calls are made: "inline" (the default), "threads", "threads:8", "processes", "processes:8", "ray", '
        '"ray://host:10001", "dask://host:8786", or an '
        "executor.",
        Flag("Where calls are made: inline, threads:8, processes, ray, dask://host:8786.", "WHERE"),
    ]
    executors: Annotated[
        Mapping[str, Executor | str] | None,
        'More executors by name: calls of tasks with @cs.task(on="name") are made there.',
        Flag("More executors by name, for tasks with on=: pool=processes:8,gpu=ray.", "NAME=WHERE,..."),
    ]
    carry: Annotated[
        Mapping[str, ContextVar[Any]] | None,
        'Context variables that travel with each call to another process, by name: {"tenant": tenant}.',
    ]
    max_concurrency: Annotated[
        int | None,
        "How many calls may run at one time; no limit by default.",
        Flag("How many calls may run at one time.", "N"),
    ]
    system_resources: Annotated[Mapping[str, float] | None, 'The amounts that constraints share: {"gpu": 2}.']
    bus: Annotated[MessageBus | None, "The message bus that tells of events; one of its own by default."]
    timeline: Annotated[
        Timeline | None,
        "Keeps which calls were made and when, for whoever shows or measures runs: a `Timeline`; none by default.",
    ]
    preview: Annotated[
        Callable[[object], str] | None,
        "Makes the text that events show of a result; by default they show nothing.",
    ]
    solver: Annotated[Solver | None, "Finds the order in which tasks run."]
    state_backend_cls: Annotated[StateBackendFactory | None, "The older spelling of `state`."]
    cache_backend: Annotated[CacheBackend | None, "The older spelling of `cache`."]


class OngoingRunSettings(TypedDict, total=False):
    """What a run takes that begins, and one that goes on in another process."""

    resume: Annotated[
        Literal["exact", "compatible"] | Resume | None,
        'How a recorded run goes on: "exact" as what it began as, "compatible" with what has not changed.',
        Flag("Go on as exactly the same, or with what has not changed.", needs_state=True),
    ]
    max_uncommitted: Annotated[
        int | None,
        "How many calls of a recorded run may have ended without being committed; 10,000 by default. A kill makes "
        "these again, and those that were under way.",
        Flag("How many ended calls may wait for a commit.", "N", needs_state=True),
    ]
    on_failure: Annotated[
        Literal["stop", "finish"] | OnFailure,
        'At the first failure: "stop", the default, or "finish" what does not depend on it.',
        Flag("At the first failure: stop, or finish what does not depend on it."),
    ]


class EngineRunSettings(OngoingRunSettings, total=False):
    """What `Engine.run` takes besides the target."""

    params: Annotated[Mapping[str, object] | None, "The values of the workflow's parameters, by name."]
    run_id: Annotated[
        str | None,
        "The name of the run; one that the store knows goes on. A new one by default.",
        Flag("The name of the run: one that the store knows goes on.", "ID", needs_state=True),
    ]
    restart: Annotated[
        bool | None,
        "Begin anew, and forget what the store has of the run.",
        Flag("Begin anew, and forget what the store has of the run.", needs_state=True),
    ]
    keep_inputs: Annotated[
        bool | None,
        "Record the values of the parameters, but no secrets, and where the workflow function is: so that "
        "`engine.recover()` and `cascade worker` can go on with the run if it is interrupted.",
        Flag("Record the parameters too, for workers that go on with the run.", needs_state=True),
    ]
    progress: Annotated[
        bool | Display | None,
        "Show how far the run has come: on stderr, or in the cell of a notebook. A function that shows it may be given "
        "too.",
        Flag("Show how far the run has come, on stderr.", has_off=True),
    ]


class RecoverySettings(OngoingRunSettings, total=False):
    """What `Engine.recover` takes."""

    concurrency: Annotated[
        int | None,
        "How many runs go on at one time; 10 by default.",
        Flag("How many runs go on at one time; 10 by default.", "N"),
    ]
    poll: Annotated[
        float | None,
        "Look again and again, with so many seconds between two looks; by default once.",
        Flag("How many seconds lie between two looks at the store; 5 by default.", "SECONDS"),
    ]
    abandon_after: Annotated[
        int | None,
        "Leave a run alone that was taken over so often in a row, and was interrupted each time before anything new "
        "was recorded; 3 by default.",
        Flag("Leave a run alone after so many interruptions without progress; 3 by default.", "N"),
    ]
    secrets: Annotated[
        Mapping[str, object] | None,
        "The values of secrets, by name; those that are not here are read from the environment variables "
        "CASCADE_SECRET_<NAME>.",
    ]
    secrets_dir: Annotated[
        str | os.PathLike[str] | None,
        "A folder that has a file for each secret, by its name; read where neither `secrets` nor the environment has "
        "one.",
        Flag("A folder with a file for each secret.", "DIR"),
    ]
    told: Annotated[
        Told | None,
        "Called with a `RecoveredRun` for each run, as soon as it is known what becomes of it; and, with `poll`, with "
        "the `StoreError` of a look that failed.",
    ]


class RunSettings(EngineRunSettings, EngineSettings, total=False):
    """What `cs.run`, `cs.arun` and `cs.cli` take: all that `Engine` and `Engine.run` take, and the resources."""

    resources: Annotated[Iterable[Resource] | None, "The resources that tasks may have injected."]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: the name of a setting, its type, what it means, and its form on a command line, if any."""

    name: str
    type: object
    meaning: str
    flag: Flag | None


def row_of(name: str) -> Row:
    """Return the row of a setting."""
    kind, meaning, *flags = get_args(
        {**RecoverySettings.__annotations__, **RunSettings.__annotations__}[name]
    )
    return Row(name, kind, meaning, flags[0] if flags else None)


ENGINE_SETTINGS = tuple(dict.fromkeys(("state", *EngineSettings.__annotations__)))
"""The names of what an engine takes."""

ENGINE_RUN_SETTINGS = (
    *("params", "run_id", "resume", "restart", "keep_inputs"),
    *("max_uncommitted", "on_failure", "progress"),
)
"""The names of what one run takes."""

RECOVERY_SETTINGS = tuple(
    dict.fromkeys(
        (
            "concurrency",
            "poll",
            "abandon_after",
            "secrets",
            "secrets_dir",
            "told",
            *RecoverySettings.__annotations__,
        )
    )
)
"""The names of what goes on with runs that were interrupted takes."""

RUN_SETTINGS = (*ENGINE_RUN_SETTINGS, "resources", *ENGINE_SETTINGS)
"""The names of what `cs.run` takes, in the order in which help shows them."""


def check_known(call: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    """Check the names of settings.

    Raises:
        UnknownSettingError: For the first one that `call` does not take; it names the nearest one that it takes.
    """
    for name in given:
        if name not in known:
            refuse(call, name, known)


def refuse(call: str, name: str, known: tuple[str, ...]) -> NoReturn:
    """Refuse a setting that `call` does not take.

    Raises:
        UnknownSettingError: Always.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - brings regular expressions, and only a mistake needs it

    nearest = get_close_matches(name, known, 1)
    homes = [home for home, names in _HOMES.items() if name in names and known is not names]
    raise UnknownSettingError(call, name, known, nearest[0] if nearest else "", homes[0] if homes else "")


_HOMES = {
    "Engine(...)": ENGINE_SETTINGS,
    "engine.run(...)": ENGINE_RUN_SETTINGS,
    "engine.recover(...)": RECOVERY_SETTINGS,
}


def part_of(settings: Mapping[str, object], names: Iterable[str]) -> dict[str, Any]:
    """Return the settings of these names, as far as they are given."""
    return {name: settings[name] for name in names if name in settings}


def documented(names: tuple[str, ...]) -> Callable[[Function], Function]:
    """Return a decorator that lists settings in a function's docstring and signature, for `help` and editors."""

    def decorate(function: Function) -> Function:
        lines = "".join(f"\n        {name}: {row_of(name).meaning}" for name in names)
        listed = f"\n\n    Settings:{lines}\n"
        before, raises, after = (function.__doc__ or "").partition("\n\n    Raises:")
        function.__doc__ = before.rstrip() + listed + ("\n    Raises:" + after if raises else "    ")
        show_keywords(function, [(name, inspect.Parameter.empty, _DEFAULTS.get(name)) for name in names])
        return function

    return decorate


_DEFAULTS = {"on_failure": OnFailure.STOP.value}
"""What stands for a setting that is not given, where that is not `None`."""
