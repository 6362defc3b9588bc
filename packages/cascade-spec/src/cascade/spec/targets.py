"""Targets: what a run may be given, and the error for each thing that is given by mistake."""

from __future__ import annotations

import inspect
from types import CoroutineType, FunctionType, GeneratorType

from cascade.spec.calls.arguments import Container
from cascade.spec.calls.signatures import Function
from cascade.spec.errors import NotLazyError
from cascade.spec.inputs.workflow import WorkflowSpec, collect
from cascade.spec.resource import Resource
from cascade.spec.task import Task


def made_by(workflow: Function) -> tuple[object, WorkflowSpec]:
    """Call a workflow function; return what it returned and the inputs that it declared.

    Raises:
        NotLazyError: If it needs arguments, returned nothing, or is an `async def`.
    """
    try:
        made, spec = collect(workflow)
    except TypeError as problem:
        needed = _needed_arguments(workflow)
        if needed and _is_of_the_call(problem):
            raise _needs_arguments(workflow, needed) from None
        raise
    name = _name_of(workflow)
    if made is None:
        raise NotLazyError(
            f"workflow '{name}' returned None", "write `return` in front of the lazy result that it makes"
        )
    if isinstance(made, CoroutineType):
        made.close()
        raise NotLazyError(
            f"workflow '{name}' is an `async def`",
            "write a plain `def`, and put what it awaits into a task",
        )
    return made, spec


def check_no_arguments(workflow: Function) -> None:
    """Check that a workflow function can be called without arguments.

    Raises:
        NotLazyError: If it can't.
    """
    needed = _needed_arguments(workflow)
    if needed:
        raise _needs_arguments(workflow, needed)


def check_called(target: Container) -> None:
    """Check that a list, tuple or dict of targets holds no task in place of its call.

    Raises:
        NotLazyError: If it does.
    """
    values: Container = target.values() if type(target) is dict else target
    if Task in map(type, values):
        index = [*map(type, values)].index(Task)
        where = [*target][index] if type(target) is dict else index
        raise wrong_target([*values][index], f"item {where!r} of the target")


def wrong_target(given: object, what: str = "the target") -> NotLazyError:
    """Return the error for something that is no target."""
    if isinstance(given, Task):
        return NotLazyError(f"{what} is task '{given.name}' itself", f"call it: {given.name}(...)")
    if isinstance(given, Resource):
        return NotLazyError(
            f"{what} is resource '{given.name}'", f"give a task that takes it: cs.inject({given.name!r})"
        )
    if isinstance(given, FunctionType):
        name = _name_of(given)
        return NotLazyError(f"{what} is the function '{name}' itself", f"call it: {name}(...)")
    if isinstance(given, (GeneratorType, set, frozenset, map, filter, zip)):
        return NotLazyError(f"{what} is a {type(given).__name__}", "give a list of the lazy results")
    kind = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
    return NotLazyError(
        f"{what} is {'None' if given is None else kind}",
        "give the lazy result that calling a task returns, or a list or dict of them",
    )


def _needed_arguments(workflow: Function) -> list[str]:
    try:
        parameters = inspect.signature(workflow).parameters.values()
    except (TypeError, ValueError):
        return []
    return [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]


def _is_of_the_call(problem: BaseException) -> bool:
    """Return whether calling the function failed, and not something inside it."""
    frames = problem.__traceback__
    depth = 0
    while frames is not None:
        depth, frames = depth + 1, frames.tb_next
    return depth <= _OWN_FRAMES


_OWN_FRAMES = 2
"""The frames of `made_by` and `collect`. A function that could be called adds a frame of its own."""


def _needs_arguments(workflow: Function, needed: list[str]) -> NotLazyError:
    name, first = _name_of(workflow), needed[0]
    listed = ", ".join(map(repr, needed))
    return NotLazyError(
        f"workflow '{name}' can't be called without {'argument' if len(needed) == 1 else 'arguments'} {listed}",
        f"give what it returns, {name}(...), or take the value inside it: {first} = cs.Param({first!r})",
    )


def _name_of(workflow: Function) -> str:
    return str(getattr(workflow, "__name__", type(workflow).__name__))
