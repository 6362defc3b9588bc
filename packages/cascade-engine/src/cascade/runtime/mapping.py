"""Maps at run time: one call per item, in order, with results in order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascade.graph.tree import Injected
from cascade.runtime.jobs import ItemJob, Job
from cascade.spec.arguments import fill
from cascade.spec.lazy_types import MappedLazyResult
from cascade.spec.task import as_items, check_lengths


class MapRun:
    """The items of one map: which have begun, which are done.

    What the items share is computed once; injections are left for each item to fill.

    Raises:
        MapError: If an input that was lazy gives no iterable, or a string.
        MapLengthError: If the inputs have unequal lengths.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.failed = False
        self.queued = False
        lazy = job.lazy
        assert isinstance(lazy, MappedLazyResult)
        self._args, self._kwargs = job.arguments(None)
        call = job.frame.program.calls[job.position]
        self._injections = [
            (slot, source.resource)
            for slot, source in zip(call.slots, call.sources, strict=True)
            if isinstance(source, Injected)
        ]
        self._defaults = call.defaults
        self._items: dict[int | str, list[Any]] = {
            argument: as_items(lazy.task, argument, self._argument(argument)) for argument in lazy.mapped
        }
        check_lengths(lazy.task, self._items)
        self.size = len(next(iter(self._items.values())))
        self._limit = lazy.max_concurrency or self.size
        self._begun = 0
        self._running = 0

    def next_item(self) -> ItemJob | None:
        """Return the next item to begin; `None` if all have begun or as many run as may."""
        if not self.can_begin:
            return None
        item = ItemJob(self, self._begun)
        self._begun += 1
        self._running += 1
        return item

    @property
    def can_begin(self) -> bool:
        """Whether another item may begin now."""
        return self._begun < self.size and self._running < self._limit

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
        """Return the arguments of one item."""
        args: list[Any] = list(self._args)
        kwargs = dict(self._kwargs)
        for argument, items in self._items.items():
            if isinstance(argument, int):
                args[argument] = items[index]
            else:
                kwargs[argument] = items[index]
        if resources is None:
            return tuple(args), kwargs
        values = [resources[name] for _, name in self._injections]
        filled, kwargs = fill(tuple(args), kwargs, [slot for slot, _ in self._injections], values)
        kwargs.update((parameter, resources[name]) for parameter, name in self._defaults)
        return filled, kwargs

    def _argument(self, argument: int | str) -> Any:
        return self._args[argument] if isinstance(argument, int) else self._kwargs[argument]
