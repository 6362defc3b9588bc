"""Workflows for runs that are interrupted and recovered: each call is noted in a ledger outside of the store."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import Engine, RecoveredRun, RecoveryOutcome

LEDGER = "TEST_LEDGER"
"""The environment variable that names the ledger."""
STUCK = "TEST_STUCK"
"""While this variable is set, the thread of a call does not end."""
DEADLY = "TEST_DEADLY"
"""While this variable is set, a call kills its process: each time with the value `always`, else once for each key."""
HELD = "TEST_HELD"
"""While this variable is set, the second step of a run waits."""


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not is_so():  # noqa: ASYNC110 - what it waits for is in a store
        await asyncio.sleep(0.005)


def ledger() -> list[str]:
    """Return the calls that were made so far."""
    path = Path(os.environ[LEDGER])
    return path.read_text().split() if path.exists() else []


@cs.task
def charge(key: str, *after: Any) -> str:
    log = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, f"{key}\n".encode())
    os.close(log)
    return key


@cs.task
async def hold(key: str, *after: Any) -> str:
    while os.environ.get(HELD):  # noqa: ASYNC110 - also set from outside of the process
        await asyncio.sleep(0.005)
    return key


@cs.task(mode="thread")
def stick(key: str) -> str:
    while os.environ.get(STUCK):
        charge.func("stuck")
        time.sleep(0.05)
    return key


@cs.task
def die(key: str, *after: Any) -> str:
    deadly = os.environ.get(DEADLY)
    if deadly == "always" or (deadly and f"dies:{key}" not in ledger()):
        charge.func(f"dies:{key}")
        os.kill(os.getpid(), signal.SIGKILL)
    return key


@cs.task
def name_of(order: str, step: str) -> str:
    return f"{order}/{step}"


@cs.task
def reveal(secret: Any, *after: Any) -> str:
    if secret.reveal() == "wrong":
        raise ValueError("the secret is wrong")
    return f"{len(str(secret.reveal()))} characters"


@cs.task(on="pool")
def reveal_there(secret: Any, *after: Any) -> str:
    return f"{len(str(secret.reveal()))} characters"


@cs.task
def fail(*after: Any) -> None:
    raise ValueError("as it should")


def order_flow() -> Any:
    order = cs.Param("order", type=str)
    first = charge(name_of(order, "one"))
    return charge(name_of(order, "two"), hold(order, first))


def secret_flow() -> Any:
    order = cs.Param("order", type=str)
    first = charge(name_of(order, "one"))
    return reveal(cs.Secret("token"), hold(order, first))


def pool_flow() -> Any:
    order = cs.Param("order", type=str)
    return reveal_there(cs.Secret("token"), hold(order, charge(name_of(order, "one"))))


def secret_env_flow() -> Any:
    order = cs.Param("order", type=str)
    return reveal(cs.Env("TEST_KEY", secret=True), hold(order, charge(name_of(order, "one"))))


def default_secret_flow() -> Any:
    order = cs.Param("order", type=str)
    return reveal(cs.Secret("token", "none"), hold(order, charge(name_of(order, "one"))))


def pin_flow() -> Any:
    order = cs.Param("order", type=str)
    return reveal(cs.Secret("pin", type=int), hold(order, charge(name_of(order, "one"))))


def failing_flow() -> Any:
    order = cs.Param("order", type=str)
    return fail(hold(order, charge(name_of(order, "one"))))


def deadly_flow() -> Any:
    order = cs.Param("order", type=str)
    last = hold(order, charge(name_of(order, "one")))
    for step in ("a", "b", "c"):
        last = die(name_of(order, step), last)
    return charge(name_of(order, "two"), last)


def stuck_flow() -> Any:
    order = cs.Param("order", type=str)
    return stick(hold(order, charge(name_of(order, "one"))))


def env_flow() -> Any:
    order = cs.Param("order", type=str)
    port = cs.Env("TEST_PORT", type=int, identity=False)
    first = charge(name_of(order, "one"), port)
    return charge(name_of(order, "two"), hold(order, first), cs.Env("TEST_REGION"))


async def interrupted(url: str, workflow: Any, run_id: str, **settings: Any) -> None:
    """Leave a run that was interrupted after its first step: its engine is closed meanwhile."""
    os.environ[HELD] = "1"
    before = len(ledger())
    params = {"order": run_id, **settings.pop("params", {})}
    async with Engine(state=url, executors=settings.pop("executors", None)) as engine:
        work = engine.run(workflow, run_id=run_id, params=params, **{"keep_inputs": True, **settings})
        running = asyncio.ensure_future(work)
        await until(lambda: len(ledger()) > before or running.done())
    del os.environ[HELD]
    with pytest.raises(asyncio.CancelledError):
        await running


async def recovered(url: str, **settings: Any) -> dict[str, RecoveredRun]:
    """Recover the runs of a store once; return what has become of them, by their ids."""
    async with Engine(state=url) as engine:
        found = await engine.recover(**settings)
    assert len({run.run_id for run in found}) == len(found)
    return {run.run_id: run for run in found}


def outcomes(found: dict[str, RecoveredRun]) -> dict[str, RecoveryOutcome]:
    """Return the outcomes of runs by their ids."""
    return {run_id: run.outcome for run_id, run in found.items()}
