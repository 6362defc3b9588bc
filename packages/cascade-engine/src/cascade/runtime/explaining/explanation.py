"""Explanations: what would become of each node of one tree, with the cache as it is; no task is called."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from cascade.adapters.state.keys import FrameKey, FrameKind, NodeKey
from cascade.adapters.state.memory_state import InMemoryStateBackend
from cascade.graph.model import Graph
from cascade.graph.tree import Choice
from cascade.graph.tree_views import node_id
from cascade.runtime.events import SkipReason
from cascade.runtime.explaining.cache_inspector import CacheInspector
from cascade.runtime.explaining.verdicts import Answer, Before, ItemCount, Judgement, Verdict, failure
from cascade.runtime.flow import FlowManager
from cascade.runtime.programs.items import Items
from cascade.runtime.programs.plain_values import given
from cascade.runtime.programs.program import Program
from cascade.runtime.resolvers import resolve_arguments
from cascade.spec.caching.file_exists import FileExists
from cascade.spec.calls.missing import MISSING
from cascade.spec.internal_tasks import PASS_THROUGH
from cascade.spec.lazy_types import Lazy, MappedLazyResult, ParamLazyResult
from cascade.spec.protocols import CachedCall, Hit

NAMED = 8
"""The number of tasks that a judgement names as having to run first."""


class _Unknown:
    """Stands for a value that a task has to give first. It is true, so that what depends on it is looked at."""


_UNKNOWN = _Unknown()


class Explanation:
    """Judges the nodes of one tree, in the order in which a run would demand them.

    Known values go into a state as those of a run do, so that `flow` decides skips by the rules of a run. An unknown
    value counts as a value there: what is skipped nevertheless is skipped whatever the value turns out to be.
    """

    def __init__(
        self, graph: Graph, program: Program, inputs: Mapping[str, object], inspector: CacheInspector
    ) -> None:
        assert graph.tree is not None
        self._graph = graph
        self._program = program
        self._lazies = graph.tree.lazies
        self._inputs = inputs
        self._inspector = inspector
        self._state = InMemoryStateBackend()
        self._frame = FrameKey(None, None, FrameKind.ROUND, 0)
        self._flow = FlowManager(program, self._state, self._frame)
        self._answers: dict[int, Answer] = {}
        self._counts: dict[int, ItemCount] = {}
        self._first: dict[int, tuple[int, ...]] = {}  # by node without a value: what has to run first
        self._broken: set[int] = set()  # nodes that fail before it is known what they demand

    async def judgements(self) -> list[Judgement]:
        """Return a judgement of each node, in the plan's order. Called once.

        Raises:
            StoreError: If the cache can't be read.
        """
        await self._judge_all()
        deciders = self._deciders()
        left_out = dict(self._flow.left_out(self._answers.__contains__))
        found = []
        for node in self._program.order:
            answer = self._answers.get(node) or Answer(Verdict.SKIPPED, reason=left_out[node])
            until = self._first[node] if answer.verdict is Verdict.UNKNOWN else deciders.get(node, ())
            if answer.verdict is Verdict.NOT_CACHED:
                until = self._merged([until, *self._first_of(self._program.calls[node].conditions)])
            view = self._graph.nodes[node]
            path = self._program.paths[node]
            names = tuple(Before(node_id(each), self._graph.nodes[each].name) for each in until)
            found.append(Judgement(view.id, view.name, path, answer, names, self._counts.get(node)))
        return found

    async def _judge_all(self) -> None:
        pending = [self._program.target]
        while pending:
            node = pending[-1]
            if node in self._answers:
                pending.pop()
                continue
            try:
                wanted = self._wanted(node)
            except Exception as error:  # noqa: BLE001 - the truth and the hash of a value are the user's own code
                self._answers[node] = failure(error)
                self._broken.add(node)
                continue
            missing = [each for each in wanted if each not in self._answers]
            if missing:
                pending.extend(reversed(missing))
            else:
                self._answers[node] = await self._settle(node)

    def _wanted(self, node: int) -> list[int]:
        """Return what a node demands, as far as that is known by now."""
        gates = self._gates(node)
        if any(each not in self._answers for each in gates) or not self._flow.conditions_hold(node):
            return gates
        inputs = self._program.inputs[node]
        if any(each not in self._answers for each in inputs):
            return [*gates, *inputs]
        choices = self._program.calls[node].choices()
        return [*gates, *inputs, *(route for choice in choices for route in self._routes(choice))]

    def _gates(self, node: int) -> list[int]:
        return [*self._program.predecessors[node], *self._program.calls[node].conditions]

    def _routes(self, choice: Choice) -> Sequence[int]:
        """Return the route that a router's selector has chosen, if any; all routes, where it is unknown."""
        if self._is_unknown(choice.selector):
            return choice.routes
        route = self._flow.chosen_route(choice)
        return () if route is None else (route,)

    async def _settle(self, node: int) -> Answer:
        """Judge a node whose demands are all judged, and put its value or its skip into the state."""
        lazy, key = self._lazies[node], NodeKey(self._frame, self._program.paths[node])
        reason = self._flow.verdict(node)
        gates = self._first_of(self._gates(node))
        if reason is not None and (not gates or reason is SkipReason.UPSTREAM_SEQUENCE):
            self._state.mark_skipped(key, reason)
            if reason is SkipReason.CONDITION_FALSE and lazy.policies.otherwise is not MISSING:
                self._state.put_result(key, lazy.policies.otherwise)
            return Answer(Verdict.SKIPPED, reason=reason)
        if reason is not None:
            # What it is skipped for, and so whether `otherwise` takes its place, is open.
            self._state.put_result(key, _UNKNOWN)
            self._first[node] = self._merged(gates)
            return Answer(Verdict.UNKNOWN)
        inputs = gates or self._first_of(self._inputs_of(node))
        answer, hit = await self._answer(node, lazy, bool(inputs), bool(gates))
        if hit is not None:
            self._state.put_result(key, hit.value)
        elif answer.verdict is not Verdict.FAILS:
            self._state.put_result(key, _UNKNOWN)
            self._first[node] = self._merged(inputs) if answer.verdict is Verdict.UNKNOWN else (node,)
        return answer

    def _inputs_of(self, node: int) -> list[int]:
        """Return the nodes whose values a node takes; in place of a route that is not chosen yet, its selector."""
        found = list(self._program.inputs[node])
        for choice in self._program.calls[node].choices():
            if not self._is_unknown(choice.selector):
                found.extend(self._routes(choice))
        return found

    async def _answer(
        self, node: int, lazy: Lazy, is_blind: bool, is_gated: bool
    ) -> tuple[Answer, Hit | None]:
        """Return the answer for a node that is not skipped, and its value if that is known."""
        policy = lazy.policies.cache
        is_map = isinstance(lazy, MappedLazyResult)
        gathers = lazy.task in PASS_THROUGH and not is_map
        if policy is None and not gathers and not isinstance(lazy, ParamLazyResult):
            return Answer(Verdict.NOT_CACHED), None
        if is_blind:
            if isinstance(policy, FileExists) and not is_gated and not is_map:
                # It looks at no argument.
                answer, hit = await self._inspector.call(
                    policy, CachedCall(lazy.task, lazy.args, lazy.kwargs)
                )
                if hit is not None:
                    return answer, hit
            return Answer(Verdict.UNKNOWN), None
        if isinstance(lazy, ParamLazyResult):
            return Answer(Verdict.INPUT), Hit(lazy.contract.read(self._inputs))
        try:
            args, kwargs = resolve_arguments(lazy, self._program.calls[node], self._flow.value, None)
            if gathers:
                return Answer(Verdict.GATHERED), Hit(given(lazy.task.func(*args, **kwargs)))
            items = Items(lazy, args, kwargs) if isinstance(lazy, MappedLazyResult) else None
        except Exception as error:  # noqa: BLE001 - hashing and iterating over values is the user's own code
            return failure(error), None
        assert policy is not None
        if items is None:
            return await self._inspector.call(policy, CachedCall(lazy.task, args, kwargs))
        answer, self._counts[node], hit = await self._inspector.items(policy, lazy.task, items)
        return answer, hit

    def _deciders(self) -> dict[int, tuple[int, ...]]:
        """Return, for each node that may turn out not to be wanted, what has to run before that is known."""
        wanted: dict[int, tuple[int, ...]] = {self._program.target: ()}
        for node in reversed(self._program.order):
            if node not in wanted or node in self._broken:
                continue
            mine = wanted[node]
            conditions = self._program.calls[node].conditions
            doubt = self._merged([mine, *self._first_of(conditions)])
            demands = [(each, mine) for each in self._gates(node)]
            if self._flow.conditions_hold(node):
                demands += [(each, doubt) for each in self._program.inputs[node]]
                for choice in self._program.calls[node].choices():
                    more = self._merged([doubt, *self._first_of([choice.selector])])
                    demands += [(route, more) for route in self._routes(choice)]
            for each, because in demands:
                known = wanted.get(each)
                wanted[each] = because if known is None or not because else known
        return wanted

    def _first_of(self, nodes: Iterable[int]) -> list[tuple[int, ...]]:
        return [self._first[each] for each in nodes if self._is_unknown(each)]

    def _is_unknown(self, node: int) -> bool:
        return node in self._first

    def _merged(self, groups: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        """Return the nodes of all groups, in the plan's order; of many, the first ones."""
        distinct = {group: None for group in groups if group}
        if len(distinct) < 2:
            return next(iter(distinct), ())
        rank = self._program.rank
        return tuple(heapq.nsmallest(NAMED, {each for group in distinct for each in group}, rank.__getitem__))
