"""Settings: the options that every workflow's command has beside those of its parameters.

What is not given on the command line is as the workflow's own script has it, or else as `cs.run` has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import typer

from cascade.adapters.state import Durability
from cascade.adapters.urls import cache_factory
from cascade.cli.event_log import LogFormat, LogLevel
from cascade.runtime import Resume
from cascade.runtime.api import RunSettings, state_of
from cascade.spec import SpecError

Command = TypeVar("Command", bound=Callable[..., None])

_LOG = "Log"
_STORE = "Store"


@dataclass(frozen=True, slots=True)
class Setting:
    """One such option: what it is called in Python, its type, and what the help tells of it."""

    name: str
    kind: type
    told: str
    panel: str
    default: object = None
    check: Callable[[Any], object] | None = None

    @property
    def flag(self) -> str:
        """How it is written, with dashes for underscores."""
        return "--" + self.name.replace("_", "-")

    def parameter(self, *, told: str | None = None, default: object = None) -> inspect.Parameter:
        """Return the parameter of a command's function from which Typer makes the option."""
        info = typer.Option(
            default,
            self.flag,
            help=self.told if told is None else told,
            rich_help_panel=self.panel,
            callback=self.check,
            min=1 if self.kind is int else None,
            metavar=None if issubclass(self.kind, (Enum, bool)) else _METAVARS[self.name],
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
        parameters = [*own, *(setting.parameter(told="As after the target.") for setting in shown)]
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


_METAVARS = {"state": "URL", "cache": "URL", "run_id": "ID", "keep_rounds": "N"}

LOG_SETTINGS = (
    Setting("log_level", LogLevel, "How much to tell on stderr while it runs.", _LOG, LogLevel.WARNING),
    Setting("log_format", LogFormat, "Sentences, or a JSON object per line.", _LOG, LogFormat.HUMAN),
)

RUN_ID = Setting("run_id", str, "The name of the run: one that the store knows goes on.", _STORE, check=_id)
RESTART = Setting("restart", bool, "Begin anew, and forget what the store has of the run.", _STORE)

STORE_SETTINGS = (
    Setting("state", str, "Record the run in this store: sqlite:///runs.db, redis://localhost.", _STORE),
    RUN_ID,
    Setting("resume", Resume, "Go on as exactly the same, or with what has not changed.", _STORE),
    RESTART,
    Setting("durability", Durability, "Survive loss of power, or the end of the process.", _STORE),
    Setting("keep_rounds", int, "How many rounds of a loop the store keeps.", _STORE),
    Setting("cache", str, "Keep cached values here: sqlite:///cache.db, redis://localhost.", _STORE),
)

SETTINGS = (*LOG_SETTINGS, *STORE_SETTINGS)


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
        lonely = [f"--{name.replace('_', '-')}" for name in told if name in _NEED_STATE]
        if lonely:
            raise SpecError(
                f"{' and '.join(lonely)} without a store", "give its URL, --state sqlite:///runs.db"
            )
    checked: RunSettings = merged
    state_of(checked)
    cache = checked.get("cache")
    if isinstance(cache, str):
        cache_factory(cache)
    return checked


_NEED_STATE = ("resume", "restart", "durability", "keep_rounds")


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value
