"""Plain calls: what the ways that make them one after the other, without frames, have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from cascade.runtime.sharing.capacity import Lease
from cascade.spec.calls.arguments import LOOKED_INTO, holds_inside
from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.internal_tasks import COLLECT
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.lazy_types import LAZY_CLASSES, LazyResult
from cascade.spec.policies.declared import POLICIES
from cascade.spec.policies.forms import CacheForm
from cascade.spec.policies.generated import none_given
from cascade.spec.source.references import find_loaded, reference_of

Lazies = list[LazyResult[Any]]
"""The lazy results of one tree, in the order of its program."""


class Awaited:
    """An awaitable that a plain function returned. The value of the call is what awaiting it gives.

    `lease` is what the call holds meanwhile.
    """

    __slots__ = ("lease", "work")

    def __init__(self, work: Any) -> None:
        self.work = work
        self.lease: Lease | None = None


class Ready:
    """An awaitable that gives a value at once."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[None, None, Any]:
        yield from ()
        return self._value


LAZY_TYPES = LAZY_CLASSES | {Awaited}
"""The types of what stands for another value: a tree to be run in its place, or what is awaited."""


class Kinds(dict[type, bool]):
    """Tells of types whether their values are of some kind; asked once per value, so answers are remembered.

    Not those for classes that may go: what is remembered here keeps a class alive, and that keeps what it refers to.
    """

    def __init__(self, are: Callable[[type], bool]) -> None:
        super().__init__()
        self._are = are

    def __missing__(self, kind: type) -> bool:
        told = self._are(kind)
        if find_loaded(*reference_of(kind)) is kind:
            self[kind] = told
        return told


def _is_awaitable(kind: type) -> bool:
    # Cascade's own types come first: a lazy result has an `__await__`, which says that it is none.
    return not issubclass(kind, StandsForValue) and hasattr(kind, "__await__")


AWAITABLE = Kinds(_is_awaitable)
"""Whether the values of a type are awaited."""

GIVEN = Kinds(lambda kind: kind in LOOKED_INTO or _is_awaitable(kind))
"""Whether `given` has something to do with the values of a type; all others are values."""


PLAIN = frozenset({type(None), bool, int, float, str, bytes})
"""Types whose values `given` has nothing to do with; a set is asked faster than `GIVEN`."""


def given(value: Any) -> Any:
    """Return what the returned value of a call stands for: a lazy result to be run in its place, or a value.

    A list, tuple or dict with lazy results inside is gathered, one without is handed on as the same object. What is
    quoted is not searched. What can be awaited becomes an `Awaited`.
    """
    kind = type(value)
    if kind is Quoted:
        return value.value
    if isinstance(value, StandsForValue):
        return value.as_lazy()
    if AWAITABLE[kind]:
        return Awaited(value)
    return COLLECT(value) if kind in LOOKED_INTO and holds_inside(value) else value


async def value_of(value: Any) -> Any:
    """Await what a function returned, again and again, until it is a value."""
    while AWAITABLE[type(value)]:
        value = await value
    return value


def take_given(values: list[Any], begin: int = 0) -> bool:
    """Put what was given in the place of values from `begin` on; tell whether lazy results are among them."""
    # Once per node of every plain graph: watched by observatory/benchmarks/bench_graphs.py.
    # Values are mostly of one type, and counting is faster than looking each one up.
    met = [*map(type, values[begin:] if begin else values)]
    if not met or not (
        GIVEN[met[0]] or (met.count(met[0]) != len(met) and any(map(GIVEN.__getitem__, {*met})))
    ):
        return False
    has_lazy = False
    for place in range(begin, len(values)):
        kind = type(values[place])
        if kind is LazyResult:
            has_lazy = True  # it is what it stands for
        elif GIVEN[kind]:
            values[place] = given(values[place])
            has_lazy = has_lazy or type(values[place]) in LAZY_TYPES
    return has_lazy


is_simple = none_given(row for row in POLICIES if not row.in_fast_ways)
"""Tells whether compiled loops know these policies; a retry begins with a failure."""

is_called_or_cached = none_given(
    row for row in POLICIES if not row.just_called and not isinstance(row.form, CacheForm)
)
"""Tells whether that is so once a cache was asked, if one is to be asked at all."""


@dataclass(slots=True, eq=False)
class Interruption:
    """Where plain calls could not go on: at `node`, which raised `error` or returned a `value` that stands for another.

    With no node only the time slice was over. `values` are those known by then, by position; `MISSING` for the others.
    `trees` are the nodes that returned such values before this one, with those. Whoever goes on takes the error, whose
    traceback leads to those who hold this.
    """

    node: int | None
    values: Sequence[Any]
    error: BaseException | None
    value: Any = None
    began: float = 0.0
    trees: Sequence[tuple[int, Any]] = ()

    def take_error(self) -> BaseException | None:
        """Return the error, and keep it no longer."""
        error, self.error = self.error, None
        return error
