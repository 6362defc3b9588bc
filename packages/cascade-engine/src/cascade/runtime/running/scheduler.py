"""The scheduler of a run: the parts that run what is not made of plain inline calls, wired.

Each part gets what it needs when it is made, and knows none that stands after it. A run that its plain calls bring to
its end needs none of them.
"""

from __future__ import annotations

from cascade.runtime.running.calling import Calling
from cascade.runtime.running.completion import Completion
from cascade.runtime.running.dispatch import Dispatcher
from cascade.runtime.running.flights import Flights
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.services import Services


class Scheduler:
    """Starts what is ready and takes in what has ended, for one run."""

    __slots__ = ("calling", "completion", "dispatcher", "flights", "maps")

    def __init__(self, services: Services, loops: Loops) -> None:
        self.calling = Calling(services)
        self.flights = Flights(services, self.calling, loops.frames)
        self.maps = MapItems(services, self.calling)
        self.completion = Completion(services, self.calling, self.flights, self.maps, loops)
        self.dispatcher = Dispatcher(services, self.calling, self.maps, loops, self.completion)

    def is_busy(self) -> bool:
        """Tell whether something is under way that will wake the run."""
        return bool(
            self.calling.steps or self.flights.open or self.completion.filing or self.calling.slot.is_awaited
        )

    def under_way(self) -> list[str]:
        """Return the names of the calls that are under way in asyncio tasks."""
        return self.calling.names() + self.flights.names()

    def let_go(self) -> None:
        """Let go of everything: the traceback of an error has frames that know parts, and these know the error."""
        for name in self.__slots__:
            let_go_of(getattr(self, name))


def let_go_of(part: object) -> None:
    """Empty a part of a run that has ended, whose class lists all its attributes as slots."""
    for name in type(part).__slots__:  # type: ignore[attr-defined]  # each part has them
        delattr(part, name)
