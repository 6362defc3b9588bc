"""Options: what a command takes for the inputs that a workflow declares.

The text of an option is converted by its contract and nowhere else; Typer only finds and shows the options.
"""

from __future__ import annotations

import inspect
import os
import sys
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from cascade.cli.option_help import default_text, label, verbatim
from cascade.spec import MISSING, InputError, ParamContract, SpecError
from cascade.spec.inputs.conversion import item_types, many, told_by, without_none


@dataclass(frozen=True, slots=True)
class Option:
    """The option of one parameter: `--name`, or `--name/--no-name` for a truth value."""

    contract: ParamContract
    preset: object

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is written, with dashes for underscores."""
        name = self.contract.name.replace("_", "-").strip("-") or "_"
        if without_none(self.contract.type) is bool:
            return (f"--{name}", f"--no-{name}")
        return (f"--{name}", f"--{name}-file") if self.contract.secret else (f"--{name}",)

    def parameters(self, name: str) -> list[inspect.Parameter]:
        """Return the parameters of the command's function from which Typer makes the option.

        The second one of a secret is for a file that has it: a command line can be read by others.
        """
        is_bool = without_none(self.contract.type) is bool
        conversion: dict[str, Any] = {"parser": self._parse, "metavar": f"<{self._label()}>"}
        info = typer.Option(
            ... if self.preset is MISSING and not self.contract.secret else None,
            "/".join(self.flags) if is_bool else self.flags[0],
            help=self._help(),
            show_default=False,
            **({} if is_bool else conversion),
        )
        found = [_parameter(name, info, self._annotation())]
        if self.contract.secret:
            told = f"A file that has it, `-` for stdin; or set {self.variable}."
            file: Any = typer.Option(None, self.flags[-1], help=told, metavar="PATH", show_default=False)
            found.append(_parameter(f"{name}_file", file, str | None))
        return found

    @property
    def variable(self) -> str:
        """The environment variable that a secret may be in."""
        return f"CASCADE_{self.contract.name.upper()}"

    def value(self, given: Any, file: str | None = None) -> object:
        """Return the value of what Typer gives; `MISSING` if the option is not there.

        A list is given as one text, as several options, or both: `--day mon,tue --day wed`. A secret that is not given
        is read from its file, from its environment variable, or typed in.
        """
        container = many(without_none(self.contract.type))
        if container is not None and self._is_repeated():
            return container(item for part in given for item in part) if given else MISSING
        if given is None and self.contract.secret:
            return self._secret(file)
        return MISSING if given is None else given

    def _secret(self, file: str | None) -> object:
        text = os.environ.get(self.variable) if file is None else self._read(file)
        if text is not None:
            return self._parse(text)
        if self.preset is not MISSING:
            return MISSING
        if not sys.stdin.isatty():
            remedy = f"give {self.flags[0]}, {self.flags[1]} or the environment variable {self.variable}"
            raise typer.BadParameter(f"it has no value; {remedy}", param_hint=f"'{self.flags[0]}'")
        return self._parse(typer.prompt(self.contract.name, hide_input=True, err=True))

    def _read(self, file: str) -> str:
        try:
            text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            raise typer.BadParameter(
                f"can't read {file}: {reason}", param_hint=f"'{self.flags[1]}'"
            ) from None
        return text.rstrip("\r\n")

    def _annotation(self) -> Any:
        kind = without_none(self.contract.type)
        if kind is bool:
            return bool | None
        # A class for its name alone: Typer shows it as the type, and asks the parser for the value.
        shown = type(self._label(), (), {})
        return types.GenericAlias(list, (shown,)) if self._is_repeated() else shown

    def _is_repeated(self) -> bool:
        kind = without_none(self.contract.type)
        return many(kind) is not None and not isinstance(item_types(kind), tuple)

    def _label(self) -> str:
        return label(told_by(without_none(self.contract.type), self.contract.default))

    def _parse(self, text: str) -> object:
        try:
            return self.contract.parse(text)
        except InputError as error:
            raise typer.BadParameter(error.problem, param_hint=f"'{self.flags[0]}'") from None

    def _help(self) -> str:
        default = verbatim(default_text(self.preset, secret=self.contract.secret))
        if self.preset is MISSING and self.contract.secret:
            default = verbatim("[required]")
        words = (verbatim(self.contract.description), f"[dim]{default}[/dim]" if default else "")
        return " ".join(filter(None, words))


def _parameter(name: str, info: Any, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=annotation)


def options(
    contracts: Iterable[object], presets: Mapping[str, object], reserved: Iterable[str]
) -> list[Option]:
    """Return an option for each parameter; one with a preset value needs none on the command line.

    Raises:
        SpecError: If two options would be written the same way, or as one of `reserved`.
    """
    found = [
        Option(contract, presets.get(contract.name, contract.default))
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
