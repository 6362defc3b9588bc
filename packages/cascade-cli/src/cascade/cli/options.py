"""Options: what a command takes for the inputs that a workflow declares.

The text of an option is converted by its contract and nowhere else; Typer only finds and shows the options.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

import typer
from rich.markup import escape

from cascade.spec import MISSING, EnvContract, InputError, ParamContract, SpecError
from cascade.spec.conversion import type_name


@dataclass(frozen=True, slots=True)
class Option:
    """The option of one parameter: `--name`, or `--name/--no-name` for a truth value."""

    contract: ParamContract
    preset: object

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is written, with dashes for underscores."""
        name = self.contract.name.replace("_", "-").strip("-") or "_"
        return (f"--{name}", f"--no-{name}") if _without_none(self.contract.type) is bool else (f"--{name}",)

    def parameter(self, name: str) -> inspect.Parameter:
        """Return the parameter of the command's function from which Typer makes the option."""
        info = typer.Option(
            ... if self.preset is MISSING else None,
            "/".join(self.flags),
            help=self._help(),
            show_default=False,
            **self._conversion(),
        )
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=info, annotation=self._annotation()
        )

    def value(self, given: Any) -> object:
        """Return the value of what Typer gives; `MISSING` if the option is not there.

        A list is given as one text, as several options, or both: `--day mon,tue --day wed`.
        """
        if _is_list(self.contract.type):
            return [item for part in given for item in part] if given else MISSING
        return MISSING if given is None else given

    def _conversion(self) -> dict[str, Any]:
        if _without_none(self.contract.type) is bool:
            return {}
        return {"parser": self._parse, "metavar": f"<{_label(self.contract.type)}>"}

    def _annotation(self) -> Any:
        kind = _without_none(self.contract.type)
        if kind is bool:
            return bool | None
        # A class for its name alone: Typer shows it as the type, and asks the parser for the value.
        shown = type(_label(kind), (), {})
        return types.GenericAlias(list, (shown,)) if _is_list(kind) else shown

    def _parse(self, text: str) -> object:
        try:
            return self.contract.parse(text)
        except InputError as error:
            raise typer.BadParameter(error.problem, param_hint=f"'{self.flags[0]}'") from None

    def _help(self) -> str:
        default = escape(_shown_default(self.preset, secret=self.contract.secret))
        words = (escape(self.contract.description), f"[dim]{default}[/dim]" if default else "")
        return " ".join(filter(None, words))


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


def environment(contracts: Iterable[object]) -> str:
    """Return the part of a help text that tells of the environment variables; empty if there are none."""
    told = [_told(contract) for contract in contracts if isinstance(contract, EnvContract)]
    return "\n\n".join(["Environment:", *told]) if told else ""


def _told(contract: EnvContract) -> str:
    note = "[required]" if contract.required else _shown_default(contract.default, secret=contract.secret)
    words = (f"{contract.name} <{_label(contract.type)}>", contract.description, note)
    return escape("  ".join(filter(None, words)))


def _shown_default(default: object, *, secret: bool) -> str:
    if default is MISSING or default is None:
        return ""
    return f"[default: {'***' if secret else _text(default)}]"


def _text(value: object) -> str:
    """Return a value as it would be written on the command line."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def _label(kind: Any) -> str:
    """Return how the help shows a type: its name, or the choices."""
    kind = _without_none(kind)
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    if _is_list(kind):
        return ",".join((*map(_label, get_args(kind) or (str,)), "..."))
    return type_name(kind)


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        others = [choice for choice in get_args(kind) if choice is not types.NoneType]
        return others[0] if len(others) == 1 else kind
    return kind


def _is_list(kind: Any) -> bool:
    kind = _without_none(kind)
    return kind is list or get_origin(kind) is list
