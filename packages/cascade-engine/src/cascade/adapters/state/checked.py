"""What is read of a run, checked in one place: a store holds whatever somebody has put there.

What does not fit is a `ValueError` here, and a `RunDamagedError` for who asked: no run fails with an error of Python's
own because of what is stored.
"""

from __future__ import annotations

from typing import TypeVar

from cascade.adapters.state.digests import SIZE, FrameDigest, NodeDigest
from cascade.adapters.state.journal import Head, Kind
from cascade.spec.durable import RunStatus

T = TypeVar("T")

LARGEST = 2**62
"""The largest number that counts something: a store can keep one more, and many more."""


def head_of(
    status: object, task: object, record: object, number: object, target: object, error: object, rules: object
) -> Head:
    """Return what is stored of a run as a whole.

    Raises:
        ValueError: If a part is not what is stored there.
    """
    return Head(
        RunStatus(_of(str, status)),
        _of(str, task),
        _of(bytes, record),
        count(number),
        _of(bytes, target),
        _of(str, error),
        count(rules),
    )


def fact_of(
    number: object, frame: object, above: object, node: object, kind: object, value: object
) -> tuple[NodeDigest, Kind, bytes]:
    """Return a fact that is stored.

    Raises:
        ValueError: If a part is not what is stored there.
    """
    place = NodeDigest(
        FrameDigest(count(number), _digests(frame, 1), _digests(above, 0, 1, 2)), _digests(node, 0, 1)
    )
    return place, Kind(_of(int, kind)), _of(bytes, value)


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


def _of(kind: type[T], value: object) -> T:
    if type(value) is not kind:  # not of a class below it either
        raise ValueError(f"a {type(value).__name__} stands where a {kind.__name__} was stored")
    return value


def _digests(value: object, *numbers: int) -> bytes:
    found: bytes = _of(bytes, value)
    if len(found) not in {SIZE * number for number in numbers}:
        raise ValueError(f"a digest of {len(found)} bytes")
    return found
