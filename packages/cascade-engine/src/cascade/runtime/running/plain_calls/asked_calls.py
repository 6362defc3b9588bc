"""Asked calls: inline calls that take amounts or resources, or have a cache. It is asked whether they can be made now.

While calls follow each other, nobody else takes anything. So what they take is looked at and not held: a call that
returns at once gives it back before anybody could ask.
"""

from __future__ import annotations

from typing import Any

from cascade.runtime.fast.stretches import arguments
from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.resolvers import resolve_needs
from cascade.runtime.running.making_calls.cache_filing import note_atomic
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.capacity import Needs
from cascade.runtime.sharing.single_flight import Computation
from cascade.spec.errors import CascadeError
from cascade.spec.inputs.files import digests_made
from cascade.spec.policies.declared import Policies
from cascade.spec.protocols import CachedCall, CacheKey, Hit


class Made:
    """The type of `MADE`: the call can be made now, and no cache is asked for it."""


MADE = Made()


class AskedCalls:
    """Asks for the calls of one run."""

    __slots__ = (
        "_cache",
        "_capacity",
        "_free",
        "_has_atomic",
        "_is_bounded",
        "_lender",
        "_needs",
        "_registry",
        "_reports",
        "_resources",
    )

    def __init__(self, services: Services) -> None:
        self._cache = services.cache
        self._capacity = services.capacity
        self._free: Needs | None = None
        self._has_atomic = services.registry.has_atomic
        self._is_bounded = services.time_slice.bounded
        self._lender = services.options.lender
        self._needs: dict[object, Needs] = {}  # by the amounts, as they are declared
        self._registry = services.registry
        self._reports = services.reports
        self._resources = services.resources

    def begin(self) -> None:
        """Note that calls begin to follow each other: others have had their turn."""
        self._free = None

    def ask(self, frame: Frame, node: int) -> Made | Hit | CacheKey | None:
        """Return whether a call can be made: `MADE`, or with the key to keep its value by; or the value that is kept.

        `None` if it has to wait, or something has to be told about it.
        """
        policies = frame.lazies[node].policies
        if policies.cache is not None:
            # With a bound on calls, one that may turn out to be none must not take a slot from another.
            return None if self._is_bounded else self._look_up(frame, node, policies)
        if frame.program.unlinked[node]:
            names = frame.program.resources[node]
            if not self._resources.are_open(names):
                return None
            if self._has_atomic:
                note_atomic(Job(frame, node), self._registry.atomic_among(names))
        if policies.constraints is not None and not self._is_free(frame, node, policies):
            return None
        return MADE

    def _is_free(self, frame: Frame, node: int, policies: Policies) -> bool:
        assert policies.constraints is not None
        call = frame.program.call(node)
        declared = policies.constraints.amounts
        needs = None if call.amounts else self._needs.get(declared)
        if needs is None:
            try:
                needs = resolve_needs(frame.lazies[node], call, frame.flow.value, self._capacity.totals)
            except CascadeError:
                return False  # raised again where the call is made
            if not call.amounts:
                self._needs[declared] = needs
        if needs is not self._free:
            self._free = needs if self._capacity.is_free(needs, self._lender) else None
        return self._free is not None

    def _look_up(self, frame: Frame, node: int, policies: Policies) -> Hit | CacheKey | None:
        policy, files = policies.cache, digests_made()
        assert policy is not None
        try:
            args, kwargs = self._unfilled(frame, node)
            found = self._cache.value_or_key(policy, CachedCall(frame.lazies[node].task, args, kwargs))
        except Exception:  # noqa: BLE001 - raised again where the call is made
            return None
        # The files of a call that is made have to be looked at again when it has ended.
        return found if isinstance(found, Hit) or digests_made() == files else None

    def _unfilled(self, frame: Frame, node: int) -> tuple[tuple[object, ...], dict[str, Any]]:
        """Return the arguments of a call, in which what stands for a resource is left."""
        program = frame.program
        if program.unlinked[node]:
            return Job(frame, node).arguments(None)
        lazy, link = frame.lazies[node], program.links[node]
        if link is None:
            return lazy.args, lazy.kwargs
        args, kwargs = arguments(link, lazy, frame.flow.readable)
        return tuple(args), kwargs

    def keep(self, frame: Frame, node: int, key: CacheKey, value: object) -> None:
        """Put the value of a call into the cache."""
        keep, policy = self._cache.keep, frame.lazies[node].policies.cache
        assert keep is not None
        assert policy is not None
        try:
            keep(key, value, policy.ttl)
        except Exception as error:  # noqa: BLE001 - a cache that can't keep a value costs time, not the value
            self._reports.uncached(Job(frame, node), error)

    def computation(self, job: Job, key: CacheKey) -> Computation[Job] | None:
        """Return the computation of a key that a call goes on with; `None` if somebody else has begun one."""
        policy = job.policies.cache
        assert policy is not None
        return self._cache.computation(key, policy.ttl, job)
