"""Readiness: whether a stretch of inline calls may be made here and now, and who waits until it may.

Inline calls never overlap. They hold what they take only while they run, and nobody can ask for capacity meanwhile. So
it is enough that what one of them takes is free when the stretch begins, and that nobody who came before waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from cascade.runtime.sharing.capacity import Capacity, Lease, Needs


class StretchNeeds(NamedTuple):
    """What each call of a stretch needs: amounts of the engine's capacity, and resources that are open for the run."""

    amounts: Needs = MappingProxyType({})
    resources: tuple[str, ...] = ()


class Ready(Enum):
    """Whether a stretch may go on: `NOW`, or after it was granted `CAPACITY`, or after `RESOURCES` are opened."""

    NOW = "now"
    CAPACITY = "capacity"
    RESOURCES = "resources"


class Readiness:
    """Tells whether stretches of inline calls may be made in one run; keeps those that wait for capacity.

    `lender` is the lease that the run borrows from. `are_open` tells of names whether their resources are open for the
    run. `resume` is called with a stretch that has waited and may go on. A stretch is whatever the run knows it by.
    """

    __slots__ = ("_are_open", "_capacity", "_granted", "_lender", "_requests", "_resume")

    def __init__(
        self,
        capacity: Capacity,
        lender: Lease | None,
        are_open: Callable[[Iterable[str]], bool],
        resume: Callable[[Hashable], None],
    ) -> None:
        self._capacity = capacity
        self._lender = lender
        self._are_open = are_open
        self._resume = resume
        self._requests: dict[Hashable, Callable[[], None]] = {}  # what withdraws each
        self._granted: dict[Hashable, Lease] = {}  # what a stretch that has waited may use

    def needs_of(self, amounts: Needs, resources: Iterable[str]) -> StretchNeeds:
        """Return what calls need that declare these amounts and take these resources; each takes a slot as well."""
        return StretchNeeds(self._capacity.with_slot(amounts), tuple(resources))

    def ask(self, stretch: Hashable, needs: StretchNeeds) -> Ready:
        """Tell whether calls with these needs may be made now. Asked before each stretch, and after each `hold`.

        What is not free is asked for, once: the stretch is resumed when it is granted. It has to be made before all
        else of the run, as something else may wait for just what it holds. Who has made its calls says so by `end`.
        """
        if needs.amounts and stretch not in self._granted:
            if stretch in self._requests:
                return Ready.CAPACITY
            if not self._capacity.is_free(needs.amounts, self._lender):
                self._wait(stretch, needs.amounts)
                return Ready.CAPACITY
        if needs.resources and not self._are_open(needs.resources):
            return Ready.RESOURCES
        return Ready.NOW

    def is_free(self, needs: StretchNeeds) -> bool:
        """Tell whether what calls take is free now, and nobody who came before waits for it; nothing is asked for."""
        return self._capacity.is_free(needs.amounts, self._lender)

    def hold(self, stretch: Hashable, needs: StretchNeeds) -> Lease | None:
        """Return a lease for a call of the stretch that goes on after it has returned; `None` if it needs nothing.

        It is what the stretch was granted, or what was free when it asked.
        """
        granted = self._granted.pop(stretch, None)
        if granted is not None or not needs.amounts:
            return granted
        return self._capacity.take_now(needs.amounts, self._lender)

    def end(self, stretch: Hashable) -> None:
        """Give back what a stretch was granted, so that others come before its next one."""
        granted = self._granted.pop(stretch, None)
        if granted is not None:
            granted.release()

    @property
    def is_awaited(self) -> bool:
        """Whether a stretch waits for capacity."""
        return bool(self._requests)

    def close(self) -> None:
        """Give everything back, and wait for nothing any more: the run ends."""
        for withdraw in [*self._requests.values()]:
            withdraw()
        self._requests.clear()
        for stretch in [*self._granted]:
            self.end(stretch)

    def _wait(self, stretch: Hashable, amounts: Needs) -> None:
        def grant(lease: Lease) -> None:
            del self._requests[stretch]
            self._granted[stretch] = lease
            self._resume(stretch)

        # It is not free, so it is not granted at once.
        self._requests[stretch] = self._capacity.request(amounts, self._lender, grant)
