"""Resources of workers that note in a file when they open and close, and tasks that take them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import cascade as cs

tenant: ContextVar[Any] = ContextVar("tenant")
_LOG: Any = cs.Param("log", type=str)
_FACTOR: Any = cs.Param("factor", 2, type=int)
_CITY: Any = cs.Env("CASCADE_TEST_CITY", "")
_TOKEN: Any = cs.Secret("token")
region: ContextVar[str] = ContextVar("region", default="nowhere")


class Model:
    """What can't be pickled, and so is never sent."""

    def __init__(self, log: str, factor: int = 1) -> None:
        self.log, self.factor, self.process = Path(log), factor, os.getpid()

    def __reduce__(self) -> Any:
        raise TypeError("a model does not travel")

    def note(self, line: str) -> None:
        """Add a line to the file."""
        note(str(self.log), line)


def note(log: str, line: str) -> None:
    """Add a line to a file that all processes share."""
    with open(log, "a") as file:  # noqa: PTH123 - in one write
        file.write(f"{line} {os.getpid()}\n")


def notes(log: Path) -> list[str]:
    """Return what was noted, without the processes."""
    return [line.rpartition(" ")[0] for line in log.read_text().splitlines()] if log.exists() else []


@cs.resource(where="worker")
def model(log: str = _LOG, factor: int = _FACTOR) -> Iterator[Model]:
    made = Model(log, factor)
    made.note("+model")
    yield made
    made.note("-model")


@cs.resource(where="worker")
async def client(model: Model = cs.inject("model")) -> AsyncIterator[tuple[Model, object]]:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    model.note("+client")
    yield model, loop
    assert asyncio.get_running_loop() is loop
    model.note("-client")


@cs.resource(where="worker")
def broken(log: str = _LOG) -> Iterator[None]:
    note(log, "broken")
    raise LookupError("no such model")
    yield


@cs.resource(where="worker")
def empty() -> Iterator[None]:
    yield from ()


@cs.resource(where="worker")
def clumsy(log: str = _LOG) -> Iterator[str]:
    yield "value"
    note(log, "-clumsy")
    raise OSError("can't close")


@cs.resource(where="worker")
def keyed(token: Any = _TOKEN) -> Iterator[str]:
    yield token.reveal()[::-1]


@cs.resource(where="worker")
def envied(city: Any = _CITY) -> Iterator[str]:
    yield city


@cs.resource
def of_driver() -> Iterator[str]:
    yield "a plain value that could be pickled"


@cs.resource(where="worker")
def confused(inner: str = cs.inject("of_driver")) -> Iterator[str]:
    yield inner


@cs.task
def scale(number: int, model: Model = cs.inject("model")) -> tuple[int, bool]:
    """Return the number times the factor, and whether the model was opened in this process."""
    return number * model.factor, model.process == os.getpid()


@cs.task(on="pool")
def on_pool(number: int, model: Model = cs.inject("model")) -> tuple[int, bool]:
    """The same on an executor that is named."""
    return number * model.factor, model.process == os.getpid()


@cs.task
def nested(given: dict[str, list[Model]], key: str = cs.inject("idempotency_key")) -> tuple[bool, bool]:
    """Return whether a model that is deep in the arguments was opened here, and whether the call has its key."""
    return given["models"][0].process == os.getpid(), key == cs.current_call().idempotency_key


@cs.task
def ask(client: tuple[Model, object] = cs.inject("client")) -> Any:
    """Return an awaitable that tells whether it is awaited where the client was opened."""

    async def asked() -> bool:
        await asyncio.sleep(0)
        return asyncio.get_running_loop() is client[1]

    return asked()


@cs.task
def use_broken(value: object = cs.inject("broken")) -> None:
    """Take what can't be opened."""


@cs.task
def use_empty(value: object = cs.inject("empty")) -> None:
    """Take what yields nothing."""


@cs.task
def use_clumsy(value: str = cs.inject("clumsy")) -> str:
    return value


@cs.task
def use_keyed(value: str = cs.inject("keyed")) -> str:
    return value


@cs.task
def use_envied(value: str = cs.inject("envied")) -> str:
    return value


@cs.task
def use_driver(value: str = cs.inject("of_driver")) -> str:
    return value


@cs.task(mode="process")
def use_driver_deep(values: list[str]) -> str:
    return values[0]


@cs.task
def use_confused(value: str = cs.inject("confused")) -> str:
    return value


@cs.task
def leave(log: str, model: Model = cs.inject("model")) -> None:
    """End the process at the first attempt, and return at the second."""
    if "left" not in notes(Path(log)):
        note(log, "left")
        os._exit(1)


@cs.task
def seen() -> tuple[Any, str]:
    """Return what the call sees of the context variables."""
    return tenant.get(None), region.get()


@cs.task
def seen_by(number: int) -> tuple[Any, str]:
    """Return what an item sees of them."""
    return tenant.get(None), region.get()


@cs.task(mode="process")
def seen_in_process() -> tuple[Any, str]:
    """Return what a call in another process sees of them."""
    return tenant.get(None), region.get()


@cs.task
def seen_length() -> int:
    """Return the length of the tenant's name."""
    return len(tenant.get())


@cs.task(mode="inline")
def set_here(value: str) -> None:
    """Set the variable in the context of the run."""
    tenant.set(value)


class OnlyHere:
    """What can be pickled and not unpickled."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


@cs.task
def collect(before: list[Any], model: Model = cs.inject("model")) -> list[Any]:
    """Add to a list what a call sees of the tenant, and the factor of the model."""
    return [*before, (tenant.get(None), model.factor)]


@cs.task
def collect_tenant(before: list[Any]) -> list[Any]:
    """Add to a list what a call sees of the tenant."""
    return [*before, tenant.get(None)]


@cs.task
def change() -> tuple[Any, str]:
    """Set the variables, and return what was seen before."""
    before = tenant.get(None), region.get()
    tenant.set("changed")
    region.set("changed")
    return before


@cs.task
def facts(
    number: int, key: str = cs.inject("idempotency_key")
) -> tuple[str, str, int | None, int, bool, int]:
    """Return what the call knows of itself, and whether it has its key, and its process."""
    call = cs.current_call()
    has_key = bool(key) and call.idempotency_key == key
    return call.run_id, call.task, call.item, call.attempt, has_key, os.getpid()


@cs.task
def second_attempt(log: str, key: str = cs.inject("idempotency_key")) -> tuple[int, bool]:
    """Fail at the first attempt; return the attempt, and whether the key is still the same."""
    call = cs.current_call()
    note(log, key)
    if call.attempt == 1:
        raise OSError("not yet")
    return call.attempt, notes(Path(log)) == [key, key]


@cs.task
def logged(text: str) -> str:
    """Return the fields of a record that the call has logged."""
    seen: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = vars(record)
            seen.append(" ".join(str(fields[name]) for name in ("run_id", "task_name", "item", "attempt")))

    handler, logger = Keeping(), logging.getLogger("worker")
    handler.addFilter(cs.CallLogFilter())
    logger.addHandler(handler)
    logger.warning(text)
    logger.removeHandler(handler)
    return seen[0]


@cs.task
def span_here() -> str:
    """Return the trace that is current here."""
    from opentelemetry import trace

    return f"{trace.get_current_span().get_span_context().trace_id:x}"


RESOURCES = (model, client, broken, empty, clumsy, keyed, envied, of_driver, confused)
