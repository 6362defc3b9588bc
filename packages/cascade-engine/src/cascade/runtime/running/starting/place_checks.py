"""Place checks: what can be known to be wrong with a call because of where it is made, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cascade.adapters.executors.call_places import Home, Interruption
from cascade.adapters.executors.worker_processes.locations import check_reference, odd_locations
from cascade.adapters.travelling.carried_variables import check_importable, encoded
from cascade.runtime.exceptions import InlineTimeoutError, TimeoutRefusedError
from cascade.runtime.running.services import Services
from cascade.spec.lazy_types import LazyResult
from cascade.spec.policies.mode import Mode
from cascade.spec.resource import Resource, Where


class PlaceChecks:
    """Checks calls against what their executors say of the places where they are made."""

    __slots__ = ("_carried", "_placement", "_resources")

    def __init__(self, services: Services) -> None:
        self._carried = services.carried
        self._placement = services.placement
        self._resources = services.resources

    def check(self, lazy: LazyResult[Any], carried_to: set[Home]) -> None:
        """Check that a call can be made where it is to be. `carried_to` has the homes whose variables are checked.

        Raises:
            TaskReferenceError: If another process would not find the task.
            CarriedVariableError: If a variable that travels can't.
            InlineTimeoutError, TimeoutRefusedError: If it has a timeout that is refused there.
        """
        has_timeout = lazy.policies.timeout is not None
        if self._placement.mode_of(lazy) is Mode.INLINE:  # most calls: no more is asked about them
            if has_timeout:
                raise InlineTimeoutError(lazy.task.name)
            return
        place = self._placement.place_of(lazy)
        if place.home is Home.WORKER:
            check_reference(lazy.task)
        if self._carried and place.is_elsewhere and place.home not in carried_to:
            self._check_carried(place.home)
            carried_to.add(place.home)
        if has_timeout and place.timeout is Interruption.REFUSED:
            raise TimeoutRefusedError(lazy.task.name, type(self._placement.executor_of(lazy)).__name__)

    def check_resource(self, lazy: LazyResult[Any], needed: tuple[Resource, ...]) -> None:
        """Check that a call gets a resource where it is made: the last one of those that are `needed` for it.

        Raises:
            DriverResourceError: If it is opened in this process, and the call is made in another one.
            ResourceReferenceError: If another process would not find it.
            ResourceInputError: If the value of an input that it takes can't be encoded.
        """
        wanted, wanted_by = needed[-1], f"task '{lazy.task.name}'"
        place = self._placement.place_of(lazy)
        if place.is_elsewhere or wanted.where is Where.WORKER:
            self._resources.of_worker(wanted.name, wanted_by)
        if place.home is Home.WORKER:
            for resource in needed:
                resource.check_reference()

    def _check_carried(self, home: Home) -> None:
        """Check that workers find the context variables that travel, and that their values can be encoded."""
        if home is Home.CLUSTER:
            unknown = odd_locations()
            for each in self._carried:
                check_importable(each, unknown)
        encoded(self._carried, _encoding_of(home))


def _encoding_of(home: Home) -> Callable[[Any], bytes]:
    from pickle import dumps  # noqa: PLC0415 - only calls of other processes need it

    if home is Home.CLUSTER:
        try:
            from cascade.adapters.executors.remote_calls.cloud_pickling import (  # noqa: PLC0415 - needs an extra
                encode,
            )
        except ModuleNotFoundError:  # an executor of the user's own, which does without
            return dumps
        return encode
    return dumps
