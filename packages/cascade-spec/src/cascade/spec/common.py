"""Inputs: contracts for the values that a workflow takes from outside.

`Param`, `Env` and `Secret` declare a contract. Each returns the lazy result of an internal task, which reads the value
when it runs. A `WorkflowSpec` that is active at the time collects the contract.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, overload

from cascade.spec.calls.missing import MISSING, Missing
from cascade.spec.errors import InputError, MissingSecretError, SpecError
from cascade.spec.inputs.conversion import check_type, convert_text, is_type, type_name, with_item_type
from cascade.spec.inputs.workflow import declare
from cascade.spec.internal_tasks import READ_INPUT
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.lazy_types import ParamLazyResult
from cascade.spec.policies.declared import NO_POLICIES
from cascade.spec.resource import Inject

T = TypeVar("T")

INPUTS = "cascade.inputs"
"""The name of the resource that the internal task reads from; the engine provides it in every run."""

IDEMPOTENCY_KEY = "idempotency_key"
"""The name of the resource that gives each call its idempotency key, a text that is the same for all of its attempts.

Retries get the same key, and so does the call when a recorded run is resumed. Pass it to services that do a thing once
for each key.
"""

GIVEN = frozenset({INPUTS, IDEMPOTENCY_KEY})
"""The names of the resources that the engine provides itself."""


class SecretValue(Generic[T]):
    """A value that prints as `***`; `reveal()` gives it. Equal to its value, so that it can be compared with one."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        plain = other.reveal() if isinstance(other, SecretValue) else other
        if isinstance(self._value, str) and isinstance(plain, str):
            mine, theirs = (text.encode("utf-8", "surrogatepass") for text in (self._value, plain))
            # It brings OpenSSL, a fifth of the time that the package takes to import.
            from hmac import compare_digest  # noqa: PLC0415 - imported when secrets are compared

            return compare_digest(mine, theirs)
        return bool(self._value == plain)

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class ParamContract:
    """The contract of a parameter: its name, type and default. Without a default it is required."""

    name: str
    type: object = str
    default: object = MISSING
    description: str = ""
    secret: bool = False

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is MISSING

    def __str__(self) -> str:
        shown = "***" if self.secret else repr(self.default)
        default = "" if self.required else f", default={shown}"
        about = f", description={self.description!r}" if self.description else ""
        return f"{'Secret' if self.secret else 'Param'}({self.name!r}, type={type_name(self.type)}{default}{about})"

    def __repr__(self) -> str:
        return str(self)

    def read(self, inputs: Mapping[str, object]) -> object:
        """Return the value from the run's parameters, or the default. The value is checked and not converted.

        Raises:
            InputError: If there is none, or it is of another type.
        """
        value = inputs.get(self.name, self.default)
        if value is MISSING:
            problem = f"no value given; pass params={{{self.name!r}: ...}}"
            raise (
                MissingSecretError(str(self), problem, self.name)
                if self.secret
                else InputError(str(self), problem)
            )
        if self.secret:
            value = _plain(value)
        if self.name in inputs and not check_type(value, self.type):
            given = type(value).__name__ if self.secret else f"{value!r}, a {type(value).__name__}"
            raise InputError(str(self), f"got {given}; give {type_name(self.type)}")
        return SecretValue(value) if self.secret else value

    def parse(self, text: str) -> object:
        """Return the value that a text from the command line stands for.

        Raises:
            InputError: If the text is not of the parameter's type.
        """
        return _parse(self, text, shown="***" if self.secret else repr(text))


@dataclass(frozen=True, slots=True)
class EnvContract:
    """The contract of an environment variable. Without a default it is required.

    A recorded run is resumed only with the same value, unless `identity` is false or the variable is a secret.
    """

    name: str
    type: object = str
    default: object = MISSING
    description: str = ""
    secret: bool = False
    identity: bool = True

    @property
    def required(self) -> bool:
        """Whether the variable must be set."""
        return self.default is MISSING

    def __str__(self) -> str:
        shown = "***" if self.secret else repr(self.default)
        default = "" if self.required else f", default={shown}"
        about = f", description={self.description!r}" if self.description else ""
        secret = ", secret=True" if self.secret else ""
        return f"Env({self.name!r}, type={type_name(self.type)}{default}{about}{secret})"

    def __repr__(self) -> str:
        return str(self)

    def read(self, inputs: Mapping[str, object]) -> object:
        """Return the variable's value, converted, or the default. The run's parameters play no part.

        Raises:
            InputError: If it is not set, or its text is not of that type.
        """
        text = os.environ.get(self.name)
        if text is None and self.required:
            problem = f"the environment variable {self.name} is not set"
            raise (
                MissingSecretError(str(self), problem, self.name)
                if self.secret
                else InputError(str(self), problem)
            )
        value = (
            self.default if text is None else _parse(self, text, shown="***" if self.secret else repr(text))
        )
        return SecretValue(value) if self.secret else value


