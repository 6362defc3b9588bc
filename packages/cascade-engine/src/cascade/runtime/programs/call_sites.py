"""Call sites: the functions that make calls one after another, and which call one of them is making.

They note nothing for this. Which call it is can be read from the variables of the function that makes it, and the run
from those of the function that drives it. So nobody pays but who asks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any, TypeVar

from cascade.adapters.call_facts import CallFacts, find_also
from cascade.graph.tree_views import node_name
from cascade.spec.lazy_types import LazyResult

F = TypeVar("F", bound=Callable[..., Any])

PLAN_SOURCE = "<cascade plan>"
"""What code that is written for a structure has as its file."""

_ENGINE = "cascade.runtime."
"""What the names of the engine's own modules begin with."""

Names = Mapping[str, Any]
"""The variables of a function, by name."""


_DRIVEN = ""
"""Stands for the name of a run that is known where the run is driven."""


def plain_call(lazy: LazyResult[Any]) -> CallFacts:
    """Return what is known, where it is made, of the first attempt of a call that is no item of a map."""
    return CallFacts(_DRIVEN, node_name(lazy))


def item_call(task: str, item: int) -> CallFacts:
    """Return the same for an item of a map."""
    return CallFacts(_DRIVEN, task, item)


_reads: dict[CodeType, Callable[[Names], CallFacts | None]] = {}
_drives: set[CodeType] = set()
_passed: set[CodeType] = set()


def makes_calls(read: Callable[[Names], CallFacts | None]) -> Callable[[F], F]:
    """Mark a function that makes calls of tasks; `read` tells from its variables which call it is making."""

    def mark(function: F) -> F:
        _reads[function.__code__] = read
        return function

    return mark


def drives_run(function: F) -> F:
    """Mark a method of an object with a `run_id` inside of which calls of that run are made."""
    _drives.add(function.__code__)
    return function


def passes_on(function: F) -> F:
    """Mark a function that calls tasks for one that makes calls, by itself or by functions that it returns."""
    _passed.add(function.__code__)
    _passed.update(each for each in function.__code__.co_consts if isinstance(each, CodeType))
    return function


def _read_written(names: Names) -> CallFacts | None:
    """Read code that is written for a structure: `at` is the node that is called, if one is."""
    at = names.get("at", -1)
    return None if at is None or at < 0 else plain_call(names[f"n{at}"])


def find_call(frame: FrameType | None) -> CallFacts | None:
    """Return the facts of the call that a frame is a part of; `None` if it is a part of none made on this stack."""
    found: CallFacts | None = None
    is_engines = False  # the frame that was looked at before, inside of this one
    while frame is not None:
        code = frame.f_code
        if found is not None:
            if code in _drives:
                return found._replace(run_id=_variables(frame)["self"].run_id)
        elif code not in _passed:
            read = _read_written if code.co_filename == PLAN_SOURCE else _reads.get(code)
            found = None if read is None or is_engines else read(_variables(frame))
            is_engines = read is not None or str(frame.f_globals.get("__name__")).startswith(_ENGINE)
            if found is None and is_engines:
                return None  # the engine calls something of the user's that is no call: a listener, say
            if found is not None and found.run_id != _DRIVEN:
                return found
        frame = frame.f_back
    return None


def _variables(frame: FrameType) -> Names:
    """Return the variables of a function as they are now."""
    names = frame.f_locals
    found = dict(names)
    if sys.version_info < (3, 13):
        names.clear()  # a copy that lives as long as the frame, and all that is in it with it
    return found


find_also(find_call)
