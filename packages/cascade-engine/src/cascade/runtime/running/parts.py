"""The parts of one run, wired: each gets what it needs when it is made, and none knows those that stand after it."""

from __future__ import annotations

from cascade.runtime.running.admission import Admission
from cascade.runtime.running.call_ends import CallEnds
from cascade.runtime.running.calling import Calling
from cascade.runtime.running.completion import Completion
from cascade.runtime.running.dispatch import Dispatcher
from cascade.runtime.running.flights import Flights
from cascade.runtime.running.loops import Loops
from cascade.runtime.running.map_items import MapItems
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.concurrency_slot import ConcurrencySlot


class Parts:
    """The parts of one run, from those that know nothing of the others to the one that starts everything."""

    __slots__ = (
        "admission",
        "call_ends",
        "calling",
        "completion",
        "dispatcher",
        "flights",
        "frames",
        "loops",
        "maps",
    )

    def __init__(self, services: Services) -> None:
        slot = ConcurrencySlot(services.capacity, services.options.lender, services.inbox.wake_up)
        self.admission = Admission(services)
        self.call_ends = CallEnds(services)
        self.calling = Calling(services, self.call_ends, slot)
        self.frames = OpenFrames(services)
        self.flights = Flights(services, self.call_ends, self.calling, self.frames)
        self.maps = MapItems(services, self.calling)
        self.loops = Loops(services, self.admission, self.frames, self.flights)
        self.completion = Completion(services, self.call_ends, self.calling, self.maps, self.loops)
        self.dispatcher = Dispatcher(services, self.calling, self.maps, self.loops, self.completion)

    def let_go(self, services: Services) -> None:
        """Let go of everything: the traceback of an error has frames that know parts, and these know the error."""
        for frame in self.frames.by_serial.values():
            frame.let_go()
        services.inbox.let_go()
        for part in (services, *(getattr(self, name) for name in self.__slots__)):
            for name in part.__slots__:
                delattr(part, name)
