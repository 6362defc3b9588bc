"""Forms: how the value of a policy stands in structure keys, digests, records and pictures.

Whoever writes keys, digests, matchers, records or pictures asks a policy's form and never its name. A policy that is a
number or a text has the form `Form()` and needs no other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from cascade.spec.calls.arguments import is_marker
from cascade.spec.calls.missing import MISSING, Missing
from cascade.spec.constraint import Constraints
from cascade.spec.policies.checks import is_cache_policy
from cascade.spec.policies.mode import Mode
from cascade.spec.policies.retry import RetryPolicy, kinds_of
from cascade.spec.protocols import CachePolicy

if TYPE_CHECKING:
    from cascade.spec.policies.pictures import NodeRetry

V = TypeVar("V")


Written: TypeAlias = Any
"""What `Form.written` gave and a codec has stored since: plain data, which is read as what it was written as."""

Constant: TypeAlias = Callable[[object], str]
"""Gives the name of a global variable that holds an object, for Python code that is written when it is needed."""


class RecordWriter(Protocol):
    """Writes what a policy refers to into the record of one lazy result."""

    def number(self, lazy: object) -> int:
        """Return the number of the row that a lazy result has in the record."""

    def reference_of_exception(self, kind: type[Exception]) -> list[object]:
        """Return the reference to a class of exceptions: its module and its name."""


class RecordReader(Protocol):
    """Finds what the policies in a record refer to."""

    def lazy(self, number: int) -> object:
        """Return the lazy result of a row."""

    def exception(self, reference: list[object]) -> type[Exception]:
        """Return the class of exceptions that a reference leads to."""


class Form(Generic[V]):
    """A plain value, which can be hashed and stored as it is: a number, a text, or `None` where nothing is given."""

    is_edge = False
    """Whether the policy holds lazy results alone. Digests tell these by their positions and pictures as edges."""

    holds = ""
    """What errors call the user's own object that the policy holds, where it holds one: a codec may refuse it."""

    def key(self, name: str, constant: Constant) -> str:
        """Return the Python expression of what a structure key has of the value that `name` stands for.

        Trees whose keys are equal run alike but for their data. The expression is evaluated once per node.
        """
        return name

    def match(self, name: str, value: V, constant: Constant) -> str:
        """Return a Python expression that is true where `name` stands for a value with the key of `value`.

        It is evaluated once per node of each tree that runs.
        """
        known = constant(value)
        return f"({name} is {known} or {name} == {known})"

    def described(self, value: V, describe: Callable[[object], object]) -> object:
        """Return what a structure digest is made of; `describe` gives a dataclass or a class as plain data."""
        return value

    def pictured(self, value: V) -> object:
        """Return what a picture shows: names and numbers, nothing of the user's data."""
        return value

    def written(self, value: V, record: RecordWriter) -> object:
        """Return what a record has of a value: plain data, and objects that its codec stores."""
        return value

    def read(self, data: Written, record: RecordReader) -> V:
        """Return the value of what `written` gave."""
        value: V = data
        return value

    def lazies(self, value: V) -> Iterable[object]:
        """Return the lazy results inside a value."""
        return ()


class SecondsForm(Form[float | None]):
    """A time span in seconds; a picture has none that lasts for ever, as JSON has no infinity."""

    def key(self, name: str, constant: Constant) -> str:
        return f"({name}, {name}.__class__)"  # 1 and 1.0 have digests of their own

    def match(self, name: str, value: float | None, constant: Constant) -> str:
        known = constant(value)
        return f"({name} is {known} or {name} == {known} and {name}.__class__ is {known}.__class__)"

    def pictured(self, value: float | None) -> float | None:
        return finite(value)


class RetryForm(Form[RetryPolicy | None]):
    """A retry policy: its numbers and its classes of exceptions, which are recorded by reference."""

    def key(self, name: str, constant: Constant) -> str:
        return f"(None if {name} is None else {constant(_ByValue)}({name}))"

    def match(self, name: str, value: RetryPolicy | None, constant: Constant) -> str:
        known = constant(value)
        return f"({name} is {known} or {constant(_are_same)}({name}, {known}))"

    def described(self, value: RetryPolicy | None, describe: Callable[[object], object]) -> object:
        return describe(value)

    def pictured(self, value: RetryPolicy | None) -> NodeRetry | None:
        if value is None:
            return None
        from cascade.spec.policies.pictures import NodeRetry  # noqa: PLC0415 - only pictures need it

        waits = (finite(value.delay), value.backoff, value.jitter, finite(value.max_delay))
        return NodeRetry(value.max_attempts, *waits, tuple(kind.__name__ for kind in kinds_of(value)))

    def written(self, value: RetryPolicy | None, record: RecordWriter) -> object:
        if value is None:
            return None
        numbers = [value.max_attempts, value.delay, value.backoff, value.jitter, value.max_delay]
        references = [record.reference_of_exception(kind) for kind in kinds_of(value)]
        return [*numbers, references, isinstance(value.on, tuple)]

    def read(self, data: Written, record: RecordReader) -> RetryPolicy | None:
        if data is None:
            return None
        max_attempts, delay, backoff, jitter, max_delay, references, is_tuple = data
        kinds = tuple(record.exception(reference) for reference in references)
        return RetryPolicy(max_attempts, delay, backoff, jitter, max_delay, kinds if is_tuple else kinds[0])


