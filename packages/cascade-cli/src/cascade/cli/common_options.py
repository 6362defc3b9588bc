"""Settings: the options that every workflow's command has beside those of its parameters.

What is not given on the command line is as the workflow's own script has it, or else as `cs.run` has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Literal, TypeVar, get_args, get_origin

import typer

from cascade.adapters.executors.executor_words import executor_from_word
from cascade.cli.event_log import LogFormat, LogLevel
from cascade.cli.output import ResultFormat
from cascade.runtime.settings import RUN_SETTINGS, Flag, RunSettings, row_of
from cascade.runtime.stores import CODEC, STATE_OPTIONS, cache_maker, state_of
from cascade.spec import SpecError

Command = TypeVar("Command", bound=Callable[..., None])

_LOG = "Log"
_STORE = "Store"
_RUN = "Run"


@dataclass(frozen=True, slots=True)
class Setting:
    """One such option: what it is called in Python, its type, and what the help tells of it."""

    name: str
    kind: type
    told: str
    panel: str
    default: object = None
    check: Callable[[Any], object] | None = None
    metavar: str = ""
    variable: str = ""

    @property
    def flag(self) -> str:
        """How it is written, with dashes for underscores."""
        return "--" + self.name.replace("_", "-")

    def parameter(self, *, default: object = None) -> inspect.Parameter:
        """Return the parameter of a command's function from which Typer makes the option."""
        info = typer.Option(
            default,
            self.flag,
            help=self.told,
            envvar=self.variable or None,
            rich_help_panel=self.panel,
            callback=self.check,
            min=1 if self.kind is int else None,
            metavar=self.metavar or None,
            show_default=default is not None,
        )
        kind: Any = self.kind | None
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=kind)

    def words(self, value: object) -> list[str]:
        """Return the words on a command line that give a value; none where there is none."""
        if value is None or value is False:
            return []
        return [self.flag] if value is True else [self.flag, _text(value)]


def with_settings(shown: Iterable[Setting]) -> Callable[[Command], Command]:
    """Return a decorator for commands that take settings before the workflow's file, as `**given`."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        parameters = [*own, *(setting.parameter() for setting in shown)]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def before_target(shown: Iterable[Setting], given: Mapping[str, object]) -> list[str]:
    """Return the settings that were given before the target as they are written after it."""
    return [word for setting in shown for word in setting.words(given.get(setting.name))]


def _text(value: object) -> str:
    return str(value.value) if isinstance(value, Enum) else str(value)


def _id(given: str | None) -> str | None:
    """Check an id: text that can be stored and be read on a screen."""
    if given is not None and not (given and given.isprintable()):
        raise typer.BadParameter("give a text of characters that can be printed")
    return given


RESULT_SETTINGS = (
    Setting("result", ResultFormat, "Print the result as text, or as JSON.", _RUN, ResultFormat.TEXT),
)

LOG_SETTINGS = (
    Setting("log_level", LogLevel, "How much to tell on stderr while it runs.", _LOG, LogLevel.WARNING),
    Setting("log_format", LogFormat, "Sentences, or a JSON object per line.", _LOG, LogFormat.HUMAN),
)


def _from_table(name: str, flag: Flag, kind: Any) -> Setting:
    """Return the option of a row of the table of settings."""
    return Setting(
        name,
        _kind(name, kind),
        flag.told,
        _STORE if name in _OF_STORES else _RUN,
        check=_CHECKS.get(name),
        metavar=flag.value,
        variable=VARIABLES.get(name, ""),
    )


def _kind(name: str, annotation: Any) -> type:
    """Return the type that Typer reads an option as: the words of a literal as an enum, a URL as text."""
    choices = get_args(annotation) or (annotation,)
    for choice in choices:
        if get_origin(choice) is Literal:
            made: type = StrEnum(name.title(), [(word, word) for word in get_args(choice)])  # type: ignore[misc]  # mypy reads only literal members
            return made
    return next((kind for kind in (int, bool) if kind in choices), str)


VARIABLES = {"state": "CASCADE_STATE", "cache": "CASCADE_CACHE"}
"""Environment variables that stand for options which are not given."""

_OF_STORES = ("state", "run_id", "resume", "restart", *STATE_OPTIONS, "max_uncommitted", "cache")
_CHECKS: dict[str, Callable[[Any], object]] = {"run_id": _id}

ENGINE_OPTIONS = tuple(
    _from_table(name, row.flag, row.type)
    for name, row in ((name, row_of(name)) for name in dict.fromkeys((*_OF_STORES, *RUN_SETTINGS)))
    if row.flag is not None
)
"""The options for the settings of a run that a command line takes."""

SETTINGS = (*RESULT_SETTINGS, *LOG_SETTINGS, *ENGINE_OPTIONS)
"""All options that every workflow's command has."""

RUN_ID = next(each for each in SETTINGS if each.name == "run_id")
RESTART = next(each for each in SETTINGS if each.name == "restart")


def chosen(settings: RunSettings, given: Mapping[str, object]) -> RunSettings:
    """Return the settings with those that were given on the command line over them, and checked.

    Raises:
        SpecError: If they don't go together, or need a store and have none.
    """
    told = {name: _plain(value) for name, value in given.items() if value is not None and value is not False}
    if "resume" in told and "restart" in told:
        raise SpecError("both --resume and --restart", "give one of the two")
    merged: Any = {**settings, **told}
    if "resume" in told:
        merged["restart"] = False
    if merged.get("state") is None:
        needing = _NEED_STATE if merged.get("cache") is None else _NEED_STATE - {CODEC}
        lonely = [f"--{name.replace('_', '-')}" for name in told if name in needing]
        if lonely:
            raise SpecError(
                f"{' and '.join(lonely)} without a store", "give its URL, --state sqlite:///runs.db"
            )
    checked: RunSettings = merged
    state_of(checked)
    cache_maker(checked)
    executor = checked.get("executor")
    if isinstance(executor, str):
        executor_from_word(executor)
    return checked


_NEED_STATE = frozenset({"run_id", "resume", "restart", "max_uncommitted", *STATE_OPTIONS})


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value
