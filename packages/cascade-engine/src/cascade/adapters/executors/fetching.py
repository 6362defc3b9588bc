"""Fetching: handles that are values, or are inside of lists, tuples and dicts, become the values they stand for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from cascade.adapters.executors.handles import Handle

IsWanted = Callable[[Handle], bool]


async def fetched(value: Any, is_wanted: IsWanted = lambda _: True) -> Any:
    """Return a value with handles replaced by what they stand for; all are fetched at the same time.

    Containers that hold none are the same objects, and all others are copies.

    Raises:
        HandleLostError: If what one stands for is gone.
    """
    wanted = {id(handle): handle for handle in _handles_in(value) if is_wanted(handle)}
    if not wanted:
        return value
    values = await asyncio.gather(*(handle.fetch() for handle in wanted.values()))
    return _replaced(value, dict(zip(wanted, values, strict=True)))


def as_arguments(value: Any) -> Any:
    """Return a value with handles replaced by what stands for their values in arguments for a worker."""
    return replaced(value, lambda handle: handle.argument())


def replaced(value: Any, by: Callable[[Any], object]) -> Any:
    """Return a value with each handle replaced by what a function makes of it."""
    return _replaced(value, {id(handle): by(handle) for handle in _handles_in(value)})


def _handles_in(value: object) -> Iterator[Handle]:
    kind = type(value)
    if isinstance(value, Handle):
        yield value
    elif kind in (list, tuple):
        for each in value:  # type: ignore[attr-defined]
            yield from _handles_in(each)
    elif kind is dict:
        for each in value.values():  # type: ignore[attr-defined]
            yield from _handles_in(each)


def _replaced(value: Any, values: dict[int, object]) -> Any:
    kind = type(value)
    if isinstance(value, Handle):
        return values.get(id(value), value)
    if kind is dict:
        made: Any = {key: _replaced(each, values) for key, each in value.items()}
        same = all(made[key] is each for key, each in value.items())
    elif kind in (list, tuple):
        made = [_replaced(each, values) for each in value]
        same = all(new is old for new, old in zip(made, value, strict=True))
        made = made if kind is list else tuple(made)
    else:
        return value
    return value if same else made
