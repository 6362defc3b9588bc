"""Jobs: the calls that a run makes, each a node of a frame or an item of a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade.adapters.state.keys import FrameKey, FrameKind, NodeKey
from cascade.graph.nodes import Node
from cascade.graph.path import ROOT, StructurePath
from cascade.graph.tree_views import node_id, node_name, node_of
from cascade.runtime.frames.frame import Frame
from cascade.runtime.resolvers import resolve_arguments
from cascade.spec.lazy_types import LazyResult
from cascade.spec.policies.declared import Policies
from cascade.spec.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cascade.runtime.frames.map_runs import MapRun
    from cascade.runtime.sharing.single_flight import Computation


class Job:
    """One node of a frame that is to be called."""

    __slots__ = ("began", "computation", "ended", "frame", "position", "started", "told")

    def __init__(self, frame: Frame, position: int) -> None:
        self.frame = frame
        self.position = position
        self.started = False
        self.told = False  # how it has ended
        self.began = 0.0
        self.ended = 0.0
        self.computation: Computation[Job] | None = None

    @property
    def lazy(self) -> LazyResult[Any]:
        """The lazy result that records the call."""
        return self.frame.lazies[self.position]

    @property
    def task(self) -> Task[Any]:
        """The task that is called."""
        return self.lazy.task

    @property
    def policies(self) -> Policies:
        """How the call is to be made."""
        return self.lazy.policies

    @property
    def node(self) -> Node:
        """The node, as an executor sees it."""
        return node_of(self.lazy, self.position, self.path)

    @property
    def path(self) -> StructurePath:
        """The node's place in its tree."""
        return self.frame.program.paths[self.position]

    @property
    def task_id(self) -> str:
        """The id for events: that of the node, with the frame's number behind it where that is not the first."""
        serial = self.frame.serial
        return f"{node_id(self.position)}@{serial}" if serial else node_id(self.position)

    @property
    def name(self) -> str:
        """The name for events and errors."""
        return node_name(self.lazy)

    @property
    def key(self) -> NodeKey:
        """The key of the call's facts."""
        return self.frame.node_key(self.position)

    @property
    def suffix(self) -> str:
        """What follows the place in texts for people: the item, of a map."""
        return ""

    @property
    def where(self) -> str:
        """The place for error notes."""
        return str(self.path)

    @property
    def is_target(self) -> bool:
        """Whether this is the call that its frame stands for."""
        return self.position == self.frame.program.target

    @property
    def resources(self) -> list[str]:
        """The names of the resources that the call takes."""
        return self.frame.program.resources[self.position]

    def arguments(self, resources: Mapping[str, Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments; without `resources`, injections stay as they are."""
        call = self.frame.program.calls[self.position]
        return resolve_arguments(self.lazy, call, self.frame.flow.value, resources)

    def note_started(self) -> None:
        """Note that the call has begun."""
        self.started = True
        self.frame.note_started(self.position)

    @property
    def outer(self) -> Job | None:
        """The call in whose place this one's tree stands; `None` in the run's own tree."""
        return self.frame.loop.job

    def is_inside(self, owner: Job) -> bool:
        """Tell whether this call is a part of what stands in the place of `owner`, or is that call itself."""
        current: Job | None = self
        while current is not None:
            computation = current.frame.loop.computation
            if current is owner or (computation is not None and computation.owner is owner):
                return True
            current = current.outer
        return False


class ItemJob(Job):
    """One item of a map."""

    __slots__ = ("atomic", "index", "mapping")

    def __init__(self, mapping: MapRun, index: int) -> None:
        super().__init__(mapping.job.frame, mapping.job.position)
        self.mapping = mapping
        self.index = index
        self.atomic = ""  # the atomic resource that what stands in its place depends on

    @property
    def task_id(self) -> str:
        """The id of the map with the item's index."""
        return f"{super().task_id}[{self.index}]"

    @property
    def outer(self) -> Job | None:
        """The map that this is an item of."""
        return self.mapping.job

    @property
    def key(self) -> NodeKey:
        """An item is the root of a frame of its own."""
        return NodeKey(self.frame_key, ROOT)

    @property
    def frame_key(self) -> FrameKey:
        """The frame that the item's facts lie in."""
        return FrameKey(self.frame.key, self.path, FrameKind.ITEM, self.index)

    @property
    def where(self) -> str:
        """The place for error notes."""
        return f"{self.path}{self.suffix}"

    @property
    def suffix(self) -> str:
        """The index of the item."""
        return f", item {self.index}"

    @property
    def is_target(self) -> bool:
        """An item stands for its map only with all the others."""
        return False

    def arguments(self, resources: Mapping[str, Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the item's arguments."""
        return self.mapping.arguments(self.index, resources)

    def note_started(self) -> None:
        """Note that the item's call has begun; the map's own node has before."""
        self.started = True
