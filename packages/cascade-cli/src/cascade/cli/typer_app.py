"""Typer apps: how a command is made whose options are known only at run time.

Typer reads the options of a command from the signature of a function. So each command is a function of its own, and
gets the signature that its options want.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from cascade.cli.common_options import CommonOption, show_parameters
from cascade.cli.output import forgiving_output
from cascade.cli.workflow_options import InputOption
from cascade.spec import MISSING

HELP_FLAGS = {"help_option_names": ["-h", "--help"]}
"""The context settings of a command that has both flags for help."""

WORKFLOW_BEHIND = {**HELP_FLAGS, "allow_interspersed_args": False, "ignore_unknown_options": True}
"""The context settings of a command that hands all words behind its target on to the workflow: `--help` too."""

# Of its errors of usage Typer names only this one. The base class has those for unknown options too.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class App(typer.Typer):
    """A Typer app whose output never fails for a character that the terminal can't show."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        with forgiving_output():
            return super().__call__(*args, **kwargs)


def app_of(
    purpose: str,
    epilog: str,
    inputs: Sequence[InputOption],
    common: Iterable[CommonOption],
    action: Callable[..., None],
) -> typer.Typer:
    """Make an app of one command, with these options.

    `purpose` and `epilog` are the first and the last part of its help. `action` is called with the inputs that are
    given, as a dict by name, and with the values of the common options as keywords.
    """
    app = App(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings=HELP_FLAGS,
    )
    make_command = app.command(cls=_Command, help=purpose, epilog=epilog, context_settings=HELP_FLAGS)
    make_command(_function(inputs, tuple(common), action))
    return app


def _function(
    inputs: Sequence[InputOption], common: Sequence[CommonOption], action: Callable[..., None]
) -> Callable[..., None]:
    """Return the function that Typer calls: its signature has a parameter for each option."""
    # Numbered names, since an input may have the name of a common option.
    numbered = {f"input_{number}": option for number, option in enumerate(inputs)}

    def command(**given: object) -> None:
        values = {option.contract.name: _value(option, name, given) for name, option in numbered.items()}
        action(
            {name: value for name, value in values.items() if value is not MISSING},
            **{option.name: given[option.name] for option in common},
        )

    of_inputs = [each for name, option in numbered.items() for each in option.parameters(name)]
    show_parameters(command, [*of_inputs, *(option.parameter(default=option.default) for option in common)])
    return command


def _value(option: InputOption, name: str, given: Mapping[str, object]) -> object:
    """Return the value of an input; only a secret has a second parameter, for a file."""
    file = given.get(f"{name}_file")
    return option.value(given[name], file if isinstance(file, str) else None)


class _Command(TyperCommand):
    """A command that names the nearest option where one is not known, and lists all where none is near."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Typer looks for near names itself and shows what it finds; where it finds none, it shows nothing.
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            if hasattr(error, "possibilities") and not error.possibilities:
                flags = [flag for each in self.params for flag in (*each.opts, *each.secondary_opts)]
                error.possibilities = flags
            raise
