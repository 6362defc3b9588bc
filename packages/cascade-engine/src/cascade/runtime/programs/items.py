"""Items: the calls of one map, as arguments, and how they are made where they need nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cascade.runtime.programs.plain_values import take_given
from cascade.runtime.programs.timed_calls import Ends, timed
from cascade.runtime.sharing.time_slice import SLICE_SECONDS
from cascade.spec.lazy_types import MappedLazyResult
from cascade.spec.task import as_items, check_lengths

ITEMS_A_LOOK = 128
"""After so many plain calls the clock is looked at."""


Ordering = Callable[[Any], Any]
"""What gives an input of a map in an order that is the same in every process."""


class Items:
    """The items of one map: the arguments of each call, those that they share computed once.

    Raises:
        MapError: If an input that was lazy gives no iterable, or a string.
        MapLengthError: If the inputs have unequal lengths.
    """

    __slots__ = ("_args", "_columns", "_kwargs", "_task", "size")

    def __init__(
        self,
        lazy: MappedLazyResult[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        in_order: Ordering | None = None,
    ) -> None:
        self._task = lazy.task
        self._args = args
        self._kwargs = kwargs
        self._columns: dict[int | str, list[Any]] = {
            argument: as_items(lazy.task, argument, value if in_order is None else in_order(value))
            for argument in lazy.mapped
            for value in [args[argument] if isinstance(argument, int) else kwargs[argument]]
        }
        check_lengths(lazy.task, self._columns)
        self.size = len(next(iter(self._columns.values())))

    def arguments(self, index: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of one item."""
        args: list[Any] = list(self._args)
        kwargs = dict(self._kwargs)
        for argument, column in self._columns.items():
            if isinstance(argument, int):
                args[argument] = column[index]
            else:
                kwargs[argument] = column[index]
        return tuple(args), kwargs

    def call(self, ends: float, item_ends: Ends | None = None) -> tuple[list[Any], BaseException | None]:
        """Call as many items as there is time for until `ends`; return their values in order.

        Also returns what the next item raised, if one did. Whoever watches hands in a list for the items' ends.
        """
        # Once per item of every plain map: watched by observatory/benchmarks/bench_maps.py.
        values: list[Any] = []
        call, columns = self._plain_call()
        call = timed(call, item_ends)
        try:
            while len(values) < self.size and time.monotonic() < ends:
                some = slice(len(values), len(values) + ITEMS_A_LOOK)
                if len(columns) == 1:
                    for item in columns[0][some]:
                        values.append(call(item))  # noqa: PERF401 - an error leaves what came before
                else:
                    for each in zip(*[column[some] for column in columns], strict=True):
                        values.append(call(*each))  # noqa: PERF401 - as above
        except BaseException as error:  # noqa: BLE001 - the user's own code; the run decides what it means
            return values, error
        return values, None

    def _plain_call(self) -> tuple[Callable[..., Any], list[list[Any]]]:
        """Return what is called for each item, and the lists of its positional arguments."""
        task = self._task
        if len(self._columns) == 1 == len(self._args) + len(self._kwargs):
            ((argument, column),) = self._columns.items()
            if argument == 0 or task.positional[:1] == (argument,):
                return task.func, [column]
        by_place = [column for argument, column in self._columns.items() if isinstance(argument, int)]
        named = [name for name in self._columns if isinstance(name, str)]
        prefix = self._args[: len(self._args) - len(by_place)]
        fixed = {name: value for name, value in self._kwargs.items() if name not in self._columns}
        following = task.positional[len(self._args) :][: len(named)]
        if set(named) == set(following):
            # What is mapped comes right behind what is given by position, so all of it can be.
            columns = [*by_place, *(self._columns[name] for name in following)]
            return (partial(task.func, *prefix, **fixed) if prefix or fixed else task.func), columns

        def call(index: int) -> Any:
            args, kwargs = self.arguments(index)
            return task.func(*args, **kwargs)

        return call, [list(range(self.size))]


class CalledItems:
    """How far plain calls of a map's items came: what the first ones have given, and what the next one raised."""

    __slots__ = ("ended", "error", "first", "items")

    def __init__(self, items: Items, first: list[Any], error: BaseException | None) -> None:
        self.items = items
        self.first = first
        self.error = error
        self.ended = 0.0  # when the last of them ended, if somebody watches

    def take_error(self) -> BaseException | None:
        """Return what the next item raised, and keep it no longer: its traceback leads to those who hold this."""
        error, self.error = self.error, None
        return error


def call_map(
    lazy: MappedLazyResult[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Any] | CalledItems:
    """Call the items of a map one after the other, for one turn at the most.

    Returns their values if that is the map's value; how far they came if there is more to do.
    """
    items = Items(lazy, args, kwargs)
    called = CalledItems(items, *items.call(time.monotonic() + SLICE_SECONDS))
    has_lazy = take_given(called.first)
    return (
        called.first if called.error is None and len(called.first) == items.size and not has_lazy else called
    )
