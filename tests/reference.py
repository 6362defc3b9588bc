"""The reference interpreter: what a run of a lazy tree gives, by plain recursion.

Written from section 4 of the design, from the spec wheel's words and from nothing of the engine. Time has no part in
it: a node settles when all that it demanded has settled, so recursion is schedule enough. It runs on after failures,
as `on_failure="finish"` does. Trees must be small: nothing here is iterative.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Any

from lazy_trees import (
    Lazy,
    after,
    amounts,
    argument,
    conditions,
    data,
    inputs,
    items_of,
    name_of,
    node_of,
    routers,
    routes,
)

from cascade.graph import CycleError
from cascade.spec import (
    MISSING,
    CascadeError,
    LazyResult,
    MapError,
    MapLengthError,
    MappedLazyResult,
    ParamLazyResult,
    Router,
    SequenceLazyResult,
)
from cascade.spec.calls.quoting import Quoted
from cascade.spec.internal_tasks import COLLECT


class Reason(StrEnum):
    """Why a node never started."""

    CONDITION_FALSE = "ConditionFalse"
    DATA = "UpstreamSkipped_Data"
    SEQUENCE = "UpstreamSkipped_Sequence"
    CONSTRAINT = "UpstreamSkipped_Constraint"
    CONDITION = "UpstreamSkipped_Condition"
    ROUTE = "UpstreamSkipped_Route"
    PRUNED = "Pruned_UnselectedRoute"
    NOT_NEEDED = "NotNeeded"
    FAILED = "UpstreamFailed"


SUCCEEDED, FAILED = "Succeeded", "Failed"


@dataclass(frozen=True)
class Value:
    """The node has a value, its own or the `otherwise` of a skip."""

    value: Any


@dataclass(frozen=True)
class Skipped:
    """The node has no value: it was skipped, or the tree that it stands for was. `name` is the skipped task's."""

    reason: Reason
    name: str


@dataclass(frozen=True)
class Failed:
    """The node has no value: it failed, or something that it demanded did."""


Outcome = Value | Skipped | Failed


@dataclass(frozen=True)
class Told:
    """What the events say of one node: its status if it started, else the reason why not."""

    name: str
    verdict: str


@dataclass(frozen=True)
class Problem:
    """An error by its type, and by its arguments where it is the user's."""

    kind: str
    args: tuple[Any, ...] = ()

    @classmethod
    def of(cls, error: BaseException) -> Problem:
        """Describe an error."""
        return cls(type(error).__name__, () if isinstance(error, CascadeError) else error.args)


@dataclass
class Report:
    """All that can be said of a run beforehand.

    `told` has a line for each node of each frame, `first` those of the first frame; `retries` the name of the task
    for each repeated attempt.
    """

    outcome: Outcome = field(default_factory=Failed)
    problems: list[Problem] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    first: dict[Lazy, Told] = field(default_factory=dict)
    retries: list[str] = field(default_factory=list)


def interpret(target: Lazy, params: Mapping[str, object] | None = None) -> Report:
    """Run `target` and report it.

    Raises:
        CycleError: If nodes of its first frame wait for each other.
    """
    run = _Run(params or {})
    frame = _Frame(run, target)
    run.report.outcome = frame.finish()
    run.report.first = frame.told
    return run.report


class _Run:
    """What all frames of one run share."""

    def __init__(self, params: Mapping[str, object]) -> None:
        self.params = params
        self.report = Report()

    def tree(self, target: Lazy) -> Outcome:
        """Run a returned tree in its own frame."""
        try:
            frame = _Frame(self, target)
        except CycleError as error:
            return self.failed(error)
        return frame.finish()

    def call(self, lazy: Lazy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Outcome]:
        """Make a call with its retries; what it returns may stand for more."""
        retry = lazy.policies.retry
        left = retry.max_attempts if retry else 0
        while True:
            try:
                value = drive(lazy.task.func, args, kwargs)
            except Exception as error:  # noqa: BLE001 - a task may raise anything
                if not left or retry is None or not isinstance(error, retry.on):
                    return FAILED, self.failed(error)
                left -= 1
                self.report.retries.append(name_of(lazy))
            else:
                made = self._given(value)
                return SUCCEEDED, self.tree(made) if isinstance(made, LazyResult) else Value(made)

    def _given(self, value: Any) -> Any:
        """The lazy result that is to be run in the place of a call, or its value."""
        if isinstance(value, Router):
            return value.as_lazy()
        if isinstance(value, Quoted):
            return value.value
        return COLLECT(value) if is_container(value) and any(map(is_lazy, leaves(value))) else value

    def failed(self, error: Exception | Problem) -> Outcome:
        """Note an error."""
        self.report.problems.append(error if isinstance(error, Problem) else Problem.of(error))
        return Failed()


