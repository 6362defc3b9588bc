"""Handles of values on a cluster, and how such a value is computed again."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from typing import Protocol

from cascade.adapters.executors.handles import Handle
from cascade.graph.nodes import Node


class HandleOwner(Protocol):
    """The executor that gave a handle."""

    async def fetch(self, handle: RemoteHandle) -> object:
        """Bring the value here."""


class Recipe:
    """The call that gave a value, so that it can be made again: the same bytes, and what its handles were made by.

    It holds no value of the cluster: `live` is the handle that is in use, if there is one.
    """

    __slots__ = ("amounts", "live", "node", "remaking", "request", "sources")

    def __init__(
        self, node: Node, request: bytes, amounts: Mapping[str, float], sources: Sequence[Recipe]
    ) -> None:
        self.node = node
        self.request = request
        self.amounts = amounts
        self.sources = sources
        self.live: weakref.ref[RemoteHandle] | None = None
        self.remaking: asyncio.Task[RemoteHandle] | None = None

    def handle(self) -> RemoteHandle | None:
        """Return the handle that is in use."""
        return None if self.live is None else self.live()

    def forget_remaking(self) -> None:
        """Note that the call is not being made again any more."""
        self.remaking = None


class RemoteHandle(Handle):
    """Stands for a value on a cluster, which `reference` names there. With a recipe it can be computed again."""

    __slots__ = ("__weakref__", "_owner", "recipe", "reference")

    def __init__(self, owner: HandleOwner, node: Node, reference: object, recipe: Recipe | None) -> None:
        super().__init__(owner, node.name, place_of(node))
        self._owner = owner
        self.reference = reference
        self.recipe = recipe
        if recipe is not None:
            recipe.live = weakref.ref(self)

    async def fetch(self) -> object:
        return await self._owner.fetch(self)


def place_of(node: Node) -> str:
    """Return where a node stands, for people."""
    return node.id if node.structure_path is None else str(node.structure_path)
