"""Item ways: how a map goes on when it has its turn, by the way that was chosen for its items.

`MapItems` chooses the way, from the task, its policies and the engine; each way is a module of its own.
"""

from __future__ import annotations

from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.running.completion import Completion
from cascade.runtime.running.item_coroutines import ItemCoroutines
from cascade.runtime.running.item_stretches import ItemStretches
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import Way


class ItemWays:
    """Lets the maps of one run go on. `coroutines` has the items that are under way as such, `maps` all maps."""

    __slots__ = ("_completion", "_stretches", "coroutines", "maps")

    def __init__(
        self, services: Services, calling: Calling, maps: MapItems, loops: Loops, completion: Completion
    ) -> None:
        self._completion = completion
        self.maps = maps
        self._stretches = ItemStretches(services, calling, maps, loops, completion)
        self.coroutines = ItemCoroutines(services, calling, maps)

    def go_on(self, mapping: MapRun) -> ItemJob | None:
        """Let a map have its turn; return the item that is to be started now, if each is a call of its own."""
        if mapping.way is Way.INLINE:
            self._stretches.go_on(mapping)
        elif mapping.way is Way.ON_LOOP:
            self.coroutines.go_on(mapping)
        else:
            item = self.maps.next_item(mapping)
            if item is not None:
                return item
        self._completion.go_on_with_map(mapping)
        return None
