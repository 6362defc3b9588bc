"""`with` blocks around the user's own code, written as generators.

`contextlib.contextmanager` assigns to an exception that passes through a block. If the exception refuses attributes,
another one is raised. These two classes let every exception pass as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from cascade.spec.calls.error_text import is_error, put_traceback

P = ParamSpec("P")
T = TypeVar("T")


class Block(Generic[T]):
    """One `with` block: what comes before and after it are the two parts of a generator."""

    __slots__ = ("_generator",)

    def __init__(self, generator: Iterator[T]) -> None:
        self._generator: Any = generator

    def __enter__(self) -> T:
        value: T = next(self._generator)
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            next(self._generator) if error is None else self._generator.throw(error)
        except StopIteration:
            return  # the generator has ended; it never swallows what is thrown into it
        except BaseException as raised:
            if error is None or not _is_same(raised, error):
                raise
            put_traceback(error, trace)  # the way through the generator says nothing


class AsyncBlock(Generic[T]):
    """One `async with` block, in the same way."""

    __slots__ = ("_generator",)

    def __init__(self, generator: AsyncIterator[T]) -> None:
        self._generator: Any = generator

    async def __aenter__(self) -> T:
        value: T = await anext(self._generator)
        return value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await (anext(self._generator) if error is None else self._generator.athrow(error))
        except StopAsyncIteration:
            return
        except BaseException as raised:
            if error is None or not _is_same(raised, error):
                raise
            put_traceback(error, trace)


def _is_same(raised: BaseException, error: BaseException) -> bool:
    """Return whether a generator raised what was thrown into it, or what Python makes of a `StopIteration` there."""
    return raised is error or (
        type(raised) is RuntimeError
        and raised.__cause__ is error
        and is_error(error, (StopIteration, StopAsyncIteration))
    )


def block(make: Callable[P, Iterator[T]]) -> Callable[P, Block[T]]:
    """Make a generator function with one `yield` give a `with` block."""

    @wraps(make)
    def begin(*args: P.args, **kwargs: P.kwargs) -> Block[T]:
        return Block(make(*args, **kwargs))

    return begin


def async_block(make: Callable[P, AsyncIterator[T]]) -> Callable[P, AsyncBlock[T]]:
    """Make an async generator function with one `yield` give an `async with` block."""

    @wraps(make)
    def begin(*args: P.args, **kwargs: P.kwargs) -> AsyncBlock[T]:
        return AsyncBlock(make(*args, **kwargs))

    return begin
