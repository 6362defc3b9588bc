"""Maps in progress: which items have begun and which are done. One call per item, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from cascade.adapters.state.keys import FrameKey, FrameKind, NodeKey
from cascade.graph.path import ROOT
from cascade.graph.tree import Injected
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.item_chunks import ItemChunks
from cascade.runtime.frames.reporting.flight_log import ItemLog
from cascade.runtime.programs.items import Items, Ordering
from cascade.runtime.sharing.placement import Way
from cascade.runtime.sharing.readiness import StretchNeeds
from cascade.spec.calls.arguments import fill
from cascade.spec.calls.missing import MISSING
from cascade.spec.lazy_types import MappedLazyResult


class ItemJob(Job):
    """One item of a map."""

    __slots__ = ("atomic", "index", "mapping")

    def __init__(self, mapping: MapRun, index: int) -> None:
        super().__init__(mapping.job.frame, mapping.job.position)
        self.mapping = mapping
        self.index = index
        self.atomic = ""  # the atomic resource that what stands in its place depends on

    @property
    def task_id(self) -> str:
        """The id of the map with the item's index."""
        return f"{super().task_id}[{self.index}]"

    @property
    def item(self) -> int:
        """The index of the item."""
        return self.index

    @property
    def outer(self) -> Job | None:
        """The map that this is an item of."""
        return self.mapping.job

    @property
    def key(self) -> NodeKey:
        """An item is the root of a frame of its own."""
        return NodeKey(self.frame_key, ROOT)

    @property
    def frame_key(self) -> FrameKey:
        """The frame that the item's facts lie in."""
        return FrameKey(self.frame.key, self.path, FrameKind.ITEM, self.index)

    @property
    def where(self) -> str:
        """The place for error notes."""
        return f"{self.path}{self.suffix}"

    @property
    def suffix(self) -> str:
        """The index of the item."""
        return f", item {self.index}"

    @property
    def is_target(self) -> bool:
        """An item stands for its map only with all the others."""
        return False

    def arguments(
        self, resources: Mapping[str, Any] | None, there: bool = False
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the item's arguments."""
        return self.mapping.arguments(self.index, resources)

    def note_started(self) -> None:
        """Note that the item's call has begun; the map's own node has before."""
        self.started = True


class MapRun:
    """The items of one map while they run: which have begun, which are done.

    `values` has what items gave by their index, `MISSING` for those that have begun; it is `None` where the state
    backend has the values. `trees` are the indices of items whose calls gave trees that are still to be run; these
    stand in `values`. Injections are left for each item to fill. `way` is how the items go, `needs` what each of
    them takes, and `begun` how many have begun.
    """

    def __init__(self, job: Job, items: Items | None = None, in_order: Ordering | None = None) -> None:
        self.job = job
        self.failed = False
        self.atomic = ""  # the atomic resource that one of its items depends on
        self.error: BaseException | None = None  # the first of an item's own
        self.queued = False
        self.chunks: ItemChunks[ItemJob] | None = None  # if its items go out in chunks
        self.log: ItemLog | None = None  # of items that are coroutines, if somebody watches
        self.way = Way.SCHEDULED
        self.needs = StretchNeeds()
        self.blocked: Job | None = None  # what was reported to wait for capacity
        self.not_opened: BaseException | None = (
            None  # what opening the resources that its items take has raised
        )
        self.values: list[Any] | None = None
        self.trees: deque[int] = deque()
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
        self.limit = lazy.max_concurrency or self.size
        self.begun = 0
        self._running = 0
        self._recovered: set[int] = set()

    def recover(self, indices: set[int]) -> None:
        """Leave out the items whose values are there; before the first item begins."""
        self._recovered = indices
        self._pass_recovered()

    def _pass_recovered(self) -> None:
        while self.begun in self._recovered:
            self.begun += 1

    def next_item(self) -> ItemJob | None:
        """Return the next item to begin; `None` if all have begun or as many run as may."""
        if not self.can_begin:
            return None
        item = ItemJob(self, self.begun)
        self.begun += 1
        self._running += 1
        if self.values is not None:
            self.values.append(MISSING)
        self._pass_recovered()
        return item

    @property
    def can_begin(self) -> bool:
        """Whether another item may begin now, or a chunk of them."""
        chunks = self.chunks
        if chunks is None:
            return self.begun < self.size and self._running < self.limit
        if chunks.under_way(self._running) >= self.limit:
            return False
        return bool(chunks.held) or (not chunks.is_waiting and self.left > 0)

    @property
    def left(self) -> int:
        """How many items have not begun, those that a chunk gave back among them."""
        return self.size - self.begun + (0 if self.chunks is None else len(self.chunks.given_back))

    def next_of_chunk(self, count: int) -> list[int]:
        """Let the next items begin, up to so many, in a chunk; return their indices."""
        assert self.chunks is not None
        given_back = self.chunks.given_back
        indices = [given_back.popleft() for _ in range(min(count, len(given_back)))]
        while len(indices) < count and self.begun < self.size:
            step = 1 if self._recovered else count - len(indices)
            until = min(self.size, self.begun + step)
            indices += range(self.begun, until)
            self._running += until - self.begun
            if self.values is not None:
                self.values += [MISSING] * (until - self.begun)
            self.begun = until
            self._pass_recovered()
        return indices

    @property
    def room(self) -> int:
        """How many more items may begin now."""
        return min(self.size - self.begun, self.limit - self._running)

    @property
    def can_go_on(self) -> bool:
        """Whether something of it may be done now: another item may begin, or the tree of one may be run."""
        return bool(self.trees) or self.can_begin

    def note_called(self, count: int) -> None:
        """Note that so many items have begun, of which those that began last are under way only if that is noted."""
        self.begun = count

    def note_started(self, count: int) -> None:
        """Note that so many items more have begun and are under way."""
        self.begun += count
        self._running += count

    def note_running(self, count: int) -> None:
        """Note that so many items that have begun are still under way."""
        self._running += count

    def settle_items(self, count: int) -> None:
        """Note that so many items are done."""
        self._running -= count

    @property
    def finished(self) -> bool:
        """Whether all items are done."""
        return self.begun == self.size and not self._running

    def items(self) -> list[ItemJob]:
        """Return all items, to read or forget their facts."""
        return [ItemJob(self, index) for index in range(self.size)]

    def arguments(
        self, index: int, resources: Mapping[str, Any] | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of one item; without `resources`, injections stay as they are."""
        args, kwargs = self.calls.arguments(index)
        return (args, kwargs) if resources is None else self._injected(args, kwargs, resources)

    def calls_with(self, resources: Mapping[str, Any]) -> Items:
        """Return the calls of the items with open resources in the place of injections."""
        return (
            self.calls.with_fixed(*self._injected(*self.calls.fixed, resources))
            if self.injects
            else self.calls
        )

    def _injected(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], resources: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not self.injects:
            return args, kwargs
        values = [resources[name] for _, name in self._injections]
        args, kwargs = fill(args, kwargs, [slot for slot, _ in self._injections], values)
        kwargs = {**kwargs, **{parameter: resources[name] for parameter, name in self._defaults}}
        return args, kwargs
