"""Timed calls: a function that also notes when each of its calls has ended, or fills in what they take.

Plain calls follow each other, so each began when the one before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cascade.graph.plain_structure import Form
from cascade.runtime.programs.call_sites import passes_on

Ends = list[float]
"""When each of some calls ended, in seconds of `time.monotonic`."""


@passes_on
def timed(func: Callable[..., Any], ends: Ends | None, arity: int = 0) -> Callable[..., Any]:
    """Return `func`, or a function around it that notes the ends of its calls; one that raises has none there.

    All arguments are given by position; if there is always one, `arity` is 1, which is faster.
    """
    if ends is None:
        return func
    # Once per call of every watched stretch: watched by observatory/benchmarks/bench_events.py.
    note, clock = ends.append, time.monotonic

    def call_single(argument: Any) -> Any:
        value = func(argument)
        note(clock())
        return value

    def call(*args: Any) -> Any:
        value = func(*args)
        note(clock())
        return value

    return call_single if arity == 1 else call


@passes_on
def with_resources(func: Callable[..., Any], form: Form, resources: Mapping[str, Any]) -> Callable[..., Any]:
    """Return `func` with its resources: for the arguments that stand for one, and for defaults that are one."""
    named = {parameter: resources[name] for parameter, name in form.defaults}
    if not form.injected:
        return partial(func, **named)
    placed = {each.argument: resources[each.resource] for each in form.injected}
    by_position = {at: value for at, value in placed.items() if isinstance(at, int)}
    by_name = {at: value for at, value in placed.items() if isinstance(at, str)}
    if len(placed) == len(by_position) == 1:
        ((place, single),) = by_position.items()
        after = place + 1

        def call_with_one(*args: Any, **kwargs: Any) -> Any:
            return func(*args[:place], single, *args[after:], **kwargs, **named)

        return call_with_one

    def call(*args: Any, **kwargs: Any) -> Any:
        filled = [*args]
        for at, value in by_position.items():
            filled[at] = value
        return func(*filled, **{**kwargs, **by_name, **named})

    return call