class _Frame:
    """One lazy tree while it runs. Each lazy result in it is one node; a sequence is none."""

    def __init__(self, run: _Run, target: Lazy) -> None:
        self._run = run
        self._target = node_of(target)
        self._before: dict[
            Lazy, list[Lazy]
        ] = {}  # each node of the tree, with those that must come before it
        self._outcomes: dict[Lazy, Outcome] = {}
        self._unselected: list[Lazy] = []
        self.told: dict[Lazy, Told] = {}
        self._find(target)
        self._check_order(self._target, [], set())

    def finish(self) -> Outcome:
        """Demand the target, then tell of what nobody demanded."""
        outcome = self._demand(self._target)
        for route in self._unselected:
            self._prune(route)
        for node in self._before:
            if node not in self.told:
                self._tell(node, Reason.NOT_NEEDED)
        self._run.report.told.extend(self.told.values())
        return outcome

    def _find(self, lazy: Lazy) -> None:
        if isinstance(lazy, SequenceLazyResult):
            for member in lazy.members:
                self._find(member)
            for first, second in pairwise(lazy.members):
                self._before[second].append(first)
        elif lazy not in self._before:
            self._before[lazy] = after(lazy)
            for child in (*after(lazy), *conditions(lazy), *inputs(lazy), *routes(lazy)):
                self._find(child)

    def _below(self, node: Lazy) -> list[Lazy]:
        """All that a node may ever demand."""
        return [*map(node_of, (*self._before[node], *conditions(node), *inputs(node), *routes(node)))]

    def _check_order(self, node: Lazy, way: list[Lazy], passed: set[Lazy]) -> None:
        if node in way:
            raise CycleError(tuple(map(name_of, way)))
        if node not in passed:
            for below in self._below(node):
                self._check_order(below, [*way, node], passed)
            passed.add(node)

    def _demand(self, lazy: Lazy) -> Outcome:
        node = node_of(lazy)
        if node not in self._outcomes:
            self._outcomes[node] = self._settle(node)
        return self._outcomes[node]

    def _settle(self, node: Lazy) -> Outcome:
        demanded = _Demanded()
        demanded.before = [*map(self._demand, self._before[node])]
        demanded.conditions = [*map(self._demand, conditions(node))]
        missing = False
        if all(isinstance(each, Value) and each.value for each in demanded.conditions):
            demanded.amounts = [*map(self._demand, amounts(node))]
            demanded.data = [*map(self._demand, data(node))]
            for router in routers(node):
                missing |= self._choose(router, demanded)
        reason = demanded.reason()
        if reason is not None:
            self._tell(node, reason)
            if reason is Reason.FAILED:
                return Failed()
            if reason is Reason.CONDITION_FALSE and node.policies.otherwise is not MISSING:
                return Value(node.policies.otherwise)
            return Skipped(reason, name_of(node))
        if missing:
            self._tell(node, FAILED)
            return self._run.failed(Problem("RouteNotFoundError"))
        status, outcome = self._start(node)
        self._tell(node, status)
        return outcome

    def _choose(self, router: Router, demanded: _Demanded) -> bool:
        """Demand the route that the selector chose, if it has a value; tell whether there is no such route."""
        selected = self._demand(router.selector)
        if not isinstance(selected, Value):
            return False
        chosen = [route for key, route in router.routes.items() if key == selected.value]
        demanded.routes.extend(map(self._demand, chosen))
        self._unselected.extend(router.routes.values())  # the chosen one is demanded, and so never pruned
        return not chosen

    def _start(self, node: Lazy) -> tuple[str, Outcome]:
        if isinstance(node, ParamLazyResult):
            return SUCCEEDED, Value(node.contract.read(self._run.params))
        if isinstance(node, MappedLazyResult):
            return self._start_items(node)
        return self._run.call(node, self._filled(node.args), self._filled(node.kwargs))

    def _start_items(self, node: MappedLazyResult[Any]) -> tuple[str, Outcome]:
        try:
            items = items_of({key: self._filled(argument(key, node)) for key in node.mapped})
        except (MapError, MapLengthError) as error:
            return FAILED, self._run.failed(error)
        args, kwargs = self._filled(node.args), self._filled(node.kwargs)
        values, whole = [], True
        for item in items:
            item_args = tuple(item.get(at, each) for at, each in enumerate(args))
            item_kwargs = {name: item.get(name, each) for name, each in kwargs.items()}
            status, outcome = self._run.call(node, item_args, item_kwargs)
            self._run.report.told.append(Told(name_of(node), status))
            match outcome:
                case Value(value):
                    values.append(value)
                case Skipped():
                    self._run.failed(Problem("MapItemSkippedError"))
                    whole = False
                case Failed():
                    whole = False
        return (SUCCEEDED, Value(values)) if whole else (FAILED, Failed())

    def _filled(self, value: Any) -> Any:
        """Put values in the place of lazy results and routers; all of them are there."""
        if isinstance(value, Router):
            selected = self._filled(value.selector)
            return self._filled(next(route for key, route in value.routes.items() if key == selected))
        if isinstance(value, LazyResult):
            outcome = self._outcomes[node_of(value)]
            assert isinstance(outcome, Value)
            return outcome.value
        if isinstance(value, Quoted):
            return value.value
        if type(value) is dict:
            return {key: self._filled(each) for key, each in value.items()}
        if type(value) in (list, tuple):
            return type(value)(map(self._filled, value))
        return value

    def _prune(self, lazy: Lazy) -> None:
        node = node_of(lazy)
        if node not in self.told:
            self._tell(node, Reason.PRUNED)
            for below in self._below(node):
                self._prune(below)

    def _tell(self, node: Lazy, verdict: str) -> None:
        self.told[node] = Told(name_of(node), str(verdict))


