"""Claims about idempotency keys: what tells the key of one call from that of another."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import IdempotencyKeyError
from cascade.spec.common import SecretValue

KEYS: list[str] = []
TROUBLE: list[Exception] = []


@pytest.fixture(autouse=True)
def afresh() -> None:
    KEYS.clear()
    TROUBLE.clear()


@dataclass(frozen=True)
class Order:
    number: int
    auth: object = None


@cs.task
def pay(
    order: object,
    amount: object = 100,
    *rest: object,
    key: str = cs.inject("idempotency_key"),
    **more: object,
) -> str:
    KEYS.append(key)
    return key


@cs.task
def report(paid: object) -> object:
    if TROUBLE:
        raise TROUBLE.pop()
    return paid


def key_after(url: str, first: cs.LazyResult[Any], then: cs.LazyResult[Any], **settings: Any) -> bool:
    """Tell whether the second call has the key of the first one, in a run that went on with it."""
    TROUBLE.append(OSError("no printer"))
    with pytest.raises(OSError, match="no printer"):
        cs.run(report(first), state=url, run_id="order", **settings)
    cs.run(report(then), state=url, run_id="order", resume="compatible", **settings)
    assert len(KEYS) == 2
    return KEYS[0] == KEYS[1]


@pytest.mark.parametrize(
    "changed",
    [
        lambda: pay(7, 999),
        lambda: pay(8, 100),
        lambda: pay(7, 100, "extra"),
        lambda: pay(7, 100, note="new"),
        lambda: pay(7, 100.0),
        lambda: pay([7], 100),
        lambda: pay(Order(7), 100),
    ],
)
def test_a_call_whose_arguments_have_changed_has_another_key(
    url: str, changed: Callable[[], cs.LazyResult[str]]
) -> None:
    """Under `resume="compatible"` a changed argument, by whatever way it is given, makes another key."""
    assert not key_after(url, pay(7, 100), changed())


def test_an_argument_that_another_task_gives_counts_by_its_value(url: str) -> None:
    """The key goes by what an argument is, whoever gives it: a changed input makes another one."""
    amount = cs.Param("amount", type=int)
    TROUBLE.append(LookupError())
    with pytest.raises(LookupError):
        cs.run(report(pay(7, amount)), params={"amount": 1}, state=url, run_id="order")
    cs.run(report(pay(7, amount)), params={"amount": 2}, state=url, run_id="order", resume="compatible")
    assert len(set(KEYS)) == 2


AMOUNT: Any = cs.Param("amount", 1)


@cs.task
def pay_by_input(order: int, amount: Any = AMOUNT, key: str = cs.inject("idempotency_key")) -> str:
    KEYS.append(key)
    return key


def test_a_default_that_is_an_input_counts_by_its_value(url: str) -> None:
    """An input that stands as a parameter's default is an argument like any other."""
    for amount in (1, 2):
        TROUBLE.append(LookupError())
        with pytest.raises(LookupError):
            cs.run(
                report(pay_by_input(7)),
                params={"amount": amount},
                state=url,
                run_id="order",
                resume="compatible",
            )
    assert len(set(KEYS)) == 2


def test_the_same_call_keeps_its_key_when_it_is_written_otherwise(url: str) -> None:
    """Named or by position, with the default or without: the same arguments give the same key."""
    assert key_after(url, failing(7, 100), failing(amount=100, order=7))


@cs.task
def failing(order: int, amount: int = 100, key: str = cs.inject("idempotency_key")) -> str:
    KEYS.append(key)
    if TROUBLE:
        raise TROUBLE.pop()
    return key


def test_an_attempt_that_changes_its_argument_does_not_change_the_key() -> None:
    """The key is made before the first attempt, so all attempts have one."""

    @cs.task
    def grow(rows: list[int], key: str = cs.inject("idempotency_key")) -> int:
        KEYS.append(key)
        rows.append(len(rows))
        if len(rows) < 4:
            raise ConnectionError
        return len(rows)

    assert cs.run(grow([1]).with_retry(5)) == 4
    assert len(KEYS) == 3
    assert len(set(KEYS)) == 1


def test_items_of_a_map_have_keys_by_their_own_arguments(url: str) -> None:
    """Of a map that goes on with another item only that item's key is another one."""
    TROUBLE.append(LookupError())
    with pytest.raises(LookupError):
        cs.run(report(pay.map(order=[1, 2, 3])), state=url, run_id="m")
    first, KEYS[:] = [*KEYS], []
    cs.run(report(pay.map(order=[1, 5, 3])), state=url, run_id="m", resume="compatible")
    assert [one == two for one, two in zip(first, KEYS, strict=True)] == [True, False, True]


@pytest.mark.parametrize(
    "wrap",
    [lambda secret: secret, lambda secret: {"auth": [secret]}, lambda secret: Order(1, secret)],
    ids=["itself", "in a container", "in a field"],
)
def test_the_value_of_a_secret_is_no_part_of_a_key(url: str, wrap: Callable[[object], object]) -> None:
    """A key is handed to others, so it does not depend on a secret, wherever that stands in an argument."""
    one, two = wrap(SecretValue("hunter2")), wrap(SecretValue("correct horse"))
    TROUBLE.append(LookupError())
    with pytest.raises(LookupError):
        cs.run(keyed_failure(one), state=url, run_id="order")
    cs.run(keyed_failure(two), state=url, run_id="order", resume="compatible")
    assert len(KEYS) == 2
    assert KEYS[0] == KEYS[1]


@cs.task
def keyed_failure(auth: object, key: str = cs.inject("idempotency_key")) -> None:
    KEYS.append(key)
    if TROUBLE:
        raise TROUBLE.pop()


def test_resources_are_no_part_of_a_key() -> None:
    """A resource need have no form for the key: it is no argument of the call."""

    @cs.resource
    def lock() -> Iterator[Any]:
        yield threading.Lock()

    assert len(cs.run(pay(7, cs.inject("lock"), [cs.inject(lock)]), resources=[lock])) == 32


def test_an_argument_without_a_form_is_named() -> None:
    """An argument that can't go into the key is an error that names task, argument and remedy; it can be pickled."""
    with pytest.raises(
        IdempotencyKeyError, match=r"'pay'.*argument 'order'.*lock.*register_encoder"
    ) as caught:
        cs.run(pay({"a": threading.Lock()}))
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert not KEYS


def test_a_task_that_does_not_ask_takes_any_argument() -> None:
    """No key is made for a task that does not ask for it."""

    @cs.task
    def hold(what: object) -> str:
        return type(what).__name__

    assert cs.run(hold(threading.Lock())) == "lock"
