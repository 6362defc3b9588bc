"""Claims about policies: plain values, checked where they are written, on lazy results that never change."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.spec import MISSING, CachedCall, CacheKey, Hit, Mode, NotLazyError, PolicyError, SpecError


@cs.task
def f(*args: object, **kwargs: object) -> int:
    return 1


CHANGES: list[tuple[str, Callable[[cs.LazyResult[int]], cs.LazyResult[int]]]] = [
    ("retry", lambda lazy: lazy.with_retry(5)),
    ("timeout", lambda lazy: lazy.with_timeout(5)),
    ("cache", lambda lazy: lazy.with_cache(cs.ByInputs())),
    ("constraints", lambda lazy: lazy.with_constraints(gpu=1)),
    ("conditions", lambda lazy: lazy.run_if(f())),
    ("otherwise", lambda lazy: lazy.run_if(f(), otherwise=0)),
    ("after", lambda lazy: lazy.after(f())),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=[name for name, _ in CHANGES])
def test_a_policy_gives_a_new_lazy_result(
    name: str, change: Callable[[cs.LazyResult[int]], cs.LazyResult[int]]
) -> None:
    """Each `with_*`, `run_if` and `after` returns a new lazy result and leaves the old one as it was."""
    lazies: list[cs.LazyResult[Any]] = [f(1, x=2), f.map([1, 2]), cs.Param("p", default=1)]
    for lazy in lazies:
        before = lazy.policies
        changed = change(lazy)
        assert changed is not lazy
        assert isinstance(changed, type(lazy))
        assert lazy.policies is before
        assert (changed.task, changed.args, changed.kwargs) == (lazy.task, lazy.args, lazy.kwargs)
        assert getattr(changed.policies, name) != getattr(before, name)


def test_a_policy_keeps_what_a_map_is() -> None:
    """A mapped lazy result with a policy still maps the same arguments with the same bound."""
    changed = f.map([1], max_concurrency=3).with_timeout(1)
    assert (changed.mapped, changed.max_concurrency) == ((0,), 3)


def test_policies_can_not_be_written_to() -> None:
    """Policies are frozen."""
    with pytest.raises(AttributeError):
        f().policies.timeout = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        cs.RetryPolicy().delay = 3  # type: ignore[misc]


def test_repeated_run_if_is_and() -> None:
    """Each `run_if` adds a condition to those before it."""
    first, second = f(), f()
    assert f().run_if(first).run_if(second).policies.conditions == (first, second)


def test_a_later_run_if_keeps_an_earlier_otherwise() -> None:
    """`otherwise` stays when a later `run_if` gives none, and is replaced when it gives one."""
    lazy = f().run_if(f(), otherwise=1).run_if(f())
    assert lazy.policies.otherwise == 1
    assert lazy.run_if(f(), otherwise=None).policies.otherwise is None


def test_otherwise_may_be_none() -> None:
    """`otherwise=None` is a value; without `otherwise` there is none."""
    assert f().run_if(f()).policies.otherwise is MISSING
    assert f().run_if(f(), otherwise=None).policies.otherwise is None


def test_after_accumulates() -> None:
    """Each `after` adds to those before it."""
    first, second, third = f(), f(), f()
    assert f().after(first, second).after(third).policies.after == (first, second, third)


def test_other_policies_replace() -> None:
    """The last `with_retry`, `with_timeout`, `with_cache` and `with_constraints` holds."""
    lazy = f().with_retry(1).with_retry(2).with_timeout(1).with_timeout(2)
    lazy = lazy.with_cache(cs.FileExists("x")).with_cache(cs.ByInputs())
    lazy = lazy.with_constraints(gpu=1, cpu=1).with_constraints(gpu=2)
    assert lazy.policies.retry == cs.RetryPolicy(2)
    assert lazy.policies.timeout == 2
    assert lazy.policies.cache == cs.ByInputs()
    assert lazy.policies.constraints is not None
    assert lazy.policies.constraints.amounts == (("gpu", 2),)


def test_the_defaults_of_a_retry() -> None:
    """Without arguments three retries are made, at once, for any `Exception`."""
    retry = f().with_retry().policies.retry
    assert retry is not None
    assert (retry.max_attempts, retry.delay, retry.backoff, retry.jitter) == (3, 0.0, 1.0, 0.0)
    assert (retry.max_delay, retry.on) == (None, Exception)


@given(st.integers(1, 60), st.floats(0, 100), st.floats(0.1, 10), st.none() | st.floats(0, 1000))
def test_the_wait_before_a_retry(retry: int, delay: float, backoff: float, cap: float | None) -> None:
    """The wait before retry k is `min(max_delay, delay * backoff ** (k - 1))` seconds."""
    policy = cs.RetryPolicy(delay=delay, backoff=backoff, max_delay=cap)
    expected = delay * backoff ** (retry - 1)
    assert policy.wait_before(retry, lambda: 0.5) == (expected if cap is None else min(cap, expected))


@given(st.floats(0, 1), st.randoms())
def test_jitter_spreads_to_both_sides(jitter: float, source: random.Random) -> None:
    """Jitter spreads a wait by that fraction to both sides."""
    policy = cs.RetryPolicy(delay=8, jitter=jitter)
    assert policy.wait_before(1, lambda: 0.0) == pytest.approx(8 * (1 - jitter))
    assert policy.wait_before(1, lambda: 1.0) == pytest.approx(8 * (1 + jitter))
    wait = policy.wait_before(1, source.random)
    assert 8 * (1 - jitter) - 1e-9 <= wait <= 8 * (1 + jitter) + 1e-9


def test_a_wait_may_overflow() -> None:
    """A wait beyond the largest number is the longest one allowed, and no delay stays no delay."""
    assert cs.RetryPolicy(delay=1, backoff=10, max_delay=60).wait_before(5000, random.random) == 60
    assert cs.RetryPolicy(delay=1, backoff=10).wait_before(5000, random.random) == math.inf
    assert cs.RetryPolicy(delay=0, backoff=10).wait_before(5000, random.random) == 0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"max_attempts": -1}, "max_attempts=-1"),
    ({"max_attempts": 1.5}, "max_attempts=1.5"),
    ({"max_attempts": True}, "max_attempts=True"),
    ({"delay": -1}, "delay=...*is -1"),
    ({"delay": math.nan}, "is nan"),
    ({"delay": "1"}, "is '1'"),
    ({"max_delay": -0.5}, "is -0.5"),
    ({"backoff": 0}, "backoff=0"),
    ({"backoff": math.inf}, "backoff=inf"),
    ({"backoff": "2"}, "backoff='2'"),
    ({"jitter": 1.1}, "jitter=1.1"),
    ({"jitter": math.nan}, "jitter=nan"),
    ({"jitter": "x"}, "jitter='x'"),
    ({"on": ValueError("x")}, "on=ValueError"),
    ({"on": BaseException}, "on=<class 'BaseException'>"),
    ({"on": (ValueError, KeyboardInterrupt)}, "KeyboardInterrupt"),
]


@pytest.mark.parametrize(("arguments", "told"), WRONG)
def test_a_retry_is_checked_where_it_is_written(arguments: dict[str, Any], told: str) -> None:
    """A retry that makes no sense, or would catch what is no `Exception`, is refused and the value is told."""
    with pytest.raises(PolicyError, match=told):
        f().with_retry(**arguments)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, "3", None, True])
def test_a_timeout_is_above_zero(seconds: Any) -> None:
    """A timeout that is no number above 0 is refused."""
    with pytest.raises(PolicyError, match="with_timeout"):
        f().with_timeout(seconds)


@pytest.mark.parametrize("policy", [cs.ByInputs, 3600, "ttl", None])
def test_a_cache_policy_is_checked_where_it_is_written(policy: Any) -> None:
    """What is not a cache policy is refused, the class of one in place of an instance too."""
    with pytest.raises(PolicyError, match="give a cache policy"):
        f().with_cache(policy)


def test_the_decorator_checks_like_the_methods() -> None:
    """Wrong policies are refused by `@cs.task(...)` too."""
    with pytest.raises(PolicyError, match="unknown mode 'fiber'; use one of 'inline', 'thread', 'process'"):
        cs.task(mode="fiber")  # type: ignore[call-overload]
    with pytest.raises(PolicyError, match="with_timeout"):
        cs.task(timeout=0)
    with pytest.raises(PolicyError, match="max_attempts=-1"):
        cs.task(retry=-1)
    with pytest.raises(PolicyError, match="with_cache"):
        cs.task(cache=3)  # type: ignore[call-overload]
    assert cs.task(mode=Mode.PROCESS)(f.func).policies.mode is Mode.PROCESS


def test_constraints_hold_numbers_or_lazy_results() -> None:
    """Amounts are numbers of 0 or more, or lazy results of one, kept in the order of their names."""
    lazy = f()
    changed = f().with_constraints(memory_gb=lazy, gpu=0.5, cpu=0)
    assert changed.policies.constraints is not None
    assert changed.policies.constraints.amounts == (("cpu", 0), ("gpu", 0.5), ("memory_gb", lazy))


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, "1", None, True, [1]])
def test_an_amount_is_checked_where_it_is_written(amount: object) -> None:
    """An amount that is no finite number of 0 or more is refused and named."""
    with pytest.raises(PolicyError, match="an amount of 'gpu' is"):
        f().with_constraints(gpu=amount)


def test_constraints_need_an_amount() -> None:
    """`with_constraints()` without amounts is refused."""
    with pytest.raises(PolicyError, match="without an amount"):
        f().with_constraints()


def test_a_router_is_an_amount_a_condition_and_a_predecessor() -> None:
    """A router may stand wherever a lazy result may: as an amount, a condition, a predecessor."""
    router: Any = cs.Router(selector=f(), routes={1: f()})
    changed = f().with_constraints(gpu=router).run_if(router).after(router).policies
    assert changed.constraints is not None
    assert [name for name, _ in changed.constraints.amounts] == ["gpu"]
    assert len(changed.conditions) == len(changed.after) == 1


def test_a_resource_is_no_amount_and_no_condition() -> None:
    """An injection as an amount, a condition or a predecessor is refused where it is written."""
    resource: Any = cs.inject("db")
    with pytest.raises(PolicyError, match="an amount of 'gpu' is"):
        f().with_constraints(gpu=resource)
    with pytest.raises(NotLazyError, match="run_if of task 'f' got Inject"):
        f().run_if(resource)
    with pytest.raises(NotLazyError, match="after of task 'f' got Inject"):
        f().after(resource)


def test_a_sequence_takes_no_policies() -> None:
    """A policy on a sequence, which is no call, is refused with what to do in its place."""
    for _, change in CHANGES:
        with pytest.raises(SpecError, match="a sequence is not a call, so it has no policies"):
            change(cs.sequence([f(), f()]))


@pytest.mark.parametrize("ttl", [0, -1, math.nan, "1"])
def test_the_time_of_a_cached_value_is_above_zero(ttl: Any) -> None:
    """`ByInputs(ttl=...)` takes seconds above 0, or `None` for ever."""
    with pytest.raises(PolicyError, match="ByInputs"):
        cs.ByInputs(ttl=ttl)
    assert cs.ByInputs().ttl is None


def test_by_inputs_keys_calls_by_their_arguments() -> None:
    """Calls with equal arguments have one key, however they are passed; other arguments, tasks or versions another."""

    @cs.task
    def g(x: object, y: object = 2) -> None: ...

    def key(policy: cs.ByInputs, *args: object, **kwargs: object) -> CacheKey | None:
        return policy.key(CachedCall(g, args, kwargs))

    plain = cs.ByInputs()
    assert key(plain, 1) == key(plain, x=1) == key(plain, y=2, x=1)
    assert key(plain, 1) != key(plain, 2)
    assert key(plain, 1) != key(plain, True)
    assert key(plain, 1) != key(cs.ByInputs(version="2"), 1)
    assert plain.key(CachedCall(f, (1,), {"a": 1, "b": 2})) == plain.key(
        CachedCall(f, (1,), {"b": 2, "a": 1})
    )
    assert plain.key(CachedCall(f, (1,), {})) != plain.key(CachedCall(g, (1,), {}))


def test_file_exists_knows_the_value(tmp_path: Any) -> None:
    """Where the file is there already its path is the value; where it is not, nothing is known."""
    path = tmp_path / "made"
    policy = cs.FileExists(path)
    call = CachedCall(f, (), {})
    assert policy.known(call) is None
    path.write_text("")
    assert policy.known(call) == Hit(path)
    assert policy.key(call) is None


@pytest.mark.parametrize("retry", ["3", 1.5, ValueError, (3,)])
def test_a_retry_that_is_no_policy_is_refused_where_it_is_written(retry: Any) -> None:
    """`@cs.task(retry=...)` takes a number or a policy, and refuses all else at once."""
    with pytest.raises(PolicyError, match=r"@cs.task\(retry=.*; give the number of retries, or a policy"):
        cs.task(retry=retry)


@pytest.mark.parametrize("name", [3, "", b"x", f])
def test_the_name_of_a_task_is_a_text(name: Any) -> None:
    """`@cs.task(name=...)` refuses what is no text that can be shown."""
    with pytest.raises(SpecError, match=r"@cs.task\(name=.*; give a text that is not empty"):
        cs.task(name=name)