class _Demanded:
    """What became of all that a node demanded, by the kind of demand."""

    def __init__(self) -> None:
        self.before: list[Outcome] = []
        self.conditions: list[Outcome] = []
        self.amounts: list[Outcome] = []
        self.data: list[Outcome] = []
        self.routes: list[Outcome] = []

    def reason(self) -> Reason | None:
        """Why the node does not start: the first that holds, in the order of the design."""
        everything = (*self.before, *self.conditions, *self.amounts, *self.data, *self.routes)
        if any(isinstance(each, Failed) for each in everything):
            return Reason.FAILED
        if any_skipped(self.before):
            return Reason.SEQUENCE
        for condition in self.conditions:
            if isinstance(condition, Skipped):
                return Reason.CONDITION
            if isinstance(condition, Value) and not condition.value:
                return Reason.CONDITION_FALSE
        kinds = {Reason.CONSTRAINT: self.amounts, Reason.DATA: self.data, Reason.ROUTE: self.routes}
        return next((reason for reason, outcomes in kinds.items() if any_skipped(outcomes)), None)


def is_container(value: Any) -> bool:
    return type(value) in (list, tuple, dict)


def is_lazy(value: Any) -> bool:
    return isinstance(value, (LazyResult, Router, Quoted))


def leaves(value: Any) -> list[Any]:
    """What stands in a container, at any depth."""
    if not is_container(value):
        return [value]
    return [leaf for each in (value.values() if type(value) is dict else value) for leaf in leaves(each)]


def any_skipped(outcomes: list[Outcome]) -> bool:
    return any(isinstance(each, Skipped) for each in outcomes)


def drive(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function; a coroutine is stepped to its end without an event loop, so it may only `asyncio.sleep(0)`."""
    made = func(*args, **kwargs)
    if not inspect.iscoroutine(made):
        return made
    try:
        while True:
            made.send(None)
    except StopIteration as stop:
        return stop.value
