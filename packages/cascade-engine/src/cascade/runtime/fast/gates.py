"""Gates: whether the next calls of a table may be made, by what they take and what is there.

Calls that take the same follow each other, so it is asked once for many of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from cascade.graph.plain_structure import Form
from cascade.graph.tree import NO_CALL
from cascade.runtime.fast.stretches import Stretch
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.resolvers import resolve_needs
from cascade.runtime.sharing.capacity import CONCURRENCY, Amount, Lease, Name
from cascade.runtime.sharing.readiness import Readiness, Ready, StretchNeeds
from cascade.spec.lazy_types import Lazy


class Gate:
    """Asked before each stretch of the calls that one `owner` makes, while the event loop has no turn.

    `needs` are those of the last calls that might be made: what a call that goes on after it has returned may hold.
    """

    __slots__ = ("_known", "_owner", "_readiness", "_totals", "needs", "resources")

    def __init__(
        self,
        readiness: Readiness,
        owner: Hashable,
        totals: Mapping[Name, Amount],
        resources: Mapping[str, Any],
    ) -> None:
        self._readiness = readiness
        self._owner = owner
        self._totals = totals
        self._known: dict[tuple[Form | None, object], StretchNeeds] = {}
        self.needs: StretchNeeds | None = None
        self.resources = resources

    def ask(self, needs: StretchNeeds) -> Ready | None:
        """Tell whether calls with these needs may be made now; those that came before with others have ended.

        `CAPACITY` means that a slot was asked for. It is `None` where another amount is not there: calls that wait for
        that must not hold up others.
        """
        # Nobody else takes anything before the event loop's next turn, so what was there still is.
        if needs is self.needs:
            return Ready.NOW
        self.end()
        if needs.amounts.keys() - {CONCURRENCY} and not self._readiness.is_free(needs):
            return None
        came = self._readiness.ask(self._owner, needs)
        self.needs = needs
        if came is not Ready.NOW:
            self.end()
        return came

    def end(self) -> None:
        """Give back what was granted: the calls have ended, or others have their turn before the next."""
        if self.needs is not None:
            self.needs = None
            self._readiness.end(self._owner)

    def needs_of(self, lazy: Lazy, form: Form | None) -> StretchNeeds:
        """Return what a call needs; one without a form that is given takes no more than a slot."""
        constraints = lazy.policies.constraints if form is not None and form.holds_amounts else None
        key = (form, None if constraints is None else constraints.amounts)
        known = self._known.get(key)
        if known is None:
            amounts = {} if constraints is None else resolve_needs(lazy, NO_CALL, None, self._totals)
            resources = () if form is None else form.resources
            known = self._known[key] = self._readiness.needs_of(amounts, resources)
        return known

    def hold(self) -> Lease | None:
        """Return a lease for the last call that was made, if it goes on after it has returned."""
        needs, self.needs = self.needs, None
        return None if needs is None else self._readiness.hold(self._owner, needs)


def alike(stretch: Stretch, lazies: Lazies) -> int:
    """Return how many calls of a stretch, from its first one on, take the same amounts."""
    chosen = stretch.take_lazies(lazies)
    first = chosen[0].policies.constraints
    for count, lazy in enumerate(chosen):
        constraints = lazy.policies.constraints
        if constraints is not first and constraints != first:
            return count
    return len(chosen)
