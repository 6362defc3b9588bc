"""Common options: those that the command of every workflow has, beside the options of its parameters.

Most of them are settings of a run, and are made from the engine's table of settings: a setting whose row has a `Flag`
there is an option here. An option that is not given leaves what the script has set, or else the default of `cs.run`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import typer

from cascade.adapters.executors.executor_words import executor_from_word
from cascade.cli.log_lines import LogFormat, LogLevel
from cascade.cli.output import ResultFormat
from cascade.runtime.settings import (
    ENGINE_SETTINGS,
    RECOVERY_SETTINGS,
    RUN_SETTINGS,
    Flag,
    RunSettings,
    row_of,
)
from cascade.runtime.stores import SHARED_OPTIONS, cache_maker, state_of
from cascade.spec import SpecError
from cascade.spec.late_dataclasses import dataclass

Command = TypeVar("Command", bound=Callable[..., None])
Check = Callable[[Any], object]
"""A callback of Typer's: gets the value of an option and returns it, or raises `typer.BadParameter`."""

_LOG_PANEL = "Log"
_STORE_PANEL = "Store"
_RUN_PANEL = "Run"
_FILE_PANEL = "Files"


@dataclass(frozen=True, slots=True)
class CommonOption:
    """One option of every command.

    Attributes:
        name: The name in Python; `max_concurrency` is written `--max-concurrency`.
        kind: The type that Typer reads the value as. A `bool` takes no value.
        help: What `--help` says of it.
        panel: The part of the help that it stands in.
        default: What it is where it is not given; `None` leaves that to the script or to `cs.run`.
        check: Checks the value, or `None`.
        metavar: What stands for the value in the help; empty for the name of the type.
        variable: The environment variable that stands for the option, or empty.
        has_off: Whether there is a second form that turns it off: `--no-progress`.
    """

    name: str
    kind: type
    help: str
    panel: str
    default: object = None
    check: Check | None = None
    metavar: str = ""
    variable: str = ""
    has_off: bool = False

    @property
    def flag(self) -> str:
        """How the option is written: two dashes, and dashes for underscores."""
        return flag_of(self.name)

    @property
    def off_flag(self) -> str:
        """How the option is written that turns it off."""
        return flag_of(f"no_{self.name}")

    def parameter(self, *, default: object = None) -> inspect.Parameter:
        """Return the parameter of a command's function from which Typer makes the option."""
        info = typer.Option(
            default,
            f"{self.flag}/{self.off_flag}" if self.has_off else self.flag,
            help=self.help,
            envvar=self.variable or None,
            rich_help_panel=self.panel,
            callback=self.check,
            min=1 if self.kind is int else None,  # all of them count something
            metavar=self.metavar or None,
            show_default=default is not None,
        )
        kind = self.kind | None
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=kind)

    def words(self, value: object) -> list[str]:
        """Return the words of a command line that give this value; none for `None`, or if there is no way to say no."""
        if value is None or value is False:
            return [self.off_flag] if self.has_off and value is False else []
        return [self.flag] if value is True else [self.flag, str(_plain(value))]


def flag_of(name: str) -> str:
    """Return how the option of a setting is written."""
    return "--" + name.replace("_", "-")


def with_options(options: Iterable[CommonOption]) -> Callable[[Command], Command]:
    """Return a decorator for a command that takes these options before the workflow's file, as `**given`."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        show_parameters(command, [*own, *(option.parameter() for option in options)])
        return command

    return decorate


def show_parameters(command: Callable[..., None], parameters: list[inspect.Parameter]) -> None:
    """Give a function the signature from which Typer makes options: one for each of these parameters."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}


def as_words(options: Iterable[CommonOption], given: Mapping[str, object]) -> list[str]:
    """Return the words of a command line that give these values, by name, to these options."""
    return [word for option in options for word in option.words(given.get(option.name))]


def _check_id(given: str | None) -> str | None:
    """Check the id of a run: it has to be a text that can be stored and be read on a screen."""
    if given is not None and not (given and given.isprintable()):
        raise typer.BadParameter("give a text of characters that can be printed")
    return given


RESULT_OPTIONS = (
    CommonOption(
        "result", ResultFormat, "Print the result as text, or as JSON.", _RUN_PANEL, ResultFormat.TEXT
    ),
)

LOG_OPTIONS = (
    CommonOption(
        "log_level", LogLevel, "How much to tell on stderr while it runs.", _LOG_PANEL, LogLevel.WARNING
    ),
    CommonOption(
        "log_format", LogFormat, "Sentences, or a JSON object per line.", _LOG_PANEL, LogFormat.HUMAN
    ),
)


def check_file(given: Path | None) -> Path | None:
    """Check that a file can be written there, before anything runs."""
    if given is not None and (given.is_dir() or not given.absolute().parent.is_dir()):
        raise typer.BadParameter(f"{given} can't be written: give a file in a folder that is there")
    return given


FILE_OPTIONS = (
    CommonOption(
        "report",
        Path,
        "Write a report of the run to this file, as a page.",
        _FILE_PANEL,
        check=check_file,
        metavar="FILE.html",
    ),
    CommonOption(
        "trace",
        Path,
        "Write a trace for Perfetto and chrome://tracing.",
        _FILE_PANEL,
        check=check_file,
        metavar="FILE.json",
    ),
    CommonOption(
        "calls",
        Path,
        "Write all calls and times as JSON.",
        _FILE_PANEL,
        check=check_file,
        metavar="FILE.json",
    ),
)
"""Files about the run. They are written when it has ended, however it did."""

