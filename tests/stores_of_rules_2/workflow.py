"""The workflows of the stored runs. Each failed at its last call; nothing in this file may change, texts included."""

from __future__ import annotations

import os
from typing import Any

import cascade as cs

MADE: list[str] = []
"""The names of the tasks that were called in this process."""

BREAK = "CASCADE_STORED_RUNS_BREAK"
"""The environment variable that lets the last call of each run fail."""


@cs.task
def one(x: Any = 0) -> Any:
    MADE.append("one")
    return repr(x)


@cs.task
def add(a: Any, b: Any = 2) -> Any:
    MADE.append("add")
    return [a, b]


@cs.task(name="100 %d%%")
def open_ended(a: Any, *rest: Any, **named: Any) -> Any:
    MADE.append("open_ended")
    return len(repr((a, rest, named)))


@cs.task
def last(value: Any) -> Any:
    MADE.append("last")
    if os.environ.get(BREAK):
        raise ValueError(value)
    return value


def _layers() -> Any:
    row = [one(number) for number in range(7)]
    for _ in range(4):
        row = [add(row[index], row[(index + 1) % 7]) for index in range(7)]
    return open_ended(row)


def _chain() -> Any:
    value = one(0)
    for number in range(30):
        value = add(value) if number % 2 else one(value)
    return value


def _literals() -> list[Any]:
    return [
        one(each) for each in (None, True, 2**70, -1.5, "\u00e9\ud800 %s", b"\0\xff", (), (1, "a"), [1, [2]])
    ]


def targets() -> dict[str, Any]:
    """Return what each stored run was asked for, but for its last call."""
    return {
        "fan": open_ended([one(number) for number in range(40)]),
        "wide": open_ended([one(number % 5) for number in range(700)], *[one()] * 3),
        "arguments": open_ended(*[one(number) for number in range(25)]),
        "chain": _chain(),
        "layers": _layers(),
        "literals": open_ended(_literals(), one({"k": 1}), one({3, 1, 2}), one(x=5), one(repr)),
        "nested": open_ended(
            {"%d": [one(1), 5, (one(2),)], "k": one(3)},
            add(1, one(4)),
            add(one(5), b=one(6)),
            z=[one(7)],
            y=one(8),
        ),
        "shared": open_ended(*[add(each, each) for each in [one(9)] * 2]),
        "policies": open_ended([one(1).with_retry(2), one(2).run_if(one(True)), one(3).after(one(4))]),
        "maps": open_ended(cs.map(one, [1, 2, 3]), cs.map(one, add(1).with_retry(1))),
        "inputs": open_ended(cs.Param("number", default=3), [one(cs.Param("text", default="t"))]),
        "routes": open_ended(cs.Router(one(1), {"1": one(2), "2": one(3)})),
    }


def target(name: str) -> Any:
    """Return the target of a stored run."""
    return last(targets()[name])
