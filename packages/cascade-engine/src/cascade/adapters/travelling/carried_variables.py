"""Carried variables: the context variables that travel to other processes, and where these find them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import Any, NamedTuple

from cascade.adapters.travelling.travel_errors import CarriedVariableError
from cascade.spec.calls.error_text import message_of
from cascade.spec.calls.missing import MISSING
from cascade.spec.errors import SpecError

_MAINS = ("__main__", "__mp_main__")


class CarriedVariable(NamedTuple):
    """A context variable by the name that the engine was given for it."""

    name: str
    variable: ContextVar[Any]


class CarriedValue(NamedTuple):
    """The value of a context variable as bytes; the variable stands in a module under `attribute`."""

    name: str
    module: str
    attribute: str
    payload: bytes


def checked_variables(given: object) -> tuple[CarriedVariable, ...]:
    """Return what the setting `carry` names.

    Raises:
        SpecError: If it is no dict of names and context variables.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping) or not all(
        isinstance(name, str) and name and isinstance(each, ContextVar) for name, each in given.items()
    ):
        raise SpecError(
            f"carry= got {type(given).__name__}"
            if not isinstance(given, Mapping)
            else "carry= has other entries",
            'give a dict of names and context variables: carry={"tenant": tenant}',
        )
    return tuple(CarriedVariable(name, each) for name, each in given.items())


def place_of(carried: CarriedVariable) -> tuple[str, str]:
    """Return the module and the name under which another process finds a variable.

    Raises:
        CarriedVariableError: If it stands at the top of no module.
    """
    known = _places.get(carried.variable)
    if known is None or _found(*known) is not carried.variable:
        known = _places[carried.variable] = _search(carried)
    return known


def check_importable(carried: CarriedVariable, odd: Collection[str]) -> None:
    """Check that a process on another machine finds a variable, by the name of a module that it can import.

    The modules that are `odd` were loaded from a file and have a name of their own.

    Raises:
        CarriedVariableError: If not.
    """
    module, attribute = place_of(carried)
    if module in _MAINS or module in odd:
        raise CarriedVariableError(
            carried.name,
            f"it stands as {attribute} in {module}, which a cluster does not import",
            "define it in a module that its workers have",
        )


_places: dict[ContextVar[Any], tuple[str, str]] = {}


def _search(carried: CarriedVariable) -> tuple[str, str]:
    # Other modules may have imported it: the shortest name comes first, so that all processes take the same one.
    places = [
        (module, attribute)
        for module, loaded in [*sys.modules.items()]
        if type(loaded) is ModuleType
        for attribute, value in [*vars(loaded).items()]
        if value is carried.variable
    ]
    if not places:
        raise CarriedVariableError(
            carried.name,
            "it stands at the top of no imported module",
            "define it there: `tenant = ContextVar(...)`, so that workers find it",
        )
    return min(places, key=lambda place: (place[0] in _MAINS, len(place[0]), place))


def _found(module: str, attribute: str) -> object:
    return getattr(sys.modules.get(module), "__dict__", {}).get(attribute, MISSING)


def encoded(variables: Sequence[CarriedVariable], dumps: Callable[[Any], bytes]) -> tuple[CarriedValue, ...]:
    """Return the values that the variables have in this context; those without a value are left out.

    Raises:
        CarriedVariableError: If a value can't be encoded, or another process would not find the variable.
    """
    values = []
    for each in variables:
        value = each.variable.get(MISSING)
        if value is MISSING:
            continue
        module, attribute = place_of(each)
        try:
            payload = dumps(value)
        except Exception as error:
            kind = type(error).__qualname__
            raise CarriedVariableError(
                each.name,
                f"its value can't be encoded ({kind}: {message_of(error)})",
                "set one that can be pickled",
            ) from error
        values.append(CarriedValue(each.name, module, attribute, payload))
    return tuple(values)


def set_here(
    values: Sequence[CarriedValue], load: Callable[[str], object], loads: Callable[[bytes], Any]
) -> None:
    """Set variables in this context. `load` imports a module, and `loads` decodes a value.

    Raises:
        CarriedVariableError: If a module here has no such variable, or a value can't be decoded.
    """
    for name, module, attribute, payload in values:
        try:
            load(module)
            value = loads(payload)
        except Exception as error:
            kind = type(error).__qualname__
            raise CarriedVariableError(
                name, f"a worker can't take it ({kind}: {message_of(error)})", "see what it says"
            ) from error
        variable = _found(module, attribute)
        if not isinstance(variable, ContextVar):
            raise CarriedVariableError(
                name,
                f"a worker does not find it as {module}.{attribute}",
                "define it at the top of that module",
            )
        variable.set(value)
