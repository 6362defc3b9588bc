"""Plain trees for Hypothesis: calls of few tasks in long stretches, so that each way of making many at once is taken.

A description is built again and again, with other numbers, into trees of one structure.
"""

from __future__ import annotations

import random
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
    """What the calls of one run do: `log` has each one's task and arguments; some of them are in trouble."""

    trouble: str = ""
    at: int = -1
    log: list[tuple[str, object]] = field(default_factory=list)


_worlds: list[World] = []


def at_hand(world: World) -> None:
    """Let calls be noted here from now on."""
    _worlds[:] = [world]


def _task(name: str) -> cs.Task[Any]:
    def perform(*args: Any, **kwargs: Any) -> Any:
        world = _worlds[0]
        made = len(world.log)
        world.log.append((name, (args, kwargs)))
        if world.trouble == "returns trees, then raises" and world.at <= made <= world.at + 6:
            if made % 7 == world.at % 5:
                raise BoomError(name)
            if made % 3:
                return TASKS[0](TASKS[1](made), made)
        if made == world.at:
            if world.trouble == "raises":
                raise BoomError(name)
            if world.trouble == "returns a tree":
                return TASKS[0](TASKS[1](made), made)
            if world.trouble == "is slow":
                spend(0.011)
        return result(name, args, kwargs)

    return cs.task(name=name)(perform)


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


class Ref(NamedTuple):
    """The value of an earlier node."""

    node: int


class Row(NamedTuple):
    """One call: its task and its arguments, in which each `Ref` stands for a node and `...` for a number."""

    task: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


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


@dataclass(frozen=True)
class PlainTree:
    """Calls in an order in which each takes the values of earlier ones; the last takes all that no other does."""

    rows: tuple[Row, ...]

    def build(self, salt: int = 0) -> Lazy:
        """Make the lazy tree."""
        numbers = iter(range(salt, salt + 1_000_000))
        made: list[Lazy] = []
        for row in self.rows:
            made.append(TASKS[row.task](*_put(row.args, made, numbers), **_put(row.kwargs, made, numbers)))
        return made[-1]

    def value(self, salt: int = 0) -> int:
        """Return what the tree gives when nothing is wrong."""
        numbers = iter(range(salt, salt + 1_000_000))
        values: list[int] = []
        for row in self.rows:
            args, kwargs = _put(row.args, values, numbers), _put(row.kwargs, values, numbers)
            values.append(result(TASKS[row.task].name, args, kwargs))
        return values[-1]


def _put(part: Any, made: list[Any], numbers: Any) -> Any:
    """Put what was made in the place of each reference, and a number in that of each `...`."""
    if isinstance(part, Ref):
        return made[part.node]
    if part is ...:
        return next(numbers)
    if isinstance(part, dict):
        return {key: _put(each, made, numbers) for key, each in part.items()}
    return type(part)(_put(each, made, numbers) for each in part)


@st.composite
def plain_trees(draw: st.DrawFn) -> PlainTree:
    """Draw a tree of stretches: so many calls of one shape and task, which take from the last, new ones, or any."""
    rows: list[Row] = []
    unused: list[int] = []
    chance = random.Random(draw(st.integers(0, 2**32)))
    lengths = st.sampled_from((1, 2, 9, 16, 30))
    for shape, length, manner in draw(
        st.lists(st.tuples(st.sampled_from(SHAPES), lengths, st.integers(0, 2)), min_size=1, max_size=9)
    ):
        task = chance.randrange(len(TASKS))

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
            rows.append(Row(chance.randrange(len(TASKS)) if not chance.randrange(40) else task, args, kwargs))
    rows.append(Row(0, ([Ref(node) for node in unused],), {}))
    return PlainTree(tuple(rows))


def changed(tree: PlainTree, chance: random.Random) -> PlainTree:
    """Return a tree that differs in one row: by its task, by the number of its arguments, or by one of them."""
    at = chance.randrange(len(tree.rows))
    row = tree.rows[at]
    match chance.randrange(6):
        case 0:
            row = row._replace(task=(row.task + 1) % len(TASKS))
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
