"""A user's script: what type checkers must find out about it, with no ignore anywhere.

The type check of the sources reads it, and `check_wheels.py` checks and runs it against the built wheels.
"""

from typing import assert_type

import cascade as cs
from cascade.spec import LazyResult, MappedLazyResult


@cs.task
def double(x: int) -> int:
    return 2 * x


@cs.task
async def fetch(url: str) -> str:
    return url.upper()


@cs.task(name="split words", mode="thread")
def words(text: str) -> list[str]:
    return text.split()


@cs.task
def countdown(n: int) -> str | LazyResult[str]:
    if n:
        return countdown(n - 1)
    return "lift-off"


@cs.task
async def poll(n: int) -> bool | LazyResult[bool]:
    if n:
        return poll(n - 1)
    return True


assert_type(double(1), LazyResult[int])
assert_type(double(double(1)), LazyResult[int])
assert_type(double(1).with_retry(max_attempts=1).run_if(poll(0)).after(fetch("u")), LazyResult[int])
assert_type(fetch("u").with_timeout(5.0), LazyResult[str])
assert_type(double.map(x=[1, 2]), MappedLazyResult[int])
assert_type(words.map(text=["a b", "c"]), MappedLazyResult[list[str]])
assert_type(fetch("u"), LazyResult[str])
assert_type(words(fetch("a b")), LazyResult[list[str]])
assert_type(countdown(3), LazyResult[str])
assert_type(poll(3), LazyResult[bool])


async def embedded() -> None:
    """Within a running loop."""
    assert_type(await cs.arun(double(1)), int)


if __name__ == "__main__":
    assert assert_type(cs.run(double(double(1))), int) == 4
    assert assert_type(cs.run(double.map(x=[1, 2])), list[int]) == [2, 4]
    assert assert_type(cs.run(fetch("u")), str) == "U"
    assert assert_type(cs.run(words(fetch("a b"))), list[str]) == ["A", "B"]
    assert assert_type(cs.run(countdown(3)), str) == "lift-off"
    assert assert_type(cs.run(poll(3)), bool)