class CacheForm(Form[CachePolicy | None]):
    """A cache policy: an object that may be the user's own, told apart by its type and equality."""

    holds = "the cache policy"

    def key(self, name: str, constant: Constant) -> str:
        return f"(None if {name} is None else {constant(_ByValue)}({name}))"

    def match(self, name: str, value: CachePolicy | None, constant: Constant) -> str:
        known = constant(value)
        return f"({name} is {known} or {constant(_are_same)}({name}, {known}))"

    def described(self, value: CachePolicy | None, describe: Callable[[object], object]) -> object:
        return describe(value)

    def pictured(self, value: CachePolicy | None) -> str | None:
        return None if value is None else type(value).__name__

    def read(self, data: Written, record: RecordReader) -> CachePolicy | None:
        if data is not None and not is_cache_policy(data):
            raise ValueError("a cache policy that is none")
        policy: CachePolicy | None = data
        return policy


class ModeForm(Form[Mode | None]):
    """A mode, which is written as its word."""

    def described(self, value: Mode | None, describe: Callable[[object], object]) -> str | None:
        return None if value is None else value.value

    def written(self, value: Mode | None, record: RecordWriter) -> str | None:
        return None if value is None else value.value

    def read(self, data: Written, record: RecordReader) -> Mode | None:
        return None if data is None else Mode(data)


class AmountsForm(Form[Constraints | None]):
    """Named amounts. The names are structure, and which of the amounts are lazy; the amounts themselves are data."""

    def key(self, name: str, constant: Constant) -> str:
        return f"(None if {name} is None else {constant(_shape_of)}({name}))"

    def match(self, name: str, value: Constraints | None, constant: Constant) -> str:
        shape = None if value is None else _shape_of(value)
        return f"{self.key(name, constant)} == {constant(shape)}"

    def described(self, value: Constraints | None, describe: Callable[[object], object]) -> object:
        return None if value is None else [*_shape_of(value)]

    def pictured(self, value: Constraints | None) -> tuple[str, ...]:
        return () if value is None else tuple(name for name, _ in value.amounts)

    def written(self, value: Constraints | None, record: RecordWriter) -> object:
        if value is None:
            return None
        return [
            [name, None, record.number(amount)] if is_marker(amount) else [name, amount, None]
            for name, amount in value.amounts
        ]

    def read(self, data: Written, record: RecordReader) -> Constraints | None:
        if data is None:
            return None
        return Constraints(
            tuple((name, literal if row is None else record.lazy(row)) for name, literal, row in data)
        )

    def lazies(self, value: Constraints | None) -> Iterator[object]:
        if value is not None:
            yield from (amount for _, amount in value.amounts if is_marker(amount))


class EdgesForm(Form[tuple[object, ...]]):
    """Lazy results, in their order. How many there are is structure; which ones, the edges say."""

    is_edge = True

    def key(self, name: str, constant: Constant) -> str:
        return f"len({name})"

    def match(self, name: str, value: tuple[object, ...], constant: Constant) -> str:
        return f"len({name}) == {len(value)}"

    def written(self, value: tuple[object, ...], record: RecordWriter) -> list[int]:
        return [record.number(lazy) for lazy in value]

    def read(self, data: Written, record: RecordReader) -> tuple[object, ...]:
        return tuple(record.lazy(number) for number in data)

    def lazies(self, value: tuple[object, ...]) -> tuple[object, ...]:
        return value


class LiteralForm(Form[object | Missing]):
    """A value of the user's. That there is one is structure; the value is data."""

    def __init__(self, holds: str) -> None:
        self.holds = holds

    def key(self, name: str, constant: Constant) -> str:
        return f"({name} is not {constant(MISSING)})"

    def match(self, name: str, value: object | Missing, constant: Constant) -> str:
        return self.key(name, constant)

    def described(self, value: object | Missing, describe: Callable[[object], object]) -> bool:
        return value is not MISSING

    def pictured(self, value: object | Missing) -> bool:
        return value is not MISSING

    def written(self, value: object | Missing, record: RecordWriter) -> list[object]:
        return [] if value is MISSING else [value]

    def read(self, data: Written, record: RecordReader) -> object | Missing:
        return data[0] if data else MISSING


def finite(seconds: float | None) -> float | None:
    """Return a time span; `None` for one without an end."""
    return None if seconds is None or math.isinf(seconds) else seconds


def _shape_of(constraints: Constraints) -> tuple[tuple[str, bool], ...]:
    """Return the name of each amount, and whether it is lazy."""
    return tuple((name, is_marker(amount)) for name, amount in constraints.amounts)


def _are_same(one: object, other: object) -> bool:
    """Tell whether two policies are equal and of one type, and so are their fields: 1 and 1.0 have other digests."""
    kind = type(one)
    if kind is not type(other) or one != other:
        return False
    fields: Iterable[str] = getattr(kind, "__late_fields__", ()) or getattr(kind, "__dataclass_fields__", ())
    return all(type(getattr(one, name)) is type(getattr(other, name)) for name in fields)


class _ByValue:
    """A value that may not be hashable, in a key: told apart by its type, its equality and the types of its fields."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(type(self.value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByValue) and _are_same(self.value, other.value)
