"""Plain trees for Hypothesis: calls of few tasks in long stretches, so that each way of making many at once is taken.

A description is built again and again, with other numbers, into trees of one structure.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st
from support.clock import spend

import cascade as cs
from cascade.spec import LazyResult

Lazy = LazyResult[Any]
LIMIT = 1_000_003


class BoomError(Exception):
    """What the call in trouble raises."""


@dataclass
class World:
    """What the calls of one run do: `log` has each one's task and arguments; some of them are in trouble.

    Which call that is may be told by when it is made, or, where the order is free, by its own value.
    """

    trouble: str = ""
    at: int = -1
    log: list[tuple[str, object]] = field(default_factory=list)
    tried: Counter[int] = field(default_factory=Counter)


class Inner(int):
    """A number in a tree that a call returned when others did so too.

    Calls that take it return no tree: whether a tree that comes in another's place goes on before or after a tree that
    another call returned, is left open.
    """


_worlds: list[World] = []


def at_hand(world: World) -> None:
    """Let calls be noted here from now on."""
    _worlds[:] = [world]


def _task(name: str) -> cs.Task[Any]:
    def perform(*args: Any, **kwargs: Any) -> Any:
        world = _worlds[0]
        made = len(world.log)
        world.log.append((name, (args, kwargs)))
        if world.trouble.startswith("some"):
            return _in_any_order(world, name, result(name, args, kwargs))
        if world.trouble == "returns trees, then raises" and world.at <= made <= world.at + 6:
            if made % 7 == world.at % 5:
                raise BoomError(name)
            if made % 3 and not any(isinstance(each, Inner) for each in args):
                return TASKS[0](TASKS[1](Inner(made)), Inner(made))
        if made == world.at:
            if world.trouble == "raises":
                raise BoomError(name)
            if world.trouble == "returns a tree":
                return TASKS[0](TASKS[1](made), made)
            if world.trouble == "is slow":
                spend(0.011)
        return result(name, args, kwargs)

    return cs.task(name=name)(perform)


def _in_any_order(world: World, name: str, value: int) -> Any:
    world.tried[value] += 1
    if value % 11 != world.at % 11:
        return value
    if world.trouble == "some fail once" and world.tried[value] % 2:
        raise BoomError(name)
    if world.trouble == "some fail":
        raise BoomError(f"{name} {value}")
    if world.trouble == "some return a tree":
        return AGAIN(value)
    return _later(value) if world.trouble == "some are awaited" else value


async def _later(value: int) -> int:
    await asyncio.sleep(0)
    return value


@cs.task
def IDENTITY(value: int) -> int:  # noqa: N802 - a task is a constant
    return value


@cs.task
def AGAIN(value: int) -> Any:  # noqa: N802 - a task is a constant
    return IDENTITY(value) if value % 2 else value


@cs.resource
def number() -> Iterator[int]:
    """A resource, of which there is one in each run."""
    yield RESOURCE


RESOURCE = 77


def result(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Return what a call gives when nothing is wrong."""
    number = ord(name)
    for value in _numbers([args, kwargs]):
        number = (31 * number + value) % LIMIT
    return number


def _numbers(value: Any) -> list[int]:
    if isinstance(value, int):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [len(items), *(number for item in items for number in _numbers(item))]


TASKS = [_task(name) for name in "abc"]


@cs.task(name="d", retry=60)
def filled(*args: Any, z: int = cs.inject("number"), **kwargs: Any) -> Any:
    """Take a resource by default."""
    return _filled.func(*args, **kwargs, z=z)


_filled = _task("d")
NEEDY = [*TASKS, filled]


@cs.task
def TRUE() -> bool:  # noqa: N802 - a task is a constant
    return True


