"""Luggage: what an executor that makes calls elsewhere takes along for a call, and what is done with it there.

The engine says in a context variable what a call takes along. The executor packs it where it encodes the arguments, in
the context of the call, and the worker unpacks it around the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cascade.adapters.travelling.carried_variables import CarriedValue, encoded
from cascade.adapters.travelling.open_resources import OPEN_HERE
from cascade.adapters.travelling.what_travels import NOTHING, travelling_in_context
from cascade.adapters.travelling.worker_resources import filled
from cascade.adapters.values.large_results import results_in_context


class Luggage(NamedTuple):
    """The same as plain data and bytes. `results` says where large results go, if the run has a value store."""

    values: tuple[CarriedValue, ...] = ()
    resource_modules: tuple[str, ...] = ()
    results: bytes | None = None


def pack(dumps: Callable[[Any], bytes]) -> Luggage | None:
    """Return the luggage of the call in whose context we are, and `None` for most; `dumps` encodes values.

    Raises:
        CarriedVariableError: If a variable or its value can't travel.
    """
    travelling, results = travelling_in_context.get(), results_in_context.get()
    if travelling is NOTHING and results is None:
        return None
    variables = encoded(travelling.variables, dumps)
    return Luggage(variables, travelling.resource_modules, None if results is None else results.packed)


def with_resources(
    luggage: Luggage, args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return the arguments of a call with the resources of this process in them, which are opened if need be.

    Raises:
        BaseException: Whatever a provider raises.
    """
    return filled(args, kwargs, OPEN_HERE.value_of) if luggage.resource_modules else (args, kwargs)
