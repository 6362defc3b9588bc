"""The workflows of the stored runs. Whatever is done to this file, the runs must be refused for another reason."""

from __future__ import annotations

import os
import signal
from typing import Any

import cascade as cs

DIES = "CASCADE_DIES"
"""The environment variable that names the run which is to be killed where it stands, by its own hand."""


@cs.task
def square(x: int) -> int:
    return x * x


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


@cs.task(cache=cs.ByInputs())
def cached(x: int) -> int:
    return 10 * x


@cs.task(cache=cs.ByInputs(ttl=1e10))
def cached_for_long(x: int) -> int:
    return 100 * x


@cs.task
def fail(x: int) -> int:
    raise ValueError(x)


@cs.task
def die(x: int) -> int:
    if os.environ.get(DIES) == "interrupted":
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@cs.task
def count(left: int, sum_so_far: int) -> Any:
    if left == 3 and os.environ.get(DIES) == "looping":
        os.kill(os.getpid(), signal.SIGKILL)
    return count(left - 1, total([sum_so_far, left])) if left else sum_so_far


def finished() -> cs.LazyResult[Any]:
    """Give a run with each kind of fact: values, a skip, a router, a map, loops, an input."""
    router = cs.Router(square(1), {1: square(2), 2: square(3)})
    skipped = square(4).run_if(square(0), otherwise=16)
    return total(
        [total(square.map(x=[1, 2, 3])), square(router), skipped, count(5, 0), cs.Param("n", type=int)]
    )


def failed() -> cs.LazyResult[Any]:
    return total([square(5), fail(square(6))])


def interrupted() -> cs.LazyResult[Any]:
    return total([square(7), die(square(8))])


def looping() -> cs.LazyResult[Any]:
    return count(9, 0)


def caching() -> cs.LazyResult[Any]:
    return total([cached(1), cached(2), cached_for_long(1)])


TARGETS = {"finished": finished, "failed": failed, "interrupted": interrupted, "looping": looping}
PARAMS: dict[str, dict[str, object]] = {"finished": {"n": 1}}
