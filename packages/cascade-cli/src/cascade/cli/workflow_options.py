"""Workflow options: what a command takes for the inputs that a workflow declares.

Typer only finds the options and shows them. The text of an option is converted by the contract of its input, as the
texts of environment variables are.
"""

from __future__ import annotations

import inspect
import os
import sys
import types
from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from cascade.cli.option_help import default_text, type_label, verbatim
from cascade.spec import MISSING, InputError, ParamContract, SpecError
from cascade.spec.inputs.conversion import item_types, many, with_item_type, without_none
from cascade.spec.late_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InputOption:
    """The option of one input: `--name VALUE`, or `--name/--no-name` for a truth value.

    `preset` is the value where the option is not given; `MISSING` if there is none.
    """

    contract: ParamContract
    preset: object

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is written, with dashes for underscores; a secret has a second flag, for a file."""
        name = self.contract.name.replace("_", "-").strip("-") or "_"
        if without_none(self.contract.type) is bool:
            return (f"--{name}", f"--no-{name}")
        return (f"--{name}", f"--{name}-file") if self.contract.secret else (f"--{name}",)

    @property
    def variable(self) -> str:
        """The environment variable that a secret may be in."""
        return f"CASCADE_{self.contract.name.upper()}"

    def parameters(self, name: str) -> list[inspect.Parameter]:
        """Return the parameters of a command's function from which Typer makes the option.

        There is one, called `name`. A secret has a second one, for a file: others can read the command line.
        """
        is_required = self.preset is MISSING and not self.contract.secret
        if without_none(self.contract.type) is bool:
            option = typer.Option(
                ... if is_required else None, "/".join(self.flags), help=self._help(), show_default=False
            )
            return [_parameter(name, option, bool | None)]
        option = typer.Option(
            ... if is_required else None,
            self.flags[0],
            help=self._help(),
            show_default=False,
            parser=self._parse,
            metavar=f"<{self._label()}>",
        )
        found = [_parameter(name, option, self._annotation())]
        if self.contract.secret:
            told = f"A file that has it, `-` for stdin; or set {self.variable}."
            file = typer.Option(None, self.flags[-1], help=told, metavar="PATH", show_default=False)
            found.append(_parameter(f"{name}_file", file, str | None))
        return found

    def value(self, given: object, file: str | None = None) -> object:
        """Return the value of what Typer gives; `MISSING` if the option is not there.

        The items of a list come in one text, in several options, or both: `--day mon,tue --day wed`. A secret that is
        not given is read from `file` or from its environment variable, or else asked for at the terminal.

        Raises:
            typer.BadParameter: If a secret has no value, or its file can't be read.
        """
        container = many(without_none(self.contract.type))
        if container is not None and self._is_repeated():
            parts = given if isinstance(given, (list, tuple)) else ()
            return container(item for part in parts for item in part) if parts else MISSING
        if given is None and self.contract.secret:
            return self._secret(file)
        return MISSING if given is None else given

    def _secret(self, file: str | None) -> object:
        """Return the value of a secret that the command line does not give."""
        text = os.environ.get(self.variable) if file is None else self._read(file)
        if text is not None:
            return self._parse(text)
        if self.preset is not MISSING:
            return MISSING
        if not sys.stdin.isatty():  # nobody is there to be asked
            remedy = f"give {self.flags[0]}, {self.flags[1]} or the environment variable {self.variable}"
            raise typer.BadParameter(f"it has no value; {remedy}", param_hint=f"'{self.flags[0]}'")
        return self._parse(typer.prompt(self.contract.name, hide_input=True, err=True))

    def _read(self, file: str) -> str:
        """Return the text of a file, or of stdin for `-`."""
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            raise typer.BadParameter(
                f"can't read {file}: {reason}", param_hint=f"'{self.flags[1]}'"
            ) from None
        return text.rstrip("\r\n")  # editors end a file with a line break, which is no part of a secret

    def _annotation(self) -> object:
        """Return the annotation of the parameter. Its name is all that counts: Typer shows it as the type."""
        shown = type(self._label(), (), {})
        return types.GenericAlias(list, (shown,)) if self._is_repeated() else shown

    def _is_repeated(self) -> bool:
        """Tell whether the option may be given several times: for containers of any length, not for `tuple[X, Y]`."""
        kind = without_none(self.contract.type)
        return many(kind) is not None and not isinstance(item_types(kind), tuple)

    def _label(self) -> str:
        return type_label(with_item_type(without_none(self.contract.type), self.contract.default))

    def _parse(self, text: str) -> object:
        try:
            return self.contract.parse(text)
        except InputError as error:
            raise typer.BadParameter(error.problem, param_hint=f"'{self.flags[0]}'") from None

    def _help(self) -> str:
        default = verbatim(default_text(self.preset, secret=self.contract.secret))
        if self.preset is MISSING and self.contract.secret:
            default = verbatim("[required]")  # Typer does not say so: it takes the option for an optional one
        words = (verbatim(self.contract.description), f"[dim]{default}[/dim]" if default else "")
        return " ".join(filter(None, words))


def _parameter(name: str, option: object, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=annotation)


def input_options(
    contracts: Iterable[object], presets: Mapping[str, object], reserved: Iterable[str]
) -> list[InputOption]:
    """Return an option for each parameter among these contracts.

    `presets` are values by name that take the place of defaults: their options may be left out.

    Raises:
        SpecError: If two options would be written the same way, or one as a flag of `reserved`.
    """
    found = [
        InputOption(contract, presets.get(contract.name, contract.default))
        for contract in contracts
        if isinstance(contract, ParamContract)
    ]
    taken = dict.fromkeys(reserved, "the command's own option")
    for option in found:
        for flag in option.flags:
            if flag in taken:
                raise SpecError(
                    f"{option.contract} would be {flag}, as is {taken[flag]}", "rename the parameter"
                )
            taken[flag] = str(option.contract)
    return found
