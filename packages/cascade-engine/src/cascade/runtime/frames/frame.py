"""Frames: the trees of one run that are in progress, the loops that they are rounds of, and their calls.

Data only: the parts in `cascade.runtime.running` act on it. A loop stands in the place of a call, or of the run itself;
its round is a frame; each node of the frame that is called is a job, in whose place another loop may stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascade.adapters.call_facts import CallFacts
from cascade.adapters.executors.handles import Handle
from cascade.adapters.state.keys import FrameKey, FrameKind, NodeKey
from cascade.graph.nodes import Node
from cascade.graph.path import StructurePath
from cascade.graph.tree_views import node_id, node_name, node_of
from cascade.runtime.frames.atomic_dependencies import AtomicDependencies
from cascade.runtime.frames.demand import Demand
from cascade.runtime.frames.ready_calls import ReadyCalls
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.programs.program import Program
from cascade.runtime.programs.whereabouts import Whereabouts
from cascade.runtime.resolvers import resolve_arguments
from cascade.runtime.sharing.placement import LOOP_WORKER
from cascade.runtime.sharing.single_flight import Computation
from cascade.runtime.timeline.views import Place
from cascade.spec.lazy_types import LazyResult
from cascade.spec.policies.declared import Policies
from cascade.spec.protocols import StateBackend
from cascade.spec.task import Task


class Loop:
    """The rounds that stand in the place of one call, or of the run itself (`job` is `None`).

    One frame at a time: it is closed and forgotten before the next one opens. `target` is what is to be run next, or is
    run now. `computation` is that of the cache key which the loop's value will fill: that of a run's first target,
    whose frame is gone by then.
    """

    __slots__ = (
        "atomic",
        "computation",
        "frame",
        "job",
        "met",
        "recovered",
        "returned_by",
        "round",
        "target",
    )

    def __init__(self, job: Job | None, target: LazyResult[Any]) -> None:
        self.job = job
        self.target = target
        self.frame: Frame | None = None
        self.computation: Computation[Job] | None = None
        self.recovered = False
        self.atomic = ""  # the atomic resource that its rounds depend on
        self.met: set[Task[Any]] = set()  # the tasks of its rounds, as long as these depend on one
        self.returned_by = ""  # the name of the task whose call has returned the target
        self.round = 0

    @property
    def frame_key(self) -> FrameKey:
        """The key of the current round's facts."""
        key = None if self.job is None else self.job.key
        return FrameKey(key and key.frame, key and key.path, FrameKind.ROUND, self.round)

    def give_up(self) -> None:
        """Leave the cache keys that the loop's value was to fill to others."""
        for computation in (self.computation, None if self.job is None else self.job.computation):
            if computation is not None:
                computation.give_up()


class Frame(Demand):
    """One tree in progress: the current round of its loop. `serial` is its number in the run.

    `made_here` has a `MadeHere` for each node; it is empty where the run makes no call of the frame by itself.
    `whereabouts` tell where values have to be; `None` where no executor gives handles. `sent_ahead` are calls that were
    sent to a worker together with the one whose value they take.
    """

    __slots__ = (
        "_handles",
        "atomic_dependencies",
        "loop",
        "made_here",
        "ready_calls",
        "sent_ahead",
        "serial",
        "spans",
        "whereabouts",
    )

    def __init__(
        self, loop: Loop, serial: int, program: Program, lazies: Lazies, state: StateBackend | None
    ) -> None:
        super().__init__(loop.frame_key, program, lazies, state)
        self.loop = loop
        self.serial = serial
        self.atomic_dependencies: AtomicDependencies | None = None  # if something of it may depend on one
        self.made_here = b""  # which calls the run makes by itself; empty: it makes none so
        self.ready_calls = ReadyCalls()
        self.spans: dict[int, Any] = {}  # the spans of its calls by position, if they have some
        self.whereabouts: Whereabouts | None = None
        self.sent_ahead: set[int] = set()
        self._handles: dict[int, Handle] = {}  # of values that are here too

    def hands_on(self, node: int) -> bool:
        """Tell whether a node is an internal task that may take a handle."""
        return self.whereabouts is not None and node in self.whereabouts.handed_on

    def keep_handle(self, node: int, handle: Handle) -> None:
        """Note what stands for the value of a node where the value is used without being looked at."""
        self._handles[node] = handle

    def value_there(self, node: int) -> object:
        """Return the value of a node, or what stands for it."""
        return self._handles[node] if node in self._handles else self.flow.value(node)

    def let_go(self) -> None:
        """Drop references. The run has ended, and the traceback of an error may keep this frame for longer."""
        self.loop.frame = None
        self.let_go_of_parts()
        self.lazies = []


class Job:
    """One node of a frame that is to be called."""

    __slots__ = (
        "attempt",
        "began",
        "computation",
        "ended",
        "frame",
        "idempotency_key",
        "position",
        "queued",
        "span",
        "started",
        "told",
        "worker",
    )

    def __init__(self, frame: Frame, position: int) -> None:
        self.frame = frame
        self.position = position
        self.started = False
        self.told = False  # whether its end is reported
        self.queued = 0.0
        self.began = 0.0
        self.ended = 0.0
        self.attempt = 1
        self.worker = LOOP_WORKER
        self.computation: Computation[Job] | None = None
        self.idempotency_key: str | None = None  # once it was asked for
        self.span: Any = None  # the context in which the span of the call is current, if it has one

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
    def place(self) -> Place:
        """Where the call stands in its run."""
        return Place(self.frame.serial, self.position, self.item)

    @property
    def item(self) -> int | None:
        """The index of an item of a map."""
        return None

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
        """What texts for people have behind the place: the index, for an item of a map."""
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

    def arguments(
        self, resources: Mapping[str, Any] | None, there: bool = False
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments; without `resources`, injections stay as they are.

        For a call that is made where values stay, handles are `there` in place of values.
        """
        call = self.frame.program.call(self.position)
        value = self.frame.flow.value
        return resolve_arguments(
            self.lazy, call, self.frame.value_there if there else value, resources, value
        )

    def facts(self, run_id: str, trace: tuple[tuple[str, str], ...] = ()) -> CallFacts:
        """Return what the call's own code may know of the attempt that is made now."""
        return CallFacts(run_id, self.name, self.item, self.attempt, self.idempotency_key, trace)

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
