"""Claims about tasks and lazy results: calling records, and nothing recorded ever changes."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import pickle
import sys
import weakref
from types import ModuleType
from typing import Any

import pytest

import cascade as cs
from cascade.spec import CallError, LazyUseError, Mode, NotLazyError, SpecError, TaskReferenceError

calls: list[object] = []


@cs.task
def record(x: object, y: object = None) -> object:
    """Note what is given."""
    calls.append(x)
    return x


@cs.task
async def later(x: int) -> int:
    return x


@cs.task(retry=2, timeout=5, mode="thread", cache=cs.ByInputs(), name="loader")
def load() -> int:
    return 1


class Account:
    @cs.task
    def owner(self, title: str) -> str:
        return title


class AsyncCallable:
    async def __call__(self) -> None:
        await asyncio.sleep(0)


def test_calling_a_task_runs_nothing() -> None:
    """Calling a task makes a lazy result that holds the task and the arguments, and does not call the function."""
    before = len(calls)
    lazy = record([1], y="b")
    assert len(calls) == before
    assert isinstance(lazy, cs.LazyResult)
    assert (lazy.task, lazy.args, lazy.kwargs) == (record, ([1],), {"y": "b"})


def test_a_task_shows_its_function() -> None:
    """A task has the function, its name, signature and docstring."""
    assert record.func(3) == 3
    assert record.name == "record"
    assert list(record.signature.parameters) == ["x", "y"]
    assert record.__doc__ == "Note what is given."


def test_a_task_can_have_a_name_of_its_own() -> None:
    """A name given to `@cs.task` replaces the function's."""
    assert load.name == "loader"


def test_a_task_knows_whether_it_is_async() -> None:
    """`async def`, and an object whose call is one, count as async; a `def` does not."""
    assert later.is_async
    assert cs.Task[None](AsyncCallable()).is_async
    assert not record.is_async


def test_what_has_no_name_or_signature_can_be_a_task() -> None:
    """A callable without a name or a readable signature is named by its type and accepts anything."""
    partial: cs.Task[int] = cs.Task(functools.partial(max, 1))
    assert partial.name == "partial"
    builtin: cs.Task[Any] = cs.Task(max)
    builtin.check_call(3, ["anything"])


def test_a_task_needs_something_to_call() -> None:
    """`@cs.task` on what can't be called is refused where it is written."""
    with pytest.raises(SpecError, match="3, which can't be called"):
        cs.Task(3)  # type: ignore[arg-type]


def test_defaults_of_the_decorator_hold_for_each_call() -> None:
    """The policies of `@cs.task(...)` are those that each call starts with."""
    policies = load().policies
    assert policies.retry == cs.RetryPolicy(2)
    assert policies.timeout == 5
    assert policies.mode is Mode.THREAD
    assert policies.cache == cs.ByInputs()


def test_a_call_may_replace_the_defaults_of_the_decorator() -> None:
    """A policy given to one call replaces the task's default for this call alone."""
    assert load().with_timeout(1).policies.timeout == 1
    assert load().policies.timeout == 5


def test_a_task_in_a_class_is_a_method() -> None:
    """A task looked up on an instance gets the instance as its first argument; on the class it is the task."""
    account = Account()
    assert account.owner("Dr").args == (account, "Dr")
    assert isinstance(Account.owner, cs.Task)


def test_lazy_results_are_equal_by_identity() -> None:
    """Two calls with the same arguments are two lazy results, equal and hashed by identity."""
    first, second = record(1), record(1)
    assert first != second
    assert first == first
    assert len({first, second}) == 2


def test_a_lazy_result_has_no_truth_value() -> None:
    """`if lazy:` is refused with the task's name and what to write in its place; so is one on a router."""
    with pytest.raises(LazyUseError, match=r"'record' has no truth value; use \.run_if"):
        bool(record(1))
    with pytest.raises(LazyUseError, match="'record' has no truth value"):
        bool(cs.Router(selector=record(1), routes={1: record(2)}))


def test_a_lazy_result_can_not_be_iterated_over() -> None:
    """Iterating over a lazy result is refused with the way to map over it."""
    with pytest.raises(LazyUseError, match=r"'record' can't be iterated over; use cs\.unpack"):
        list(record(1))


def test_the_text_of_a_lazy_result_holds_no_argument() -> None:
    """Printing a task, a lazy result or a router names the task and shows no argument."""
    assert repr(record) == "<Task 'record'>"
    assert repr(record("hunter2")) == "<LazyResult of 'record'>"
    router = cs.Router(selector=record("hunter2"), routes={"a": record(1)})
    assert repr(router) == "<Router on <LazyResult of 'record'> to 'a'>"


@pytest.mark.parametrize(
    ("arity", "names", "problem"),
    [
        (0, [], "missing a required argument: 'x'"),
        (3, [], "too many positional arguments"),
        (1, ["z"], "got an unexpected keyword argument 'z'"),
        (1, ["x"], "multiple values for argument 'x'"),
    ],
)
def test_a_call_is_checked_against_the_signature(arity: int, names: list[str], problem: str) -> None:
    """Arity and names that the signature does not take are refused with task, problem and signature."""
    with pytest.raises(CallError) as caught:
        record.check_call(arity, names)
    assert caught.value.task == "record"
    assert problem in str(caught.value)
    assert "its signature is record(x: 'object', y: 'object' = None)" in str(caught.value)


