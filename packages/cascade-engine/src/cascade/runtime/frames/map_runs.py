"""Maps at run time: one call per item, in order, with results in order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cascade.graph.tree import Injected
from cascade.runtime.frames.jobs import ItemJob, Job
from cascade.runtime.programs.plain_values import TURN_SECONDS, take_given
from cascade.spec.calls.arguments import fill
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

    def call(self, ends: float) -> tuple[list[Any], BaseException | None]:
        """Call as many items as there is time for until `ends`; return their values in order.

        Also returns what the next item raised, if one did.
        """
        # Once per item of every plain map: watched by observatory/benchmarks/bench_maps.py.
        values: list[Any] = []
        call, columns = self._plain_call()
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

    __slots__ = ("error", "first", "items")

    def __init__(self, items: Items, first: list[Any], error: BaseException | None) -> None:
        self.items = items
        self.first = first
        self.error = error

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
    called = CalledItems(items, *items.call(time.monotonic() + TURN_SECONDS))
    has_lazy = take_given(called.first)
    return (
        called.first if called.error is None and len(called.first) == items.size and not has_lazy else called
    )


class MapRun:
    """The items of one map while they run: which have begun, which are done.

    Injections are left for each item to fill.
    """

    def __init__(self, job: Job, items: Items | None = None, in_order: Ordering | None = None) -> None:
        self.job = job
        self.failed = False
        self.atomic = ""  # the atomic resource that one of its items depends on
        self.error: BaseException | None = None  # the first of an item's own
        self.queued = False
        self.values: list[Any] | None = None  # of all items, if plain calls have given them
        lazy = job.lazy
        assert isinstance(lazy, MappedLazyResult)
        self.calls = Items(lazy, *job.arguments(None), in_order) if items is None else items
        call = job.frame.program.calls[job.position]
        self._injections = [
            (slot, source.resource)
            for slot, source in zip(call.slots, call.sources, strict=True)
            if isinstance(source, Injected)
        ]
        self._defaults = call.defaults
        self.injects = bool(self._injections or call.defaults)
        self.size = self.calls.size
        self._limit = lazy.max_concurrency or self.size
        self._begun = 0
        self._running = 0
        self._recovered: set[int] = set()

    def recover(self, indices: set[int]) -> None:
        """Leave out the items whose values are there; before the first item begins."""
        self._recovered = indices
        self._pass_recovered()

    def _pass_recovered(self) -> None:
        while self._begun in self._recovered:
            self._begun += 1

    def next_item(self) -> ItemJob | None:
        """Return the next item to begin; `None` if all have begun or as many run as may."""
        if not self.can_begin:
            return None
        item = ItemJob(self, self._begun)
        self._begun += 1
        self._running += 1
        self._pass_recovered()
        return item

    @property
    def can_begin(self) -> bool:
        """Whether another item may begin now."""
        return self._begun < self.size and self._running < self._limit

    def note_begun(self, count: int) -> None:
        """Note that so many items have begun, none of which is under way."""
        self._begun = count

    def note_running(self) -> None:
        """Note that an item that has begun is still under way."""
        self._running += 1

    def settle_item(self) -> None:
        """Note that an item is done."""
        self._running -= 1

    @property
    def finished(self) -> bool:
        """Whether all items are done."""
        return self._begun == self.size and not self._running

    def items(self) -> list[ItemJob]:
        """Return all items, to read or forget their facts."""
        return [ItemJob(self, index) for index in range(self.size)]

    def arguments(
        self, index: int, resources: Mapping[str, Any] | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of one item; without `resources`, injections stay as they are."""
        args, kwargs = self.calls.arguments(index)
        if resources is None or not self.injects:
            return args, kwargs
        values = [resources[name] for _, name in self._injections]
        args, kwargs = fill(args, kwargs, [slot for slot, _ in self._injections], values)
        kwargs.update((parameter, resources[name]) for parameter, name in self._defaults)
        return args, kwargs
