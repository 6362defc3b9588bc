"""Injection: what stands for a resource in a call or as the default of a parameter."""

from __future__ import annotations

from cascade.spec.calls.arguments import marker
from cascade.spec.late_dataclasses import dataclass


@marker
@dataclass(frozen=True, slots=True)
class Inject:
    """Stands for the resource of that name, as an argument at any depth or as a parameter's default."""

    name: str
