"""Checks what is read from a store, which holds whatever somebody has put there.

What does not fit is a `ValueError` here. The caller makes a `RunDamagedError` of it: what is stored never makes a run
fail with an error of Python's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from cascade.adapters.state.digests import SIZE, FrameDigest, NodeDigest
from cascade.adapters.state.journal import Head, Kind, TimelinePart
from cascade.spec.durable import RunStatus

T = TypeVar("T")

LARGEST = 2**62
"""The largest number that counts something: a store can keep one more, and many more."""


def head_of(columns: Sequence[object]) -> Head:
    """Return what a store has of a run as a whole.

    `columns` are status, task, record, round, target, error and version of rules.

    Raises:
        ValueError: If one of these is not what is stored there.
    """
    status, task, record, number, target, error, rules = columns
    return Head(
        RunStatus(_of(str, status)),
        _of(str, task),
        _of(bytes, record),
        count(number),
        _of(bytes, target),
        _of(str, error),
        count(rules),
    )


def fact_of(columns: Sequence[object]) -> tuple[NodeDigest, Kind, bytes]:
    """Return a fact that a store has.

    `columns` are the round, the frame's digest, the digests above it, the node's digest, the kind and the value.

    Raises:
        ValueError: If one of these is not what is stored there.
    """
    number, frame, above, node, kind, value = columns
    digest = FrameDigest(count(number), _digests(frame, 1), _digests(above, 0, 1, 2))
    return NodeDigest(digest, _digests(node, 0, 1)), Kind(_of(int, kind)), _of(bytes, value)


def part_of(columns: Sequence[object]) -> TimelinePart:
    """Return a part of a timeline that a store has; `columns` are its drive, number, bytes and time.

    Raises:
        ValueError: If one of these is not what is stored there.
    """
    drive, number, data, at = columns
    return TimelinePart(count(drive), count(number), _of(bytes, data), moment(at))


def count(value: object) -> int:
    """Return a number that counts something.

    Raises:
        ValueError: If it is none.
    """
    found = _of(int, value)
    if not 0 <= found <= LARGEST:
        raise ValueError(f"{found} is out of range")
    return found


def moment(value: object) -> float:
    """Return a time in seconds.

    Raises:
        ValueError: If it is none.
    """
    return _of(float, float(value) if type(value) is int else value)


def text(value: object) -> str:
    """Return a text.

    Raises:
        ValueError: If it is none.
    """
    return _of(str, value)


def blob(value: object) -> bytes:
    """Return bytes.

    Raises:
        ValueError: If it is none.
    """
    return _of(bytes, value)


def _of(kind: type[T], value: object) -> T:
    if type(value) is not kind:  # not of a class below it either
        raise ValueError(f"a {type(value).__name__} stands where a {kind.__name__} was stored")
    return value


def _digests(value: object, *numbers: int) -> bytes:
    found: bytes = _of(bytes, value)
    if len(found) not in {SIZE * number for number in numbers}:
        raise ValueError(f"a digest of {len(found)} bytes")
    return found
