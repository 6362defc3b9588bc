"""Errors of what travels with a call to another process."""

from __future__ import annotations

from cascade.spec.errors import CascadeError
from cascade.spec.late_dataclasses import dataclass


@dataclass(eq=False)
class ResourceInputError(CascadeError, TypeError):
    """The value of an input that a worker's resource takes can't be encoded; `kind` and `text` say why."""

    resource: str
    parameter: str
    kind: str
    text: str

    def __str__(self) -> str:
        return (
            f"parameter '{self.parameter}' of resource '{self.resource}' can't be sent to a worker "
            f"({self.kind}: {self.text}); take an input that can be pickled"
        )


@dataclass(eq=False)
class CarriedVariableError(CascadeError, TypeError):
    """A context variable of `Engine(carry=...)` can't be carried to another process."""

    name: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"context variable '{self.name}' can't be carried to another process: {self.problem}; {self.remedy}"
