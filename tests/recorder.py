"""Tasks made on the spot that note when they run, for tests written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from observation import Observed, observe, plain_engine
from reference import interpret

from cascade.runtime import Engine, MessageBus
from cascade.spec import LazyResult, Task

Lazy = LazyResult[Any]


class Recorder:
    """Makes calls by name; `ran` has the names of those that were made, in their order."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def task(self, name: str, gives: object = 1) -> Task[Any]:
        """Make a task that gives a value, raises an error, or calls a function with its arguments."""

        def perform(*args: Any, **kwargs: Any) -> Any:
            self.ran.append(name)
            return _give(gives, args, kwargs)

        return Task(perform, name=name)

    def __call__(self, name: str, gives: object = 1, *args: Any, **kwargs: Any) -> Lazy:
        """Make a call of such a task."""
        return self.task(name, gives)(*args, **kwargs)

    def skipped(self, name: str) -> Lazy:
        """Make a call whose condition is false."""
        return self(name).run_if(self(f"{name}'s condition", 0))


def _give(gives: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if isinstance(gives, BaseException):
        raise gives
    return gives(*args, **kwargs) if callable(gives) else gives


def told_by_engine(
    target: Lazy, on_failure: str = "finish", make_engine: Callable[[MessageBus], Engine] = plain_engine
) -> dict[str, str]:
    """Run a target; return the last word on each task, by name."""
    return verdicts(observe(target, make_engine, on_failure=on_failure))


def verdicts(seen: Observed) -> dict[str, str]:
    """Return the last word on each task of a run, by name; each name may occur only once."""
    seen.check_order()
    found = {each.name: each.verdict for each in seen.told.values()}
    assert len(found) == len(seen.told)
    return found


def told_by_reference(target: Lazy) -> dict[str, str]:
    """Return what the reference says of each task, by name."""
    return {each.name: each.verdict for each in interpret(target).told}
