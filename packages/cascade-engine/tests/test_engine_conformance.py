"""Claims about `cascade.testing`: our own backends pass its suites, and broken ones don't."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import cascade.testing
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.adapters.executors.call_places import CallPlace, Home, Interruption
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.state import InMemoryStateBackend
from cascade.graph import Node
from cascade.runtime.protocols import Executor
from cascade.spec import CacheBackend, CacheKey, Hit, StateBackend, Task
from cascade.spec.policies.mode import Mode
from cascade.testing import (
    CacheBackendConformance,
    DurableStateBackendConformance,
    ExecutorConformance,
    StateBackendConformance,
)
from cascade.testing.conformance import interruptions, sample_tasks


class TestInMemoryStateBackend(StateBackendConformance):
    def make_backend(self) -> StateBackend:
        return InMemoryStateBackend(run_id="run")


class TestInMemoryCacheBackend(CacheBackendConformance):
    def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
        return InMemoryCacheBackend(clock=clock)


class TestInlineExecutor(ExecutorConformance):
    runs_beside_the_loop = False

    def make_executor(self) -> Executor:
        return LocalExecutor()


class TestThreadExecutor(ExecutorConformance):
    def make_executor(self) -> Executor:
        return LocalExecutor(mode="thread")


class TestProcessExecutor(ExecutorConformance):
    def make_executor(self) -> Executor:
        return LocalExecutor(mode="process", processes=1)


def failing_tests(suite: object) -> set[str]:
    """Return the tests of a suite that fail."""
    failed = set()
    for name in dir(suite):
        if name.startswith("test_"):
            try:
                getattr(suite, name)()
            except (AssertionError, LookupError):
                failed.add(name)
    return failed


class ForgetfulState(InMemoryStateBackend):
    """Takes `None` for no value."""

    def has_result(self, key: Any) -> bool:
        return super().has_result(key) and self.get_result(key) is not None


class FlatState(InMemoryStateBackend):
    """Forgets a frame without those below it."""

    def clear(self, frame: Any = None) -> None:
        self._below.clear()
        super().clear(frame)


class SilentState(InMemoryStateBackend):
    """Gives `None` where there is no value."""

    def get_result(self, key: Any) -> Any:
        return super().get_result(key) if self.has_result(key) else None


@pytest.mark.parametrize(
    ("backend", "failing"),
    [
        (ForgetfulState, {"test_values_are_given_back"}),
        (FlatState, {"test_clearing_a_frame_forgets_it_and_what_lies_below"}),
        (SilentState, {"test_a_new_backend_holds_nothing", "test_a_skip_is_no_value"}),
    ],
)
def test_a_broken_state_backend_is_found_out(backend: type[InMemoryStateBackend], failing: set[str]) -> None:
    """A backend that breaks one sentence of the contract fails the test for it."""

    class Suite(StateBackendConformance):
        def make_backend(self) -> StateBackend:
            return backend()

    assert failing <= failing_tests(Suite())


class BareCache(InMemoryCacheBackend):
    """Takes `None` for no hit."""

    async def get(self, key: CacheKey) -> Hit | None:
        hit = await super().get(key)
        return None if hit is None or hit.value is None else hit


class AgelessCache(InMemoryCacheBackend):
    """Keeps everything for ever."""

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        await super().put(key, value, None)


@pytest.mark.parametrize(
    ("backend", "failing"),
    [
        (BareCache, {"test_values_are_hits"}),
        (AgelessCache, {"test_a_value_holds_for_its_time", "test_asking_does_not_prolong"}),
    ],
)
def test_a_broken_cache_backend_is_found_out(backend: type[InMemoryCacheBackend], failing: set[str]) -> None:
    """A backend that breaks one sentence of the contract fails the test for it."""

    class Suite(CacheBackendConformance):
        def make_backend(self, clock: Callable[[], float]) -> CacheBackend:
            return backend(clock=clock)

    assert failing <= failing_tests(Suite())


class HastyExecutor(LocalExecutor):
    """Returns from a cancelled call while it is still under way."""

    def __init__(self) -> None:
        super().__init__(mode="thread")
        self.calls: set[asyncio.Future[Any]] = set()

    async def execute(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = asyncio.ensure_future(super().execute(node, args, kwargs))
        self.calls.add(call)
        return await asyncio.shield(call)

    async def close(self) -> None:
        await asyncio.gather(*self.calls, return_exceptions=True)
        await super().close()


def test_a_broken_executor_is_found_out() -> None:
    """An executor that returns before a cancelled call has ended fails the tests for that, and only those."""

    class Suite(ExecutorConformance):
        def make_executor(self) -> Executor:
            return HastyExecutor()

    assert failing_tests(Suite()) == {
        "test_a_cancellation_does_what_the_executor_says",
        "test_a_cancelled_coroutine_has_ended",
        "test_a_cancelled_function_has_ended",
        "test_a_timeout_does_what_the_executor_says",
    }


class BoastfulExecutor(LocalExecutor):
    """Says that it can end a call in a thread."""

    def __init__(self) -> None:
        super().__init__(mode="thread")

    def place_of(self, task: Task[Any], mode: Mode | None) -> CallPlace:
        return CallPlace(Home.OWN, Interruption.ENDS, Interruption.WAITS)


def test_an_executor_that_ends_no_call_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an executor says of timeouts and cancellation is tried: one that waits without a word fails."""
    for module in (interruptions, sample_tasks):
        monkeypatch.setattr(module, "PATIENCE", 0.5)

    class Suite(ExecutorConformance):
        def make_executor(self) -> Executor:
            return BoastfulExecutor()

    with pytest.raises(AssertionError, match="did not say so"):
        Suite().test_a_timeout_does_what_the_executor_says()


@pytest.mark.parametrize(
    "suite",
    [
        StateBackendConformance,
        DurableStateBackendConformance,
        CacheBackendConformance,
        ExecutorConformance,
    ],
)
def test_a_suite_says_what_to_override(suite: type) -> None:
    """A suite that nobody gave a factory says so, and is not collected by itself."""
    assert not suite.__name__.startswith("Test")
    with pytest.raises(NotImplementedError, match="say in make_"):
        failing_tests(suite())


def test_the_public_names() -> None:
    """`cascade.testing` has the four suites, virtual time and what fails, and nothing else."""
    names = [
        "CacheBackendConformance",
        "DurableStateBackendConformance",
        "ExecutorConformance",
        "FailingCache",
        "Failure",
        "StateBackendConformance",
        "ValueStoreConformance",
        "VirtualTimeError",
        "VirtualTimeLoop",
        "failing_state",
        "run_in_virtual_time",
    ]
    assert cascade.testing.__all__ == names


def test_the_suites_need_no_pytest() -> None:
    """Importing `cascade.testing` loads no pytest, so the wheel does not depend on it."""
    code = "import sys, cascade.testing; assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
