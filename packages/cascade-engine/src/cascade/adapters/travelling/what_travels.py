"""What travels with a call, as the engine tells its executors: in a context variable of the call."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple

from cascade.adapters.travelling.carried_variables import CarriedVariable


class Travelling(NamedTuple):
    """What travels with a call: context variables by name, and the modules of the resources that it takes there."""

    variables: tuple[CarriedVariable, ...] = ()
    resource_modules: tuple[str, ...] = ()


NOTHING = Travelling()

travelling_in_context: ContextVar[Travelling] = ContextVar("cascade_travelling", default=NOTHING)
"""What travels with the call of this context."""
