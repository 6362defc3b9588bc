"""Item ways: how a map goes on when it has its turn, by the way that was chosen for its items.

`MapItems` chooses the way, from the task, its policies and the engine; each way is a module of its own.
"""

from __future__ import annotations

from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.running.completion import Completion
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.map_ways.item_coroutines import ItemCoroutines
from cascade.runtime.running.map_ways.item_stretches import ItemStretches
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import Way


class ItemWays:
    """Lets the maps of one run go on. `coroutines` has the items that are under way as such, `maps` all maps."""

    __slots__ = ("_completion", "_stretches", "_tracing", "coroutines", "maps")

    def __init__(
        self, services: Services, calling: Calling, maps: MapItems, loops: Loops, completion: Completion
    ) -> None:
        self._completion = completion
        self.maps = maps
        self._stretches = ItemStretches(services, calling, maps, loops, completion)
        self._tracing = services.tracing
        self.coroutines = ItemCoroutines(services, calling, maps)

    def go_on(self, mapping: MapRun) -> ItemJob | None:
        """Let a map have its turn; return the item that is to be started now, if each is a call of its own."""
        if mapping.way is Way.SCHEDULED:
            item = self.maps.next_item(mapping)
            if item is not None:
                return item
        else:
            entered = None if self._tracing is None else self._tracing.enter(mapping.job)
            try:
                (self._stretches if mapping.way is Way.INLINE else self.coroutines).go_on(mapping)
            finally:
                if self._tracing is not None:
                    self._tracing.leave(entered)
        self._completion.go_on_with_map(mapping)
        return None
