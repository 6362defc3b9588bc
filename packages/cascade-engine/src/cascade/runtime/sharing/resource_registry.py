"""The resource registry: which provider gives each resource of an engine, and in which order resources are opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from cascade.runtime.exceptions import (
    DriverResourceError,
    ResourceCycleError,
    ResourceNotFoundError,
    ResourceScopeError,
)
from cascade.spec.common import GIVEN, INPUTS, Contract
from cascade.spec.errors import CascadeError
from cascade.spec.resource import Resource, Scope, Where


class ResourceRegistry:
    """The providers of an engine by name. What a name needs is checked once, until the next change.

    `has_atomic` says that there is an atomic provider of scope `run`, which stays open beyond the calls that take it.
    """

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._providers: dict[str, Resource] = {}
        self._checked: dict[str, tuple[Resource, ...]] = {}
        self._atomic: dict[str, str] = {}
        self.has_atomic = False
        for resource in resources:
            self.register(resource)

    def register(self, resource: Resource, name: str | None = None) -> None:
        """Add a provider under a name, its own by default; it replaces the one of that name."""
        self._providers[name or resource.name] = resource
        self._checked.clear()
        self._atomic.clear()
        self.has_atomic = any(each.atomic and each.scope is Scope.RUN for each in self._providers.values())

    def find(self, name: str) -> Resource | None:
        """Return the provider of a name, if there is one."""
        return self._providers.get(name)

    def provider(self, name: str, wanted_by: str) -> Resource:
        """Return the provider of a name.

        Raises:
            ResourceNotFoundError: If there is none; it lists those there are.
        """
        found = self._providers.get(name)
        if found is None:
            raise ResourceNotFoundError(name, wanted_by, tuple(sorted(self._providers)))
        return found

    def contracts(self, names: Iterable[str] | None = None) -> list[Contract]:
        """Return the inputs that all providers read, or those that are opened for these names.

        Raises:
            CascadeError: As `opening_order`, for names.
        """
        if names is None:
            return [each for provider in self._providers.values() for each in provider.inputs.values()]
        opened = (
            provider for name in names if name not in GIVEN for provider in self.opening_order(name, "a task")
        )
        return [contract for provider in opened for contract in provider.inputs.values()]

    def opening_order(self, name: str, wanted_by: str) -> tuple[Resource, ...]:
        """Return all that has to be open for a name, in the order of opening: itself last.

        Raises:
            ResourceNotFoundError: If one is not registered.
            ResourceCycleError: If resources need each other.
            ResourceScopeError: If one of scope `run` needs one of scope `task`.
            DriverResourceError: If one of workers needs one of the driver.
        """
        known = self._checked.get(name)
        if known is None:
            known = self._checked[name] = tuple(self._visit(name, wanted_by))
        return known

    def atomic_among(self, names: Iterable[str]) -> str:
        """Return the first atomic resource of scope `run` that is open for one of these names; empty for none."""
        return next(
            (atomic for name in names if name not in GIVEN and (atomic := self._atomic_below(name))), ""
        )

    def _atomic_below(self, name: str) -> str:
        known = self._atomic.get(name)
        if known is None:
            try:
                needed = self.opening_order(name, "a task")
            except CascadeError:
                return ""  # raised again where it is opened
            open_for_run = (each.name for each in needed if each.atomic and each.scope is Scope.RUN)
            known = self._atomic[name] = next(open_for_run, "")
        return known

    def _visit(self, name: str, wanted_by: str) -> Iterator[Resource]:
        done: set[str] = set()
        way: list[tuple[str, Resource, Iterator[str]]] = []

        def enter(entered: str, user: str) -> None:
            provider = self.provider(entered, user)
            way.append((entered, provider, iter(provider.requires.values())))

        enter(name, wanted_by)
        while way:
            current, provider, needs = way[-1]
            for need in needs:
                open_names = [each for each, _, _ in way]
                if need in open_names:
                    raise ResourceCycleError(tuple(open_names[open_names.index(need) :]))
                if need not in done and need != INPUTS:
                    enter(need, f"resource '{current}'")
                    needed = way[-1][1]
                    if provider.where is Where.WORKER and needed.where is not Where.WORKER:
                        raise DriverResourceError(f"resource '{current}' of workers", need)
                    if provider.scope is Scope.RUN and needed.scope is Scope.TASK:
                        raise ResourceScopeError(
                            f"resource '{current}' of scope 'run'", need, "give both one scope"
                        )
                    break
            else:
                way.pop()
                done.add(current)
                yield provider if provider.name == current else _renamed(provider, current)


def _renamed(provider: Resource, name: str) -> Resource:
    return replace(provider, name=name)
