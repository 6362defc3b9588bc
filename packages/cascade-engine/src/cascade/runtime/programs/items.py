"""Items: the calls of one map, as arguments, and how they are made where they need nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from types import FunctionType
from typing import Any

from cascade.runtime.programs.call_sites import item_call, makes_calls, passes_on
from cascade.runtime.programs.plain_values import GIVEN, PLAIN, take_given
from cascade.runtime.programs.timed_calls import Ends, timed
from cascade.runtime.sharing.time_slice import SLICE_SECONDS
from cascade.spec.internal_tasks import CALL_FACTORY
from cascade.spec.lazy_types import MappedLazyResult
from cascade.spec.task import as_items, check_lengths

ITEMS_A_LOOK = 128
"""After so many plain calls at the most the clock is looked at."""

LOOK_SECONDS = 0.0005
"""Where they take longer than this, it is looked at after fewer."""


Ordering = Callable[[Any], Any]
"""What gives an input of a map in an order that is the same in every process."""


class Items:
    """The items of one map: the arguments of each call, those that they share computed once.

    Raises:
        MapError: If an input that was lazy gives no iterable, or a string.
        MapLengthError: If the inputs have unequal lengths.
    """

    __slots__ = ("_args", "_columns", "_kwargs", "_look", "_task", "size")

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
        self._look = 1  # after so many calls the clock is looked at next

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

    def arguments_of(self, indices: Sequence[int]) -> Iterable[tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the arguments of several items; where no keyword argument is mapped, they share one dict of these."""
        # Once per chunk of every map in a pool: watched by observatory/rows/pools.py.
        columns = self._columns
        if any(isinstance(argument, str) for argument in columns):
            return map(self.arguments, indices)
        places = [
            map(columns[place].__getitem__, indices) if place in columns else repeat(value, len(indices))
            for place, value in enumerate(self._args)
        ]
        return zip(zip(*places, strict=True), repeat(self._kwargs, len(indices)), strict=True)

    def with_fixed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Items:
        """Return the same items with other arguments in place of those that are not mapped."""
        other = object.__new__(Items)
        other._task, other._columns, other.size = self._task, self._columns, self.size
        other._args, other._kwargs, other._look = args, kwargs, self._look
        return other

    @property
    def task_name(self) -> str:
        """The name of the task that is called."""
        return self._task.name

    @property
    def fixed(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as they were given; those that are mapped stand in them as a whole."""
        return self._args, self._kwargs

    @makes_calls(lambda names: item_call(names["self"].task_name, len(names["values"])))
    def call(
        self, values: list[Any], ends: float, item_ends: Ends | None = None, one_by_one: bool = False
    ) -> tuple[BaseException | None, int]:
        """Call the items that `values` has nothing of, in order, as many as there is time for until `ends`.

        Their values are appended, as `given` returns them. Stops behind calls that gave something which stands for
        another value; with `one_by_one` behind the first of these. Returns what the next item raised, if one did, and
        from where on there may be such values. Whoever watches hands in a list for the items' ends.
        """
        # Once per item of every plain map: watched by observatory/benchmarks/bench_maps.py.
        call, columns = self.plain_call()
        func, note, clock, size = call, None, time.monotonic, self.size
        if item_ends is not None:
            call, note = timed(func, item_ends), item_ends.append
        begin, now = len(values), clock()
        try:
            while begin < size and now <= ends:  # as `TimeSlice.is_over` says
                some = slice(begin, begin + self._look)
                if one_by_one:
                    _call_to_first(call, zip(*[column[some] for column in columns], strict=True), values)
                elif len(columns) == 1 and note is None:
                    for item in columns[0][some]:
                        values.append(call(item))  # noqa: PERF401 - an error leaves what came before
                elif len(columns) == 1 and note is not None:
                    for item in columns[0][some]:  # as `timed` does, without a call around the call
                        values.append(func(item))
                        note(clock())
                else:
                    for each in zip(*[column[some] for column in columns], strict=True):
                        values.append(call(*each))  # noqa: PERF401 - as above
                first, begin, before, now = begin, len(values), now, clock()
                if now - before > LOOK_SECONDS:
                    self._note_pace(begin - first, now - before)
                else:
                    self._look = ITEMS_A_LOOK
                if take_given(values, first):
                    return None, first
        except BaseException as error:  # noqa: BLE001 - the user's own code; the run decides what it means
            return error, begin if take_given(values, begin) else len(values)
        return None, begin

    def _note_pace(self, calls: int, seconds: float) -> None:
        """Note that some calls took long: a slice of time ends where it should, and a long call is known by name."""
        self._look = min(ITEMS_A_LOOK, int(calls * LOOK_SECONDS / seconds) or 1)

    @passes_on
    def plain_call(self) -> tuple[Callable[..., Any], Sequence[Sequence[Any]]]:
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
        positional = task.positional[len(self._args) :]
        if task is CALL_FACTORY and len(self._args) == 1 + len(by_place):
            positional = _positional(self._args[0])[len(by_place) :]
        following = positional[: len(named)]
        if set(named) == set(following):
            # What is mapped comes right behind what is given by position, so all of it can be.
            columns = [*by_place, *(self._columns[name] for name in following)]
            return (partial(task.func, *prefix, **fixed) if prefix or fixed else task.func), columns
        if len(named) == 1 and not by_place:
            func, template, (name,) = task.func, self._kwargs, named
            return (lambda item: func(*prefix, **{**template, name: item})), [self._columns[name]]

        def call(index: int) -> Any:
            args, kwargs = self.arguments(index)
            return task.func(*args, **kwargs)

        return call, [range(self.size)]


def _positional(factory: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of what a function takes by position, if it is no more than a function."""
    if type(factory) is not FunctionType or hasattr(factory, "__wrapped__"):
        return ()
    return factory.__code__.co_varnames[: factory.__code__.co_argcount]


@passes_on
def _call_to_first(call: Callable[..., Any], arguments: Iterable[tuple[Any, ...]], values: list[Any]) -> None:
    """Make calls up to the first that gives what is no plain value."""
    for each in arguments:
        value = call(*each)
        values.append(value)
        if type(value) not in PLAIN and GIVEN[type(value)]:
            return


class CalledItems:
    """How far plain calls of a map's items came: what the first ones have given, and what the next one raised.

    From `lazy_from` on there may be values that stand for others.
    """

    __slots__ = ("error", "first", "items", "lazy_from")

    def __init__(self, items: Items, first: list[Any], error: BaseException | None, lazy_from: int) -> None:
        self.items = items
        self.first = first
        self.error = error
        self.lazy_from = lazy_from

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
    items, values = Items(lazy, args, kwargs), list[Any]()
    one_by_one = lazy.max_concurrency is not None  # what goes on after it has returned is bounded
    came = items.call(values, time.monotonic() + SLICE_SECONDS, None, one_by_one)
    try:
        is_whole = came[0] is None and came[1] == items.size
        return values if is_whole else CalledItems(items, values, *came)
    finally:
        del came  # an error's traceback leads to this frame: they would be a cycle
