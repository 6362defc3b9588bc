"""The lightest conceivable lazy result: what a workload's limit builds in place of Cascade's.

It holds a task, args and kwargs and nothing else: no policies, no checks. Its policies cost what any copy costs and
mean nothing; the limit of a workload does by hand what they ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Lazy:
    """One call that has not been made."""

    __slots__ = ("args", "kwargs", "task")

    def __init__(self, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs

    def run_if(self, _condition: Lazy, otherwise: object = None) -> Lazy:
        return Lazy(self.task, self.args, self.kwargs)

    def with_retry(self, max_attempts: int) -> Lazy:
        return Lazy(self.task, self.args, self.kwargs)


class Task:
    """A function whose calls are recorded."""

    __slots__ = ("func",)

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func

    def __call__(self, *args: Any, **kwargs: Any) -> Lazy:
        return Lazy(self, args, kwargs)

    def map(self, **kwargs: Any) -> Lazy:
        return Lazy(self, (), kwargs)


class Router:
    """A selector and its routes."""

    __slots__ = ("routes", "selector")

    def __init__(self, selector: Lazy, routes: dict[Any, Lazy]) -> None:
        self.selector = selector
        self.routes = routes


def gather(*lazies: Lazy) -> Lazy:
    return Lazy(COLLECT, lazies, {})


COLLECT = Task(lambda *values: list(values))
