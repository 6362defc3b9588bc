"""Values that nothing may show, each in a place of its own where a run has values, and workflows that have them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import cascade as cs

WORD = "canary"
"""What is in every value that nothing may show."""

PLACES = (
    "argument",
    "keyword",
    "container",
    "key",
    "default",
    "closure",
    "item",
    "result",
    "param",
    "secret",
    "env",
    "secret_env",
    "resource",
    "round",
    "error",
    "attempt",
    "secret_error",
    "condition",
    "selector",
    "repr",
)
"""Where values are."""

EACH = 10
"""So many values are in each of these places: 200 in all."""


def canary(place: str, number: int) -> str:
    """Return the value of this number at a place."""
    return f"{WORD}-{place}-{number}"


NUMBERS = range(EACH)
PARAMS = {f"param_{number}": canary("param", number) for number in NUMBERS}
SECRETS = {f"secret_{number}": canary("secret", number) for number in NUMBERS}
WRONG = {f"wrong_{number}": canary("secret_error", number) for number in NUMBERS}
ENVIRONMENT = {f"CANARY_{number}": canary("env", number) for number in NUMBERS}
ENVIRONMENT |= {f"SECRET_{number}": canary("secret_env", number) for number in NUMBERS}


class QuietError(Exception):
    """An error that has values, and does not tell them."""

    def __str__(self) -> str:
        return "no"


class Shy:
    """An object that tells its value when it is printed."""

    def __init__(self, number: int) -> None:
        self.value = canary("repr", number)

    def __repr__(self) -> str:
        return self.value


@cs.resource
def store() -> Iterator[list[str]]:
    yield [canary("resource", number) for number in NUMBERS]


@cs.task
def take(*values: Any, **named: Any) -> list[str]:
    return [canary("result", number) for number in NUMBERS]


@cs.task
def use(kept: Any = cs.inject("store"), default: str = canary("default", 0)) -> Any:
    return kept


@cs.task
async def item(value: str) -> str:
    await asyncio.sleep(0)
    return value


@cs.task
def again(value: str, left: int) -> Any:
    return again(canary("round", left - 1), left - 1) if left else value


@cs.task
def fail(value: Any) -> None:
    raise QuietError(value, *(canary("error", number) for number in NUMBERS))


@cs.task
def fail_with_secret(token: Any) -> None:
    raise ValueError(f"the token {token} is wrong: {token!r}")


@cs.task(retry=cs.RetryPolicy(max_attempts=3, delay=0))
def try_again(value: str) -> None:
    raise QuietError(value)


def canary_target() -> cs.LazyResult[Any]:
    """Return a target with a value that nothing may show in each place, some of whose calls fail."""
    return cs.gather(quiet_canary_target(), *_failing())


def quiet_canary_target() -> cs.LazyResult[Any]:
    """Return the same without the calls that fail."""
    values = [
        *(canary("argument", number) for number in NUMBERS),
        [canary("container", number) for number in NUMBERS],
        {canary("key", number): number for number in NUMBERS},
        *(cs.Param(name, type=str) for name in PARAMS),
        *(cs.Secret(name) for name in (*SECRETS, *WRONG)),
        *(cs.Env(f"CANARY_{number}") for number in NUMBERS),
        *(cs.Env(f"SECRET_{number}", secret=True) for number in NUMBERS),
        *(Shy(number) for number in NUMBERS),
    ]
    taken = take(*values, **{f"named_{number}": canary("keyword", number) for number in NUMBERS})
    items = item.map([canary("item", number) for number in NUMBERS])
    decided = [take().run_if(take(canary("condition", number)), otherwise=None) for number in NUMBERS]
    chosen = [
        cs.Router(selector=_chooser(number)(canary("selector", number)), routes={True: take(), False: use()})
        for number in NUMBERS
    ]
    defaults = [_with_default(number)() for number in NUMBERS]
    return cs.gather(taken, items, use(), again(canary("round", EACH), EACH), *decided, *chosen, *defaults)


def _failing() -> Iterator[cs.LazyResult[Any]]:
    yield fail(canary("error", 0))
    for number in NUMBERS:
        yield try_again(canary("attempt", number))
        yield fail_with_secret(cs.Secret(f"wrong_{number}"))


def _chooser(number: int) -> cs.Task[bool]:
    value = canary("closure", number)

    @cs.task
    def choose(selector: str) -> bool:
        return bool(selector) and bool(value)

    return choose


def _with_default(number: int) -> cs.Task[str]:
    @cs.task
    def defaulted(value: str = canary("default", number)) -> str:
        return value

    return defaulted
