"""Resources of workers as they travel: what a worker needs to know to open one, in the place of the value."""

from __future__ import annotations

from collections.abc import Callable

from cascade.spec.calls.arguments import fill, find_markers, marker
from cascade.spec.late_dataclasses import dataclass, field
from cascade.spec.resource import Resource


@marker
@dataclass(frozen=True, slots=True, eq=False)
class WorkerResource:
    """Stands in the arguments of a call for the resource that the worker opens.

    `needs` has those that its parameters get, and `inputs` the values of inputs that they get. Two with the same `key`
    are the same resource with the same inputs: a process opens it once.
    """

    resource: Resource
    needs: dict[str, WorkerResource] = field(repr=False)
    inputs: dict[str, object] = field(repr=False)  # secrets among them
    key: str


def filled(
    args: tuple[object, ...], kwargs: dict[str, object], value_of: Callable[[WorkerResource], object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return the arguments of a call with the value of each resource in the place of what stands for it."""
    slots, values = [], []
    for slot, found in find_markers(args, kwargs):
        if isinstance(found, WorkerResource):
            slots.append(slot)
            values.append(value_of(found))
    return fill(args, kwargs, slots, values)
