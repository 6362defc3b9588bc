"""Fetching: handles that are values, or are inside of lists, tuples and dicts, become the values they stand for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cascade.adapters.executors.handles import Handle

IsWanted = Callable[[Handle], bool]


async def fetched(value: Any, is_wanted: IsWanted = lambda _: True) -> Any:
    """Return a value with handles replaced by what they stand for; all are fetched at the same time.

    Containers that hold none are the same objects, and all others are copies.

    Raises:
        HandleLostError: If what one stands for is gone.
    """
    wanted = [handle for handle in _handles_in(value) if is_wanted(handle)]
    if not wanted:
        return value
    values = await asyncio.gather(*(handle.fetch() for handle in wanted))
    return _replaced(value, dict(zip(map(id, wanted), values, strict=True)), {})


def as_arguments(value: Any) -> Any:
    """Return a value with handles replaced by what stands for their values in arguments for a worker."""
    return replaced(value, lambda handle: handle.argument())


def replaced(value: Any, by: Callable[[Any], object]) -> Any:
    """Return a value with each handle replaced by what a function makes of it."""
    handles = _handles_in(value)
    return _replaced(value, {id(handle): by(handle) for handle in handles}, {}) if handles else value


_CONTAINERS = frozenset({list, tuple, dict})
_PLAIN = frozenset({int, float, str, bytes, bool, type(None)})


def _handles_in(value: object) -> list[Handle]:
    """Return each handle once. A container is looked into once too: a value of a task may hold itself."""
    handles: dict[int, Handle] = {}
    seen: set[int] = set()
    found = [value]
    for each in found:  # it grows meanwhile
        kind = type(each)
        if kind in _PLAIN:
            continue
        if kind not in _CONTAINERS:
            if isinstance(each, Handle):
                handles[id(each)] = each
        elif id(each) not in seen:
            seen.add(id(each))
            container: Any = each
            found.extend(container.values() if kind is dict else container)
    return [*handles.values()]


def _replaced(value: Any, values: dict[int, object], known: dict[int, object]) -> Any:
    """Return a value with handles replaced by these values, by their ids; `known` is what containers have become."""
    kind = type(value)
    if kind not in _CONTAINERS:
        return values.get(id(value), value)
    if id(value) in known:
        return known[id(value)]
    known[id(value)] = value  # for one that holds itself: it was made by a task, and so has no handles
    if kind is dict:
        made: Any = {key: _replaced(each, values, known) for key, each in value.items()}
        same = all(made[key] is each for key, each in value.items())
    else:
        made = [_replaced(each, values, known) for each in value]
        same = all(new is old for new, old in zip(made, value, strict=True))
        made = made if kind is list else tuple(made)
    if not same:
        known[id(value)] = made
    return known[id(value)]
