"""Providers: how the generator function of a resource is begun, and how it is brought to its end."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeAlias

from cascade.spec.calls.error_text import error_text, is_error
from cascade.spec.errors import CascadeRuntimeError
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.resource import Resource

_logger = logging.getLogger(__name__)

Generator: TypeAlias = Any
"""A provider that has begun: a generator, or an asynchronous one if its resource `is_async`."""


@dataclass(eq=False)
class ResourceYieldError(CascadeRuntimeError):
    """A provider yields never, or more than once."""

    resource: str
    problem: str

    def __str__(self) -> str:
        return f"resource '{self.resource}' {self.problem}; a provider yields its value exactly once"


async def open_provider(resource: Resource, arguments: Mapping[str, object]) -> tuple[Generator, object]:
    """Begin a provider with what its parameters get; return its generator and the value that it yields.

    Raises:
        ResourceYieldError: If it yields nothing.
        BaseException: Whatever it raises.
    """
    generator: Generator = resource.func(**arguments)
    try:
        value = await anext(generator) if resource.is_async else next(generator)
    except (StopIteration, StopAsyncIteration):
        raise ResourceYieldError(resource.name, "yields nothing") from None
    return generator, value


async def release_provider(
    resource: Resource, generator: Generator, failure: BaseException | None = None
) -> BaseException | None:
    """Let a provider finish; return what it raised itself, or that it yields again. A `failure` is thrown into it."""
    try:
        if resource.is_async:
            await (anext(generator) if failure is None else generator.athrow(failure))
        else:
            next(generator) if failure is None else generator.throw(failure)
    except (StopIteration, StopAsyncIteration):
        return None
    except BaseException as error:  # noqa: BLE001 - one failing release must not keep the others open
        return None if error is failure or _is_wrapped(failure, error) else error
    try:
        await generator.aclose() if resource.is_async else generator.close()
    except BaseException as error:  # noqa: BLE001 - as above
        return error
    return ResourceYieldError(resource.name, "yields more than once")


def log_release(resource: Resource, error: BaseException) -> None:
    """Log what the release of a worker's resource has raised: no run is there any more that could fail with it."""
    _logger.error("while releasing resource '%s': %s", resource.name, error_text(error), exc_info=error)


def _is_wrapped(failure: BaseException | None, error: BaseException) -> bool:
    """Tell whether `error` is the `RuntimeError` that Python makes of a `StopIteration` which leaves a generator."""
    stops = failure is not None and is_error(failure, (StopIteration, StopAsyncIteration))
    return stops and type(error) is RuntimeError and error.__cause__ is failure
