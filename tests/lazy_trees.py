"""What a lazy tree says of its nodes, for the reference interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cascade.spec import LazyResult, MapError, MapLengthError, ParamLazyResult, Router, SequenceLazyResult
from cascade.spec.calls.arguments import find_markers

Lazy = LazyResult[Any]


def node_of(lazy: Lazy) -> Lazy:
    """The node that a lazy result stands for: a sequence stands for its last member."""
    return node_of(lazy.members[-1]) if isinstance(lazy, SequenceLazyResult) else lazy


def name_of(node: Lazy) -> str:
    return str(node.contract.name if isinstance(node, ParamLazyResult) else node.task.name)


def after(lazy: Lazy) -> list[Lazy]:
    found: list[Any] = [*lazy.policies.after]
    return found


def conditions(lazy: Lazy) -> list[Lazy]:
    found: list[Any] = [*lazy.policies.conditions]
    return found


def routers(lazy: Lazy) -> list[Router]:
    return [each.marker for each in find_markers(lazy.args, lazy.kwargs) if isinstance(each.marker, Router)]


def routes(lazy: Lazy) -> list[Lazy]:
    return [route for router in routers(lazy) for route in router.routes.values()]


def amounts(lazy: Lazy) -> Iterator[Lazy]:
    declared = lazy.policies.constraints.amounts if lazy.policies.constraints else ()
    return (amount for _, amount in declared if isinstance(amount, LazyResult))


def data(lazy: Lazy) -> Iterator[Lazy]:
    """The lazy results among the arguments, and the selectors of its routers."""
    for found in find_markers(lazy.args, lazy.kwargs):
        if isinstance(found.marker, Router):
            yield found.marker.selector
        elif isinstance(found.marker, LazyResult):
            yield found.marker


def inputs(lazy: Lazy) -> list[Lazy]:
    return [*amounts(lazy), *data(lazy)]


def argument(key: int | str, lazy: Lazy) -> Any:
    return lazy.args[key] if isinstance(key, int) else lazy.kwargs[key]


def items_of(mapped: dict[int | str, Any]) -> list[dict[int | str, Any]]:
    """The mapped arguments of each item of a map."""
    for value in mapped.values():
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise MapError("no items", "give a list")
    columns = {key: list(value) for key, value in mapped.items()}
    lengths = {str(key): len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise MapLengthError("map", lengths)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