Contract = ParamContract | EnvContract


def _parse(contract: Contract, text: str, shown: str) -> object:
    try:
        return convert_text(text, with_item_type(contract.type, contract.default))
    except ValueError as problem:
        reason = f": {problem}" if shown != "***" else ""
        raise InputError(
            str(contract), f"{shown} can't be read as {type_name(contract.type)}{reason}"
        ) from None


@overload
def Param(
    name: str, default: T, *, type: type[T] | None = None, description: str = ""
) -> ParamLazyResult[T]: ...
@overload
def Param(
    name: str, default: Missing = MISSING, *, type: type[T], description: str = ""
) -> ParamLazyResult[T]: ...
@overload
def Param(name: str, default: Missing = MISSING, *, description: str = "") -> ParamLazyResult[str]: ...
@overload
def Param(
    name: str, default: object = MISSING, *, type: object, description: str = ""
) -> ParamLazyResult[Any]: ...
def Param(  # noqa: N802 - reads as the declaration that it is
    name: str, default: object = MISSING, *, type: object = None, description: str = ""
) -> ParamLazyResult[Any]:
    """Declare a parameter and return the lazy result of its value.

    Without a default it is required; `None` is a default like any other. Without a type it is that of the default,
    or `str`.

    Raises:
        SpecError: If the name is no identifier.
        InputError: If the default is not of the type.
        ContractConflictError: If the active `WorkflowSpec` has another contract of that name.
    """
    contract = ParamContract(_checked_name(name), _inferred_type(type, default), default, description)
    return _declared(contract)


@overload
def Env(
    name: str,
    default: object = MISSING,
    *,
    secret: Literal[True],
    type: object = None,
    description: str = "",
    identity: bool = True,
) -> ParamLazyResult[SecretValue[Any]]: ...
@overload
def Env(
    name: str, default: T, *, type: type[T] | None = None, description: str = "", identity: bool = True
) -> ParamLazyResult[T]: ...
@overload
def Env(
    name: str, default: Missing = MISSING, *, type: type[T], description: str = "", identity: bool = True
) -> ParamLazyResult[T]: ...
@overload
def Env(
    name: str, default: Missing = MISSING, *, description: str = "", identity: bool = True
) -> ParamLazyResult[str]: ...
@overload
def Env(
    name: str,
    default: object = MISSING,
    *,
    type: object,
    description: str = "",
    secret: bool = False,
    identity: bool = True,
) -> ParamLazyResult[Any]: ...
def Env(  # noqa: N802, PLR0913 - reads as the declaration that it is; all but the name are keywords
    name: str,
    default: object = MISSING,
    *,
    type: object = None,
    description: str = "",
    secret: bool = False,
    identity: bool = True,
) -> ParamLazyResult[Any]:
    """Declare an environment variable and return the lazy result of its value; as `Param` otherwise.

    With `secret=True` the value is a `SecretValue`, as with `Secret`. When a recorded run is resumed, the value must be
    the same as before, unless it is a secret or `identity` is false; use that for a value that may differ each time.
    """
    if not isinstance(name, str) or not name or "=" in name:
        raise SpecError(f"Env({name!r})", "give the name of an environment variable")
    if secret:
        default = _plain(default)
    return _declared(
        EnvContract(
            name, _inferred_type(type, default), default, description, secret=secret, identity=identity
        )
    )


def Secret(  # noqa: N802 - reads as the declaration that it is
    name: str, default: object = MISSING, *, type: object = None, description: str = ""
) -> ParamLazyResult[SecretValue[Any]]:
    """Declare a parameter whose value is a `SecretValue`: it prints as `***`, and `reveal()` gives it."""
    plain = _plain(default)
    contract = ParamContract(
        _checked_name(name), _inferred_type(type, plain), plain, description, secret=True
    )
    return _declared(contract)


def _declared(contract: Contract) -> ParamLazyResult[Any]:
    if not is_type(contract.type):
        raise SpecError(
            f"{type(contract).__name__.removesuffix('Contract')}({contract.name!r}) has the type {contract.type!r}",
            "give a class, or one of the forms int | None, Literal[...], list[int]",
        )
    given = contract.default is not MISSING and contract.default is not None
    if given and not check_type(contract.default, contract.type):
        raise InputError(
            str(contract), f"its default does not fit its type {type_name(contract.type)}; make the two fit"
        )
    declare(contract)
    return ParamLazyResult(READ_INPUT, (contract, Inject(INPUTS)), {}, NO_POLICIES)


def _plain(value: object) -> object:
    return value.reveal() if isinstance(value, SecretValue) else value


def _inferred_type(given: object, default: object) -> object:
    if given is not None:
        return get_args(given)[0] if get_origin(given) is Annotated else given
    return str if default is MISSING or default is None else type(default)


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise SpecError(
            f"a parameter named {name!r}", "give a Python identifier; a command line shows it with dashes"
        )
    return name
