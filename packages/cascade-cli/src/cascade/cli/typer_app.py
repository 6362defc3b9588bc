"""Typer apps: how a command is built from options that are known only when it is made.

Typer reads the options of a command from the signature of a function. So a function is made for each command, and is
given the signature that its options want.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import typer
from typer.core import TyperCommand

from cascade.cli.common_options import Setting
from cascade.cli.output import forgiving_output
from cascade.cli.workflow_options import Option
from cascade.spec import MISSING

# Typer names only this one of its usage errors; the base is where an unknown option belongs too.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def app_of(
    purpose: str, epilog: str, found: list[Option], shown: Iterable[Setting], act: Callable[..., None]
) -> typer.Typer:
    """Make an app of one command, with an option for each parameter that was found and each setting that is shown.

    `act` is called with the values of the parameters that are given, by name, and the settings as keywords.
    """
    app = App(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings=HELP_FLAGS,
    )
    app.command(cls=_Command, help=purpose, epilog=epilog, context_settings=HELP_FLAGS)(
        _command(found, tuple(shown), act)
    )
    return app


def _command(
    found: list[Option], shown: tuple[Setting, ...], act: Callable[..., None]
) -> Callable[..., None]:
    """Return the function that Typer calls: its signature has a parameter for each option."""
    by_name = {f"input_{position}": option for position, option in enumerate(found)}

    def command(**given: Any) -> None:
        values = {
            option.contract.name: option.value(given.pop(name), *_file_of(name, given))
            for name, option in by_name.items()
        }
        act({name: value for name, value in values.items() if value is not MISSING}, **given)

    parameters = [
        *(each for name, option in by_name.items() for each in option.parameters(name)),
        *(setting.parameter(default=setting.default) for setting in shown),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what Typer reads
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _file_of(name: str, given: dict[str, Any]) -> list[str | None]:
    """Take the file of a secret out of what is given, if there is an option for one."""
    return [given.pop(f"{name}_file")] if f"{name}_file" in given else []


class App(typer.Typer):
    """A Typer app whose output never fails for a character that the terminal can't show."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with forgiving_output():
            return super().__call__(*args, **kwargs)


HELP_FLAGS = {"help_option_names": ["-h", "--help"]}
"""What Typer calls a command with, so that it has both flags for help."""


class _Command(TyperCommand):
    """A command that tells the nearest option where one is not known, and lists all where none is near."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            if hasattr(error, "possibilities") and not error.possibilities:
                error.possibilities = [
                    flag for each in self.params for flag in (*each.opts, *each.secondary_opts)
                ]
            raise
