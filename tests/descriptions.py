"""Workflows as plain data, the lazy trees that are built from them, and the tasks in these.

A description says all: built twice it gives two trees that do the same. References go to earlier nodes, so only
sequences can make a cycle. What a task does is an `Act`, its first argument; calls are noted in the `World` at hand.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cache
from itertools import product
from pathlib import Path
from threading import Lock
from types import FunctionType
from typing import Any

import cascade as cs
from cascade.adapters.call_facts import CallFacts, NoCurrentCallError
from cascade.adapters.codec import DataCodec, DataType
from cascade.spec import MISSING, LazyResult, Router, Task

Lazy = LazyResult[Any]
CAPACITY = 4
"""How much "gpu" an engine must have, so that each amount of a workflow can be met."""
PARAMS = {"p": 3}
"""What to hand in as parameters; the others have their defaults."""

_CONTAINERS = {each.__name__: each for each in (list, tuple, dict)}
_TYPE = DataType(type, "container", lambda made: made.__name__, _CONTAINERS.__getitem__)
CODEC = DataCodec([_TYPE])
"""A codec that knows acts, too: what a container is made of is said by its type."""


class TravellingCodec(DataCodec):
    """The same, for workers: it is pickled by its name."""

    def __reduce__(self) -> str:
        return "TRAVELLING"


TRAVELLING = TravellingCodec([_TYPE])


class BoomError(Exception):
    """What failing tasks raise; the argument is the tag of the call."""


class StoppedError(BaseException):
    """What a call raises that is to stop the run."""


@dataclass
class World:
    """What one run does to the outside: which calls were made. `jitter` makes async tasks yield at random.

    The call of number `stop_at` stops the run. `facts` are what each attempt knows of itself, by the name of its act.
    """

    jitter: random.Random | None = None
    stop_at: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    facts: list[tuple[str, CallFacts | None]] = field(default_factory=list)
    counting: Lock = field(
        default_factory=Lock, compare=False, repr=False
    )  # threads may call at the same time

    @contextmanager
    def at_hand(self) -> Iterator[World]:
        """Let the tasks that are called inside note their calls here."""
        token = _world.set(self)
        try:
            yield self
        finally:
            _world.reset(token)

    def note(self, call: str, name: str) -> None:
        """Note that a call of an act of that name is made."""
        with self.counting:
            self.calls[call] += 1
            self.facts.append((name, _own_facts()))
        if self.stop_at and self.calls.total() == self.stop_at:
            raise StoppedError(call)

    def attempt(self, call: str) -> int:
        """Return which attempt of a call this is, from 1 on."""
        with self.counting:
            self.attempts[call] += 1
            return self.attempts[call]


LEDGER = "CASCADE_TEST_LEDGER"
"""The environment variable that names the file in which worker processes note their calls."""


class SharedWorld(World):
    """The world of calls in several processes. They are noted in a file, and are there when the run has ended."""

    @contextmanager
    def at_hand(self) -> Iterator[World]:
        _ledger().write_bytes(b"")
        with super().at_hand():
            yield self
        for call, name, facts in _noted():
            self.calls[call] += 1
            self.facts.append((name, facts))

    def note(self, call: str, name: str) -> None:
        with _ledger().open("ab", buffering=0) as file:
            file.write(pickle.dumps((call, name, _own_facts())))

    def attempt(self, call: str) -> int:
        return sum(noted == call for noted, *_ in _noted())


def _ledger() -> Path:
    return Path(os.environ[LEDGER])


def _noted() -> Iterator[tuple[str, str, CallFacts | None]]:
    with _ledger().open("rb") as file, suppress(EOFError):
        while True:
            yield pickle.load(file)


_world: ContextVar[World] = ContextVar("world")
_elsewhere = SharedWorld()
"""The world of a worker process."""


class Kind(Enum):
    """What a call gives in the end."""

    SUM = "sum"  # a number from 0 to 4 made of all numbers in its arguments
    ITEMS = "items"  # a list of that many numbers
    CONSTANT = "constant"
    FAIL = "fail"
    FLAKY = "flaky"  # fails at its first attempts
    TAIL = "tail"  # returns the tree of another workflow, with its arguments as inputs
    BOX = "box"  # returns a container with the tree of another workflow in it
    CHOICE = "choice"  # returns a router to such a tree, to numbers and to nothing, by the value of another
    LOOP = (
        "loop"  # returns its own next call, which waits for the tree of another workflow; every second name
    )


class Terse:
    """Shows only the fields that differ from their defaults, so that a failing example can be read."""

    def __repr__(self) -> str:
        told = [(each, getattr(self, each.name)) for each in fields(self)]  # type: ignore[arg-type]  # a dataclass
        shown = ", ".join(f"{each.name}={value!r}" for each, value in told if value is not each.default)
        return f"{type(self).__name__}({shown})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # Hypothesis asks this first
        printer.text(repr(self))


@dataclass(frozen=True, repr=False)
class Act(Terse):
    """What a task is to do. `tag` names the call; `number` is the failures of FLAKY or the rounds of LOOP."""

    kind: Kind
    tag: str
    number: int = 0
    constant: Any = None
    below: Workflow | None = None
    is_async: bool = False


@dataclass(frozen=True)
class Ref:
    """The lazy result of an earlier node."""

    node: int


@dataclass(frozen=True)
class Seq:
    """A sequence of earlier nodes."""

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """An input of a workflow below another: a number; 0 at the top."""

    index: int


@dataclass(frozen=True)
class Route:
    """A router; a route is a node or plain data."""

    selector: Ref
    routes: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True)
class Quote:
    """Plain data that is quoted."""

    value: Any


@dataclass(frozen=True)
class Nest:
    """A container: `make` is `list`, `tuple` or `dict`."""

    make: type
    parts: tuple[Any, ...]


Part = object
"""A literal, or one of the above."""


@dataclass(frozen=True, repr=False)
class Over(Terse):
    """What makes a call a map: how many items run at one time, and the items as a part for each mapped argument.

    With `factory` it is a `cs.map` of a factory that builds this workflow.
    """

    x: Part
    y: Part = MISSING
    limit: int | None = None
    factory: Workflow | None = None


@dataclass(frozen=True, repr=False)
class Spec(Terse):
    """One node."""

    act: Act
    args: tuple[Part, ...] = ()
    kwargs: tuple[tuple[str, Part], ...] = ()
    over: Over | None = None
    param: str | None = None
    gather: bool = False
    conditions: tuple[Ref | Route, ...] = ()
    otherwise: Any = MISSING
    after: tuple[Ref | Seq | Route, ...] = ()
    retry: int | None = None
    gpu: Part = MISSING


def references(part: object) -> Iterator[int]:
    """Give the nodes that a part or a node refers to."""
    match part:
        case Ref(node):
            yield node
        case Seq(nodes):
            yield from nodes
        case Route(selector, routes):
            yield selector.node
            yield from (route.node for _, route in routes if isinstance(route, Ref))
        case Nest(_, parts) | tuple(parts):
            for each in parts:
                yield from references(each)
        case Over(x, y):
            yield from references((x, y))
        case Spec():
            kept = (
                part.args,
                tuple(each for _, each in part.kwargs),
                part.over,
                part.conditions,
                part.after,
                part.gpu,
            )
            yield from references(kept)


@dataclass(frozen=True)
class Workflow:
    """Nodes in an order in which each refers to earlier ones; the target is one of them or a sequence."""

    nodes: tuple[Spec, ...]
    target: Ref | Seq

    def build(self, inputs: Sequence[int] = ()) -> Lazy:
        """Make the lazy tree."""
        made: list[Lazy] = []
        for spec in self.nodes:
            made.append(_Builder(made, inputs).node(spec))
        target: Lazy = _Builder(made, inputs).part(self.target)
        return target


class _Builder:
    """Makes the lazy result of one node."""

    def __init__(self, made: list[Lazy], inputs: Sequence[int]) -> None:
        self._made = made
        self._inputs = inputs

    def part(self, part: Any) -> Any:
        match part:
            case Ref(node):
                return self._made[node]
            case Seq(nodes):
                return cs.sequence([self._made[node] for node in nodes])
            case Input(index):
                return self._inputs[index % len(self._inputs)] if self._inputs else 0
            case Route(selector, routes):
                return Router(self.part(selector), {key: self.part(route) for key, route in routes})
            case Quote(value):
                return cs.quote(value)
            case Nest(make, parts) if make is dict:
                return {f"k{index}": self.part(each) for index, each in enumerate(parts)}
            case Nest(make, parts):
                return make(self.part(each) for each in parts)
        return part

    def node(self, spec: Spec) -> Lazy:
        lazy = self._call(spec)
        if spec.retry is not None:
            lazy = lazy.with_retry(max_attempts=spec.retry)
        if spec.gpu is not MISSING:
            lazy = lazy.with_constraints(gpu=self.part(spec.gpu))
        for index, condition in enumerate(spec.conditions):
            otherwise = spec.otherwise if index == 0 else MISSING
            lazy = lazy.run_if(self.part(condition), otherwise=otherwise)
        return lazy.after(*map(self.part, spec.after)) if spec.after else lazy

    def _call(self, spec: Spec) -> Lazy:
        if spec.param is not None:
            return cs.Param(spec.param, default=2, type=int)
        args = [self.part(each) for each in spec.args]
        kwargs = {name: self.part(each) for name, each in spec.kwargs}
        if spec.gather:
            return cs.gather(*args)
        if spec.over is None:
            return task_of(spec.act)(spec.act, *args, **kwargs)
        mapped = {"x": self.part(spec.over.x)}
        if spec.over.y is not MISSING:
            mapped["y"] = self.part(spec.over.y)
        if spec.over.factory is not None:
            return cs.map(Factory(spec.over.factory), **mapped, max_concurrency=spec.over.limit)
        partial = task_of(spec.act).partial(spec.act, *args, **kwargs)
        return partial.map(**mapped, max_concurrency=spec.over.limit)


@dataclass(frozen=True)
class Factory:
    """A callable that returns a lazy result, for `cs.map`."""

    below: Workflow

    def __call__(self, x: Any, y: Any = 0) -> Lazy:
        return self.below.build([total(x), total(y)])


def task_of(act: Act) -> Task[Any]:
    """Return the task of an act: one for each name, so that trees built again have the same tasks."""
    return _task_named(act.tag, act.is_async)


def make_tasks(size: int, depth: int) -> None:
    """Make the tasks of all workflows of at most so many nodes, so that each process finds them by reference."""
    tags = levels = [f"n{number}" for number in range(size)]
    for _ in range(depth):
        levels = [f"{tag}.{number}" for tag in levels for number in range(5)]
        tags = tags + levels
    for tag, suffix, is_async in product(tags, ("", "~", "?"), (False, True)):
        _task_named(f"{tag}{suffix}", is_async)


@cache
def _task_named(name: str, is_async: bool) -> Task[Any]:
    """Make a task that is found by its reference, so that a store can hold the calls of it."""
    func = _call_async if is_async else _call
    own = FunctionType(func.__code__, globals(), func.__name__)
    own.__qualname__ = f"{func.__name__}{name}".replace(".", "_")
    task = globals()[own.__qualname__] = Task(own, name=name)
    return task


def _call(act: Act, *args: Any, **kwargs: Any) -> Any:
    return _DOES["sync"](act, *args, **kwargs)


async def _call_async(act: Act, *args: Any, **kwargs: Any) -> Any:
    return await _DOES["async"](act, *args, **kwargs)


def perform(act: Act, *args: Any, **kwargs: Any) -> Any:
    """Do what `act` says."""
    world = _world.get(_elsewhere)
    call = f"{act.tag}{args!r}{kwargs!r}"
    world.note(call, act.tag)
    number = total((args, kwargs))
    match act.kind:
        case Kind.SUM:
            return number % 5
        case Kind.ITEMS:
            return [number % 4 + each for each in range(number % 4)]
        case Kind.CONSTANT:
            return act.constant
        case Kind.FAIL:
            raise BoomError(act.tag)
        case Kind.FLAKY:
            return _flaky(world, act, call, number)
        case Kind.TAIL:
            assert act.below is not None
            return act.below.build([number % 5, number % 3])
        case Kind.BOX:
            assert act.below is not None
            return (number % 5, {"k": [act.below.build([number % 5, 1])]}, cs.quote([2]))
        case Kind.CHOICE:
            return _choice(act, number)
        case Kind.LOOP:
            return _next_round(act, number)


def _own_facts() -> CallFacts | None:
    """Return what this call knows of itself; `None` where the reference interpreter makes it."""
    try:
        return cs.current_call()
    except NoCurrentCallError:
        return None


async def perform_async(act: Act, *args: Any, **kwargs: Any) -> Any:
    """Do what `act` says, after giving the others some turns."""
    world = _world.get()
    for _ in range(world.jitter.randrange(5) if world.jitter else 1):
        await asyncio.sleep(0)
    return perform(act, *args, **kwargs)


_DOES: dict[str, Callable[..., Any]] = {"sync": perform, "async": perform_async}
"""Found in a dict, so that the code version of each of the many tasks has little to read."""

if LEDGER in os.environ:
    make_tasks(14, 2)


def _flaky(world: World, act: Act, call: str, number: int) -> int:
    attempt = world.attempt(call)
    if attempt <= act.number:
        raise BoomError(act.tag, attempt)
    return number % 5


def _choice(act: Act, number: int) -> Any:
    assert act.below is not None
    chosen = Act(Kind.SUM, f"{act.tag}?", is_async=act.is_async)
    tree = act.below.build([number % 5, 2])
    routes = {0: tree, 1: 1, 2: [tree], 3: act.below.build([2, number % 5]), 4: None}
    return Router(task_of(chosen)(chosen, tree, number), routes)


def _next_round(act: Act, number: int) -> Any:
    assert act.below is not None
    if not act.number:
        return number % 5
    name, _, turn = act.tag.partition("~")
    following = Act(
        Kind.LOOP, name if turn else f"{name}~", act.number - 1, below=act.below, is_async=act.is_async
    )
    return task_of(following)(following, act.below.build([number % 5, act.number]))


def total(value: Any) -> int:
    """Return the sum of all numbers in a value."""
    match value:
        case int():
            return int(value)
        case dict():
            return sum(map(total, value.values()))
        case list() | tuple():
            return sum(map(total, value))
    return 0
