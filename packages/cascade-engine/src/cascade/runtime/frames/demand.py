"""Demand: which nodes of one tree are ready, asked for from its target. Nothing here recurses, and nothing is called.

A node is demanded with what it is ordered after and its conditions first, its inputs next, and of a router only the
route that the selector chooses. When all that it demanded has settled, it is ready or it is skipped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import IntEnum

from cascade.adapters.state.keys import FrameKey, NodeKey
from cascade.graph.tree import NO_CALL, Choice
from cascade.runtime.events import SkipReason
from cascade.runtime.flow import FlowManager
from cascade.runtime.frames.holding import Holding, InputHolding
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.programs.program import Program
from cascade.spec.calls.missing import MISSING
from cascade.spec.protocols import StateBackend


class Stage(IntEnum):
    """How far a node of a tree has come."""

    IDLE = 0
    WAITING = 1
    READY = 2
    STARTED = 3
    SETTLED = 4


_FIRST_STAGES = bytes([Stage.READY, Stage.WAITING]).ljust(256)
"""Of nodes that are demanded at once: that of one without inputs, and of one with some."""


class Role(IntEnum):
    """What a node that is waited for means to the one that waits; a router's selector has its `Choice` instead."""

    PLAIN = 0
    CONDITION = 1


class Demand:
    """The nodes of one tree, what each still waits for, and who waits for it. Driven by demand from the target.

    `ready` and `skipped` hold the nodes that became so, until the run takes them. `routed` is called at each choice
    of a router.
    """

    __slots__ = (
        "_broken",
        "_conditions_left",
        "_demands_all",
        "_dependents",
        "_holding",
        "_missing",
        "_stages",
        "_waiters",
        "_work",
        "flow",
        "key",
        "lazies",
        "program",
        "ready",
        "routed",
        "skipped",
    )

    def __init__(self, key: FrameKey, program: Program, lazies: Lazies, state: StateBackend | None) -> None:
        self.key = key
        self.program = program
        self.lazies = lazies
        self.flow = FlowManager(program, state, key)
        self.flow.has_gaps = False  # each one is noted here
        self.ready: list[int] = []
        self.skipped: list[tuple[int, SkipReason]] = []
        self.routed: Callable[[int, Choice, int | None], None] | None = None
        self._demands_all = program.demands_all
        self._stages = bytearray(len(program))
        self._missing: list[int] = []
        self._dependents: Sequence[Sequence[int]] | None = None  # if all nodes were demanded at once
        self._waiters: dict[int, list[tuple[int, Role | Choice]]] = {}
        self._conditions_left: dict[int, int] = {}
        self._holding: Holding | InputHolding | None = None
        self._broken: dict[int, Exception] = {}
        # Nodes to demand, and settled nodes (as their complement, below 0) to tell their dependents of.
        self._work: deque[int] = deque()

    def let_go_of_parts(self) -> None:
        """Let go of what knows this in turn; nothing of it is under way."""
        self.routed = None
        self._broken.clear()
        self.flow.values.clear()

    def free_values(self) -> None:
        """Let go of values that nothing needs any more, from the beginning on."""
        flow = self.flow
        if self._demands_all:
            self._holding = InputHolding(self.program, flow.values)
        else:
            self._holding = Holding(self.program, self._stages, flow.let_go)

    def node_key(self, node: int) -> NodeKey:
        """Return the key of a node's facts."""
        return NodeKey(self.key, self.program.path(node))

    @property
    def finished(self) -> bool:
        """Whether the target has settled; nothing else is under way then."""
        return self._stages[self.program.target] == Stage.SETTLED

    def begin(
        self, settled: Collection[int], under_way: Collection[int] = (), is_whole: bool = False
    ) -> None:
        """Demand the target; some nodes are settled already, their facts are there, and some are under way.

        `is_whole` tells that whatever these have needed is settled too.
        """
        stages = self._stages
        for node in settled:
            stages[node] = Stage.SETTLED
        for node in under_way:
            stages[node] = Stage.READY
        if not is_whole:
            self.flow.has_gaps = not all(map(self.flow.has_value, settled))
        if self._demands_all and (is_whole or not settled):
            self._begin_with_all(settled)
            return
        self._missing = [0] * len(self.program)
        if self._holding is not None:
            for node in settled:
                self._holding.begin_with(node)
        self._work.append(self.program.target)
        self._pump()

    def _begin_with_all(self, settled: Collection[int]) -> None:
        """Demand all nodes of a tree without conditions and routers: the target needs each of them."""
        # Once per node of every tree that gets a frame: watched by observatory/benchmarks/bench_scheduler.py.
        stages = self._stages
        missing = self._missing = self.program.prerequisite_counts.copy()
        dependents = self._dependents = self.program.dependents
        if not any(stages):
            stages[:] = bytes(map(bool, missing)).translate(_FIRST_STAGES)
            self.ready = self.program.without_prerequisites.copy()
            return
        for node in settled:
            missing[node] = -1  # told
            for each in dependents[node]:
                missing[each] -= 1
        if self._holding is not None:
            for node in settled:
                self._holding.begin_with(node)
        ready, waiting, idle = Stage.READY, Stage.WAITING, Stage.IDLE
        for node, left in enumerate(missing):
            if stages[node] == idle:
                stages[node] = waiting if left else ready
                if not left:
                    self.ready.append(node)

    def is_ready(self, node: int) -> bool:
        """Tell whether a node may start, and has not."""
        return self._stages[node] == Stage.READY

    def note_started(self, node: int) -> None:
        """Note that a node's call has begun."""
        self._stages[node] = Stage.STARTED

    def note_all_started(self, nodes: Iterable[int]) -> None:
        """Note that these calls have begun."""
        for node in nodes:
            self._stages[node] = Stage.STARTED

    def settle(self, node: int) -> None:
        """Note that the facts of a node are recorded, or that it has failed and has none."""
        self._note_settled(node)
        self._pump()

    def settle_made(self, node: int) -> None:
        """Note that a node has its value; as `settle`, where nothing else is being told."""
        # Once per plain call of every frame: watched by observatory/benchmarks/bench_scheduler.py.
        self._stages[node] = Stage.SETTLED
        if self._holding is not None:
            self._holding.settled(node)
        self._tell_dependents(node)
        if self._work:
            self._pump()

    def settle_all(self, nodes: Iterable[int]) -> None:
        """Note that the facts of these nodes are recorded."""
        for node in nodes:
            self._note_settled(node)
        self._pump()

    def note_made(self, node: int) -> None:
        """Note that a call needs its inputs no more: another tree has come in its place."""
        if self._holding is not None:
            self._holding.made(node)

    def _note_settled(self, node: int) -> None:
        self._stages[node] = Stage.SETTLED
        self._work.append(~node)
        if not self.flow.has_value(node):
            self.flow.has_gaps = True
        if self._holding is not None:
            self._holding.settled(node)

    @property
    def has_broken(self) -> bool:
        """Whether `broken` has an error for some node."""
        return bool(self._broken)

    def broken(self, node: int) -> Exception | None:
        """Return the error that the truth of a node's conditions raised, or `None`."""
        return self._broken.get(node)

    def left_out(self) -> Iterator[tuple[int, SkipReason]]:
        """Give the nodes that were never demanded, and why."""
        return self.flow.left_out(lambda node: self._stages[node] != Stage.IDLE)

    def never_started(self) -> Iterator[int]:
        """Give the nodes that have neither started nor been skipped, in the plan's order."""
        return (node for node in self.program.order if self._stages[node] < Stage.STARTED)

    def _pump(self) -> None:
        work = self._work
        while work:
            node = work.popleft()
            if node < 0:
                self._tell_dependents(~node)
            elif self._stages[node] == Stage.IDLE:
                self._demand(node)

    def _demand(self, node: int) -> None:
        """Demand what comes first for a node: what it is ordered after, its conditions, or else its inputs."""
        if self._waits_for_nothing(node):
            self._stages[node] = Stage.READY
            self.ready.append(node)
            return
        self._stages[node] = Stage.WAITING
        if self._demands_all:
            for each in self.program.prerequisites[node]:
                self._wait(node, each, Role.PLAIN)
            if not self._missing[node]:
                self._decide(node)
            return
        for each in self.program.predecessors[node]:
            self._wait(node, each, Role.PLAIN)
        conditions = self.program.calls[node].conditions
        if conditions:
            self._conditions_left[node] = sum(self._wait(node, each, Role.CONDITION) for each in conditions)
            if not self._conditions_left[node]:
                self._judge_conditions(node)
        else:
            self._demand_inputs(node)
        if not self._missing[node]:
            self._decide(node)

    def _waits_for_nothing(self, node: int) -> bool:
        if self._demands_all:
            return not self.program.prerequisites[node]
        return self.program.calls[node] is NO_CALL and not self.program.sequenced

    def _demand_inputs(self, node: int) -> None:
        for each in self.program.inputs[node]:
            self._wait(node, each, Role.PLAIN)
        for choice in self.program.choices.get(node, ()):
            if not self._wait(node, choice.selector, choice):
                self._demand_route(node, choice)

    def _demand_route(self, node: int, choice: Choice) -> None:
        route = self.flow.chosen_route(choice)
        if self._holding is not None:
            self._holding.chose(node, choice, route)
        if self.routed is not None:
            self.routed(node, choice, route)
        if route is not None:
            self._wait(node, route, Role.PLAIN)

    def _wait(self, node: int, on: int, role: Role | Choice) -> bool:
        """Let a node wait for another one, which is demanded; return whether there is anything to wait for."""
        stage = self._stages[on]
        if stage == Stage.SETTLED:
            return False
        self._missing[node] += 1
        self._waiters.setdefault(on, []).append((node, role))
        if stage == Stage.IDLE:
            self._work.append(on)
        return True

    def _tell_dependents(self, settled: int) -> None:
        if self._dependents is not None:
            missing = self._missing
            if missing[settled]:
                return  # they were told
            missing[settled] = -1
            for node in self._dependents[settled]:
                missing[node] -= 1
                if not missing[node]:
                    self._decide(node)
            return
        for node, role in self._waiters.pop(settled, ()):
            if role is Role.CONDITION:
                self._conditions_left[node] -= 1
                if not self._conditions_left[node]:
                    self._judge_conditions(node)
            elif isinstance(role, Choice):
                self._demand_route(node, role)
            self._missing[node] -= 1
            if not self._missing[node]:
                self._decide(node)

    def _judge_conditions(self, node: int) -> None:
        try:
            hold = self.flow.conditions_hold(node)
        except Exception as error:  # noqa: BLE001 - the truth of a value is the user's own code
            self._broken[node] = error
        else:
            if hold:
                self._demand_inputs(node)

    def _decide(self, node: int) -> None:
        """All that a node demanded has settled: it is ready, or skipped and settled itself."""
        reason = None if node in self._broken else self.flow.verdict(node)
        if reason is None:
            if self._stages[node] != Stage.STARTED:  # one that was sent ahead may have been made already
                self._stages[node] = Stage.READY
                self.ready.append(node)
            return
        self.flow.skip(node, reason)
        if reason is SkipReason.CONDITION_FALSE:
            otherwise = self.lazies[node].policies.otherwise
            if otherwise is not MISSING:
                self.flow.put(node, otherwise)
        self.skipped.append((node, reason))
        self._note_settled(node)