def _awaited(task: cs.Task[Any]) -> cs.Task[Any]:
    async def perform(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return task.func(*args, **kwargs)

    return cs.task(name=task.name)(perform)


KINDS: dict[str, list[cs.Task[Any]]] = {
    "awaited": [_awaited(task) for task in TASKS],
    "in a thread": [cs.task(name=task.name, mode="thread")(task.func) for task in TASKS],
}
"""The same tasks, called in other places."""


class Ref(NamedTuple):
    """The value of an earlier node."""

    node: int


class Row(NamedTuple):
    """One call: its task and its arguments, in which each `Ref` stands for a node and `...` for a number."""

    task: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    policies: tuple[str, ...] = ()


class Taken(NamedTuple):
    """The value of a resource."""

    name: str


Take = Callable[[], Ref]

SHAPES: tuple[Callable[[Take], tuple[tuple[Any, ...], dict[str, Any]]], ...] = (
    lambda take: ((...,), {}),
    lambda take: ((..., ...), {}),
    lambda take: ((), {}),
    lambda take: (([..., ...],), {}),
    lambda take: ((), {"x": ...}),
    *(lambda take: ((take(),), {}),) * 3,
    *(lambda take: ((take(), take()), {}),) * 3,
    *(lambda take: ((take(), take(), take()), {}),) * 3,
    lambda take: ((take(), take(), take(), take()), {}),
    lambda take: ((take(), ...), {}),
    lambda take: ((..., take()), {"x": take(), "y": ...}),
    lambda take: (([take(), take(), take()],), {}),
    lambda take: ((..., [take()], take()), {"x": [take(), take()]}),
    lambda take: ((([take(), ...], take()), {"k": take(), "l": ...}), {}),
)


NEEDY_SHAPES: tuple[Callable[[Take], tuple[tuple[Any, ...], dict[str, Any]]], ...] = (
    *SHAPES,
    lambda take: ((Taken("number"),), {}),
    lambda take: ((..., Taken("number")), {"x": ...}),
    lambda take: ((take(), Taken("number")), {}),
    lambda take: (([take(), ...], Taken("number"), [take()]), {"x": Taken("number"), "y": take()}),
    lambda take: (([Taken("number")],), {"x": take()}),
)

POLICIES: dict[str, Callable[[Lazy], Lazy]] = {
    "retry": lambda lazy: lazy.with_retry(60),
    "another retry": lambda lazy: lazy.with_retry(61, on=(BoomError, ValueError)),
    "amount": lambda lazy: lazy.with_constraints(gpu=1),
    "larger amount": lambda lazy: lazy.with_constraints(gpu=2),
    "amounts": lambda lazy: lazy.with_constraints(gpu=2, memory=0.5),
    "cache": lambda lazy: lazy.with_cache(cs.ByInputs()),
}


BESIDE: dict[str, Callable[[Lazy, Lazy, Lazy], Lazy]] = {
    "ordered": lambda lazy, other, true: lazy.after(other),
    "conditional": lambda lazy, other, true: lazy.run_if(true),
    "conditional and ordered": lambda lazy, other, true: lazy.run_if(true, otherwise=5).after(other),
}
"""What a call has to do with other calls, and that changes no value: from that call, an earlier one and a condition."""

MIXED = ("routed", *BESIDE, *KINDS)


@dataclass(frozen=True)
class PlainTree:
    """Calls in an order in which each takes the values of earlier ones; the last takes all that no other does."""

    rows: tuple[Row, ...]

    def build(self, salt: int = 0) -> Lazy:
        """Make the lazy tree."""
        numbers = iter(range(salt, salt + 1_000_000))
        made: list[Lazy] = []
        true = TRUE()
        for at, row in enumerate(self.rows):
            args, kwargs = _put(row.args, made, numbers), _put(row.kwargs, made, numbers)
            kind = next((KINDS[name] for name in row.policies if name in KINDS), NEEDY)
            if "routed" in row.policies and args and isinstance(args[0], LazyResult):
                args = (cs.Router(true, {True: args[0], False: made[at // 2]}), *args[1:])
            lazy = (kind[row.task] if row.task < len(kind) else NEEDY[row.task])(*args, **kwargs)
            for name in row.policies:
                if name in BESIDE and made:
                    lazy = BESIDE[name](lazy, made[at // 2], true)
                elif name in POLICIES:
                    # Amounts are data, and their names are structure: calls that follow each other differ in these.
                    lazy = POLICIES["larger amount" if name == "amount" and (at + salt) % 9 == 0 else name](
                        lazy
                    )
            made.append(lazy)
        return made[-1]

    def value(self, salt: int = 0) -> int:
        """Return what the tree gives when nothing is wrong."""
        numbers = iter(range(salt, salt + 1_000_000))
        values: list[int] = []
        for row in self.rows:
            args = _filled_in(_put(row.args, values, numbers))
            kwargs = _filled_in(_put(row.kwargs, values, numbers))
            if NEEDY[row.task] is filled:
                kwargs["z"] = RESOURCE
            values.append(result(NEEDY[row.task].name, args, kwargs))
        return values[-1]

    def retried(self) -> PlainTree:
        """Return the tree with a retry on each call."""
        return PlainTree(tuple(row._replace(policies=(*row.policies, "retry")) for row in self.rows))


def _put(part: Any, made: list[Any], numbers: Any) -> Any:
    """Put what was made in the place of each reference, and a number in that of each `...`."""
    if isinstance(part, Ref):
        return made[part.node]
    if isinstance(part, Taken):
        return cs.inject(part.name)
    if part is ...:
        return next(numbers)
    if isinstance(part, dict):
        return {key: _put(each, made, numbers) for key, each in part.items()}
    return type(part)(_put(each, made, numbers) for each in part)


def _filled_in(part: Any) -> Any:
    """Return arguments with the value of the resource in the place of what stands for it."""
    if isinstance(part, dict):
        return {key: _filled_in(each) for key, each in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(_filled_in(each) for each in part)
    return part if isinstance(part, int) else RESOURCE


@st.composite
def plain_trees(draw: st.DrawFn, needy: bool = False, mixed: bool = False) -> PlainTree:
    """Draw a tree of stretches: so many calls of one shape and task, which take from the last, new ones, or any.

    Calls of a `needy` one may have policies, and take a resource. Those of a `mixed` one may have orders, conditions
    and routers as well, and some are coroutines or are made in threads: beside plain calls, or many at once.
    """
    shapes = NEEDY_SHAPES if needy else SHAPES
    sorts: list[tuple[str, ...]] = (
        [(), *((name,) for name in POLICIES), ("retry", "amount")] if needy else [()]
    )
    if mixed:
        sorts += [(name,) for name in MIXED] + [
            ("retry", "ordered"),
            ("cache", "conditional"),
            ("amount", "routed"),
        ]
    policies = st.sampled_from(sorts)
    tasks = NEEDY if needy else TASKS
    rows: list[Row] = []
    unused: list[int] = []
    chance = random.Random(draw(st.integers(0, 2**32)))
    lengths = st.sampled_from((1, 2, 9, 16, 30))
    for shape, length, manner, given in draw(
        st.lists(
            st.tuples(st.sampled_from(shapes), lengths, st.integers(0, 2), policies), min_size=1, max_size=9
        )
    ):
        task = chance.randrange(len(tasks))

        def take(manner: int = manner) -> Ref:
            if manner == 0 or not unused:
                node = len(rows) - 1 if manner == 0 else chance.randrange(len(rows))
            else:
                node = unused[0] if manner == 1 else chance.choice(unused[-30:])
            if node in unused:
                unused.remove(node)
            return Ref(node)

        for _ in range(length):
            args, kwargs = shape(take) if rows else ((...,), {})
            unused.append(len(rows))
            chosen = chance.randrange(len(tasks)) if not chance.randrange(40) else task
            policies_of_one = given if chance.randrange(40) else ()
            if mixed and not chance.randrange(12):
                policies_of_one = (*policies_of_one, chance.choice(MIXED))
            rows.append(Row(chosen, args, kwargs, policies_of_one))
    rows.append(Row(0, ([Ref(node) for node in unused],), {}))
    return PlainTree(tuple(rows))


def changed(tree: PlainTree, chance: random.Random) -> PlainTree:
    """Return a tree that differs in one row: by its task, by the number of its arguments, or by one of them."""
    at = chance.randrange(len(tree.rows))
    row = tree.rows[at]
    match chance.randrange(6):
        case 0:
            row = row._replace(task=(row.task + 1) % len(TASKS if row.task < len(TASKS) else NEEDY))
        case 1:
            row = row._replace(args=(*row.args, ...) if chance.randrange(2) else row.args[:-1])
        case 2:
            row = row._replace(kwargs={**row.kwargs, "z": ...})
        case _:
            others: list[Any] = [..., [..., ...]]
            if at:
                others += [Ref(chance.randrange(at)), Ref(at - 1), [Ref(at - 1)]]
            ways = list(_ways(list(row.args)))
            if ways:
                args = _replaced(list(row.args), chance.choice(ways), chance.choice(others))
                row = row._replace(args=tuple(args))
    return PlainTree((*tree.rows[:at], row, *tree.rows[at + 1 :]))


def _ways(part: Any) -> Iterator[tuple[Any, ...]]:
    """Give the way to each reference and number inside a part."""
    if isinstance(part, Ref) or part is ...:
        yield ()
        return
    for key, each in part.items() if isinstance(part, dict) else enumerate(part):
        for way in _ways(each):
            yield key, *way


def _replaced(part: Any, way: tuple[Any, ...], by: Any) -> Any:
    if not way:
        return by
    items = part.items() if isinstance(part, dict) else enumerate(part)
    replaced = {key: _replaced(each, way[1:], by) if key == way[0] else each for key, each in items}
    return replaced if isinstance(part, dict) else type(part)(replaced.values())