VARIABLES = {"state": "CASCADE_STATE", "cache": "CASCADE_CACHE"}
"""The environment variables that stand for options which are not given."""

_ROWS = {name: row_of(name) for name in RUN_SETTINGS}

_NEEDS_STATE = tuple(name for name, row in _ROWS.items() if row.flag is not None and row.flag.needs_state)
"""The settings that make no sense without a store for the run."""

_HAVE_OFF = tuple(name for name, row in _ROWS.items() if row.flag is not None and row.flag.has_off)
"""The settings for which `False` is not the same as nothing."""

_OF_STORES = ("state", *_NEEDS_STATE, "cache")
"""The settings of the help's panel for stores, in its order."""

_CHECKS: dict[str, Check] = {"run_id": _check_id}


def _from_table(name: str, flag: Flag, annotation: object) -> CommonOption:
    """Return the option of a row of the table of settings."""
    return CommonOption(
        name,
        _option_type(name, annotation),
        flag.help,
        _STORE_PANEL if name in _OF_STORES else _RUN_PANEL,
        check=_CHECKS.get(name),
        metavar=flag.value,
        variable=VARIABLES.get(name, ""),
        has_off=flag.has_off,
    )


def _option_type(name: str, annotation: object) -> type:
    """Return the type that Typer reads a setting as: the words of a `Literal` as an enum, a URL as text."""
    choices = get_args(annotation) or (annotation,)
    for choice in choices:
        if get_origin(choice) is Literal:
            made: type = StrEnum(name.title(), [(word, word) for word in get_args(choice)])  # type: ignore[misc]  # mypy reads only literal members
            return made
    return next((kind for kind in (int, float, bool) if kind in choices), str)


ENGINE_OPTIONS = tuple(
    _from_table(name, flag, _ROWS[name].type)
    for name in dict.fromkeys((*_OF_STORES, *RUN_SETTINGS))
    if (flag := _ROWS[name].flag) is not None
)
"""The options for settings of a run: those that stores need first, then all others of the table."""

COMMON_OPTIONS = (*RESULT_OPTIONS, *LOG_OPTIONS, *FILE_OPTIONS, *ENGINE_OPTIONS)
"""All options that the command of every workflow has."""

_OF_RECOVERY = tuple(
    _from_table(name, row.flag, row.type)
    for row in map(row_of, RECOVERY_SETTINGS)
    if (name := row.name) not in RUN_SETTINGS and row.flag is not None
)

WORKER_OPTIONS = (
    *LOG_OPTIONS,
    *_OF_RECOVERY,
    *(each for each in ENGINE_OPTIONS if each.name in (*ENGINE_SETTINGS, *RECOVERY_SETTINGS)),
)
"""The options of a worker: those of the engine that it has, and of the runs that it goes on with."""

RUN_ID = next(each for each in COMMON_OPTIONS if each.name == "run_id")
RESTART = next(each for each in COMMON_OPTIONS if each.name == "restart")


def merged_settings(settings: RunSettings, given: Mapping[str, object]) -> RunSettings:
    """Return the settings of a script, with those of the command line over them.

    Raises:
        SpecError: If they do not go together, need a store and have none, or can't mean anything.
    """
    told = {
        name: _plain(value)
        for name, value in given.items()
        if value is not None and (value is not False or name in _HAVE_OFF)
    }
    if "resume" in told and "restart" in told:
        raise SpecError("both --resume and --restart", "give one of the two")
    if "executors" in told:
        told["executors"] = {**(settings.get("executors") or {}), **_executors(str(told["executors"]))}
    merged: Any = {**settings, **told}
    if "resume" in told:
        merged["restart"] = False  # the command line wins over a script that begins anew
    if merged.get("state") is None:
        _check_need_no_state(told, has_cache=merged.get("cache") is not None)
    checked: RunSettings = merged
    # What is made of words and URLs is made once here and dropped: a wrong one ends the command before anything runs.
    state_of(checked)
    cache_maker(checked)
    executor = checked.get("executor")
    if isinstance(executor, str):
        executor_from_word(executor)
    return checked


def _executors(text: str) -> dict[str, str]:
    """Read names with their executors: `pool=processes:8,gpu=ray`.

    Raises:
        SpecError: If that is not what the text has, or a word names no executor.
    """
    named: dict[str, str] = {}
    for part in text.split(","):
        name, _, word = part.partition("=")
        if not name or not word:
            raise SpecError(
                f"--executors {text}", "give names with their executors, pool=processes:8,gpu=ray"
            )
        executor_from_word(word)
        named[name] = word
    return named


def _check_need_no_state(told: Iterable[str], *, has_cache: bool) -> None:
    """Check that none of these settings needs a store for the run. Some serve a cache too."""
    wanting = [name for name in told if name in _NEEDS_STATE and not (has_cache and name in SHARED_OPTIONS)]
    lonely = [*map(flag_of, wanting)]
    if lonely:
        raise SpecError(f"{' and '.join(lonely)} without a store", "give its URL, --state sqlite:///runs.db")


def _plain(value: object) -> object:
    """Return the word of a member of an enum, and any other value as it is."""
    return value.value if isinstance(value, Enum) else value