def test_a_task_pickles_by_reference() -> None:
    """A pickled task is the same task where it is read: only its module and qualified name travel."""
    assert pickle.loads(pickle.dumps(record)) is record
    assert pickle.loads(pickle.dumps(Account.owner)) is Account.owner


def test_a_task_inside_a_function_does_not_pickle() -> None:
    """A task that its module and name don't lead to is refused by name when it is pickled."""

    @cs.task
    def inner() -> None: ...

    with pytest.raises(TaskReferenceError, match="task 'inner' can't be found") as caught:
        pickle.dumps(inner)
    assert caught.value.task == "inner"


def test_a_task_object_is_told_apart_by_its_serial() -> None:
    """Two tasks of one function have two serial numbers."""
    assert cs.Task[object](record.func).serial != cs.Task[object](record.func).serial


def test_nothing_keeps_a_task_alive() -> None:
    """A task that its user let go of is freed, with what its function holds, however it was called before."""

    class Big: ...

    def make() -> weakref.ref[Big]:
        big = Big()

        @cs.task
        def local(x: int, hold: object = big) -> int:
            return x

        local.check_call(1, [])
        local(1).with_retry().run_if(local(2)).after(local.map([1, 2]))
        return weakref.ref(big)

    alive = make()
    gc.collect()
    assert alive() is None


def test_run_if_takes_a_lazy_result() -> None:
    """A plain value as a condition is refused where it is written, with what to write in its place."""
    with pytest.raises(NotLazyError, match=r"run_if of task 'record' got bool; .* use a plain `if`"):
        record(1).run_if(True)  # type: ignore[arg-type]


def test_after_takes_lazy_results() -> None:
    """A plain value among those to wait for is refused where it is written."""
    with pytest.raises(NotLazyError, match="after of task 'record' got int"):
        record(1).after(record(2), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("nest", [lambda lazy: lazy, lambda lazy: [0, {"k": (lazy,)}]])
def test_otherwise_is_a_value(nest: Any) -> None:
    """A lazy result as `otherwise`, or inside it, is refused, and the error names the router."""
    with pytest.raises(SpecError, match=r"`otherwise` of task 'record' holds a lazy result; .*cs\.Router"):
        record(1).run_if(record(2), otherwise=nest(record(3)))


def test_a_router_chooses_among_lazy_results() -> None:
    """A router needs a lazy selector and a mapping of at least one key; a task that was not called is no route."""
    with pytest.raises(NotLazyError, match="the selector of a router is str"):
        cs.Router(selector="a", routes={"a": record(1)})  # type: ignore[call-overload]
    with pytest.raises(NotLazyError, match="route 'a' of a router is <Task 'record'>; call it"):
        cs.Router(selector=record(1), routes={"a": record})
    with pytest.raises(SpecError, match="a router without routes"):
        cs.Router(selector=record(1), routes={})
    with pytest.raises(SpecError, match="a router's routes are list"):
        cs.Router(selector=record(1), routes=[record(2)])  # type: ignore[call-overload]


def test_a_router_keeps_routes_of_its_own() -> None:
    """Changing the dict that a router was made of does not change the router."""
    routes = {"a": record(1)}
    router = cs.Router(selector=record(0), routes=routes)
    routes.clear()
    assert list(router.routes) == ["a"]


def test_a_lazy_result_can_be_copied() -> None:
    """A shallow copy of a lazy result is another lazy result of the same call."""
    lazy = record(1).with_timeout(3)
    copied = copy.copy(lazy)
    assert copied is not lazy
    assert (copied.task, copied.args, copied.policies) == (lazy.task, lazy.args, lazy.policies)


def test_a_deep_chain_is_freed() -> None:
    """Lazy results 100,000 deep, through arguments, conditions and predecessors, are freed without a crash."""
    lazy: Any = record(0)
    for _ in range(100_000):
        lazy = record(lazy)
    del lazy
    first = record(0)
    for _ in range(100_000):
        first = record(1).run_if(first).after(first)
    alive = weakref.ref(first)
    del first
    assert alive() is None


def test_a_task_in_a_class_body_is_a_method() -> None:
    """Through an object, a task takes the object as its first argument, in calls and in maps."""

    class Shop:
        @cs.task
        def price(self, amount: int) -> int:
            return amount

    shop = Shop()
    assert shop.price(3).args == (shop, 3)
    assert shop.price.map([1, 2]).args == (shop, [1, 2])
    assert shop.price.map(amount=[1, 2]).mapped == ("amount",)
    assert Shop.price(shop, 3).args == (shop, 3)


def test_a_pickled_task_that_is_gone_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that leads to no task is an error of its own where it is read, not a value that is none."""
    module = ModuleType("tasks_that_go")
    monkeypatch.setitem(sys.modules, "tasks_that_go", module)
    exec("import cascade as cs\n@cs.task\ndef step(): ...", module.__dict__)
    data = pickle.dumps(module.step)
    assert pickle.loads(data) is module.step
    for left in ({"step": len}, {}):
        vars(module).pop("step")
        vars(module).update(left)
        with pytest.raises(TaskReferenceError, match=r"task 'step' can't be found .* as tasks_that_go.step"):
            pickle.loads(data)
