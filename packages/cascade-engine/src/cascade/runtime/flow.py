"""Flow decides skips: from the facts of a run alone, which nodes are ready, which are skipped and why.

So a run that goes on after an interruption decides as it would have done without one, and an explanation, which runs
nothing, as a run would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cascade.adapters.state.keys import FrameKey, NodeKey
from cascade.graph.tree import Choice
from cascade.runtime.events import SkipReason
from cascade.runtime.programs.program import Program
from cascade.runtime.resolvers import choose_route
from cascade.spec.calls.missing import MISSING
from cascade.spec.durable import DurableStateBackend, Note
from cascade.spec.protocols import StateBackend


class FlowManager:
    """Decides what becomes of the nodes of one frame, by its facts.

    Nodes are told by their position in the program. A node is settled when its call has ended or it was skipped; one
    that is settled and has neither a value nor a skip has failed. A falsy value is a value.

    The facts are in a state backend. Where nobody looks into that, there is none, and they are here alone. `values` are
    those that are here, by position. `has_gaps` tells that some node may have settled without a value.
    """

    # Decisions are remembered: the value that one was made by may have been freed since.
    __slots__ = ("_frame", "_program", "_routes", "_skips", "_state", "_truths", "has_gaps", "values")

    def __init__(self, program: Program, state: StateBackend | None, frame: FrameKey) -> None:
        self._program = program
        self._state = state
        self._frame = frame
        self._skips: dict[int, str] = {}
        self._truths: dict[int, bool] = {}
        self._routes: dict[int, int | None] = {}  # by the identity of the choice, which the program holds
        self.values: list[Any] = [MISSING] * len(program)
        self.has_gaps = True

    def _key(self, node: int) -> NodeKey:
        return NodeKey(self._frame, self._program.path(node))

    def value(self, node: int) -> object:
        """Return the value of a node.

        Raises:
            KeyError: If it has none.
        """
        value = self.values[node]
        if value is not MISSING:
            return value
        if self._state is None:
            raise KeyError(node)
        return self._state.get_result(self._key(node))

    __getitem__ = value

    def has_value(self, node: int) -> bool:
        """Tell whether a node has a value. One that was skipped has, if `otherwise` takes the place of its value."""
        if self.values[node] is not MISSING:
            return True
        return self._state is not None and self._state.has_result(self._key(node))

    def put(self, node: int, value: object) -> None:
        """Note the value of a node."""
        if self._state is None:
            self.values[node] = value
        else:
            self._state.put_result(self._key(node), value)

    def let_go(self, node: int) -> None:
        """Drop a value that nobody will ask for; `has_value` is still true."""
        if self.values[node] is not MISSING:
            self.values[node] = None

    def skip(self, node: int, reason: SkipReason) -> None:
        """Note why a node is skipped."""
        if self._state is None:
            self._skips[node] = reason
        else:
            self._state.mark_skipped(self._key(node), reason)

    def skip_reason(self, node: int) -> str | None:
        """Return why a node was skipped; `None` if it was not."""
        if self._state is None:
            return self._skips.get(node)
        return self._state.get_skip_reason(self._key(node))

    @property
    def readable(self) -> Any:
        """Where the values are read from by position: the column, if all of them are there."""
        return self.values if self._state is None else self

    def conditions_hold(self, node: int) -> bool:
        """Tell whether all conditions of a node have come true; one without a value has not."""
        for condition in self._program.calls[node].conditions:
            known = self._truths.get(condition)  # one of which this is known has a value
            if known is None:
                known = self.has_value(condition) and self._is_true(condition)
            if not known:
                return False
        return True

    def _is_true(self, condition: int) -> bool:
        known = self._truths.get(condition)
        if known is None:
            known = self._truths[condition] = bool(self.value(condition))
        return known

    def chosen_route(self, choice: Choice) -> int | None:
        """Return the route that a router's selector has chosen; `None` if it has chosen none of them."""
        if not self.has_value(choice.selector):
            return None
        if id(choice) not in self._routes:
            self._routes[id(choice)] = choose_route(choice, self.value(choice.selector))
        return self._routes[id(choice)]

    def verdict(self, node: int) -> SkipReason | None:
        """Return why a node is skipped, now that all it demanded has settled; `None` if it is ready.

        Of several reasons the first counts: a failure, then sequence, condition, constraint, data, route.
        """
        if not self.has_gaps:  # so there is no reason but a condition
            hold = self._program.demands_all or self.conditions_hold(node)
            return None if hold else SkipReason.CONDITION_FALSE
        call = self._program.calls[node]
        gates = self._program.predecessors[node]
        demands = [*gates, *call.conditions]
        runs_on = self.conditions_hold(node)
        if runs_on:
            demands += self._program.inputs[node]
            demands += self.routes(node)
        if any(self._failed(each) for each in demands):
            return SkipReason.UPSTREAM_FAILED
        if not all(map(self.has_value, gates)):
            return SkipReason.UPSTREAM_SEQUENCE
        if not runs_on:
            return self._condition_verdict(node)
        if not all(self.has_value(amount) for _, amount in call.amounts):
            return SkipReason.UPSTREAM_CONSTRAINT
        if not all(map(self.has_value, self._program.inputs[node])):
            return SkipReason.UPSTREAM_DATA
        if not all(map(self.has_value, self.routes(node))):
            return SkipReason.UPSTREAM_ROUTE
        return None

    def missing(self, node: int, reason: SkipReason) -> int | None:
        """Return the first node whose missing value is the reason of a skip; `None` if the node's own condition is."""
        call = self._program.calls[node]
        candidates: dict[SkipReason, list[int] | tuple[int, ...]] = {
            SkipReason.UPSTREAM_SEQUENCE: self._program.predecessors[node],
            SkipReason.UPSTREAM_CONDITION: call.conditions,
            SkipReason.UPSTREAM_CONSTRAINT: [amount for _, amount in call.amounts],
            SkipReason.UPSTREAM_DATA: list(self._program.inputs[node]),
            SkipReason.UPSTREAM_ROUTE: self.routes(node) if reason is SkipReason.UPSTREAM_ROUTE else (),
        }
        return next((each for each in candidates.get(reason, ()) if not self.has_value(each)), None)

    def left_out(self, demanded: Callable[[int], bool]) -> Iterator[tuple[int, SkipReason]]:
        """Give each node that was never demanded, in the plan's order, and why: pruned, or not needed."""
        left_out = [node for node in self._program.order if not demanded(node)]
        pruned = self._pruned(demanded) if left_out else ()
        for node in left_out:
            yield node, SkipReason.PRUNED if node in pruned else SkipReason.NOT_NEEDED

    def _pruned(self, demanded: Callable[[int], bool]) -> set[int]:
        """Return what was never demanded and belongs to a branch that a selector did not choose."""
        pending: list[int] = []
        for node, call in enumerate(self._program.calls):
            choices = call.choices()
            if choices and (demanded(node) or self._has_routed(node)):
                for choice in choices:
                    if self.has_value(choice.selector) and self.conditions_hold(node):
                        pending.extend(choice.routes)
        pruned: set[int] = set()
        while pending:
            node = pending.pop()
            if node not in pruned and not demanded(node):
                pruned.add(node)
                pending.extend(self._waits_for(node))
        return pruned

    def _has_routed(self, node: int) -> bool:
        """Tell whether the routers of a node have chosen, in this run or before it was interrupted.

        Nothing else is recorded of a router that stands by itself, and a run that goes on does not demand it again.
        """
        if not isinstance(self._state, DurableStateBackend):
            return False
        return self._state.get_note(self._key(node), Note.ROUTES) is not None

    def _waits_for(self, node: int) -> Iterator[int]:
        call = self._program.calls[node]
        yield from self._program.predecessors[node]
        yield from call.conditions
        yield from self._program.inputs[node]
        for choice in call.choices():
            yield from choice.routes

    def routes(self, node: int) -> list[int]:
        """Return the routes that the routers of a node have chosen, in the order of the routers."""
        chosen = map(self.chosen_route, self._program.calls[node].choices())
        return [route for route in chosen if route is not None]

    def _failed(self, node: int) -> bool:
        if self.has_value(node):
            return False
        return self.skip_reason(node) in (None, SkipReason.UPSTREAM_FAILED)

    def _condition_verdict(self, node: int) -> SkipReason:
        for condition in self._program.calls[node].conditions:
            if not self.has_value(condition):
                return SkipReason.UPSTREAM_CONDITION
            if not self._is_true(condition):
                break
        return SkipReason.CONDITION_FALSE
