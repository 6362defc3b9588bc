"""What a lazy result or a router does where its value was meant: one clear error, or the lazy result of a part."""

from __future__ import annotations

import copy
import math
import operator
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_type

import pytest

import cascade as cs
from cascade.spec import CascadeError, LazyAttributeError, LazyUseError, NotLazyError, SpecError


@cs.task
def load(name: str = "a") -> dict[str, int]:
    return {name: 1}


@cs.task
def pair() -> tuple[int, str]:
    return 1, "one"


@cs.task
def numbers() -> list[int]:
    return [1, 2]


STANDING: dict[str, Any] = {
    "a lazy result": load(),
    "one with policies": load().with_retry(2),
    "a map": load.map(["a"]),
    "an input": cs.Param("n", 1),
    "a sequence": cs.sequence([load()]),
    "a router": cs.Router(selector=load(), routes={1: load()}),
}
standing = pytest.mark.parametrize("lazy", STANDING.values(), ids=STANDING)

USES: dict[str, Callable[[Any], object]] = {
    "+": lambda lazy: lazy + 1,
    "1 +": lambda lazy: 1 + lazy,
    "text +": lambda lazy: "a" + lazy,
    "list +": lambda lazy: [1] + lazy,  # noqa: RUF005 - the operator is what is tried
    "sum": lambda lazy: sum([lazy]),
    "-": lambda lazy: lazy - 1,
    "*": lambda lazy: [0] * lazy,
    "@": lambda lazy: lazy @ lazy,
    "/": lambda lazy: 1 / lazy,
    "//": lambda lazy: lazy // 2,
    "%": lambda lazy: lazy % 2,
    "divmod": lambda lazy: divmod(lazy, 2),
    "**": lambda lazy: 2**lazy,
    "<<": lambda lazy: lazy << 1,
    ">>": lambda lazy: 1 >> lazy,
    "&": lambda lazy: lazy & True,
    "|": lambda lazy: False | lazy,
    "^": lambda lazy: lazy ^ 1,
    "<": lambda lazy: lazy < 1,
    "<=": lambda lazy: lazy <= 1,
    ">": lambda lazy: lazy > 1,
    ">=": lambda lazy: lazy >= 1,
    "max": lambda lazy: max(lazy, lazy),
    "neg": operator.neg,
    "pos": operator.pos,
    "~": operator.invert,
    "abs": abs,
    "round": round,
    "trunc": math.trunc,
    "floor": math.floor,
    "ceil": math.ceil,
    "int": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
    "range": range,
    "hex": hex,
    "len": len,
    "bool": bool,
    "not": operator.not_,
    "in": lambda lazy: 1 in lazy,
    "iter": iter,
    "list": list,
    "sorted": sorted,
    "star": lambda lazy: [*lazy],
    "reversed": reversed,
    "next": next,
    "map": lambda lazy: list(map(str, lazy)),
    "call": lambda lazy: lazy(),
    "f-string": lambda lazy: f"{lazy}",
    "format": lambda lazy: "{:>5}".format(lazy),  # noqa: UP032 - as above
    # From 3.12 on pathlib puts a TypeError of its own, without ours, in the place of one that `__fspath__` raises.
    "Path": Path if sys.version_info < (3, 12) else os.fspath,
    "open": open,
    "bytes": bytes,
    "set an item": lambda lazy: operator.setitem(lazy, 0, 1),
    "delete an item": lambda lazy: operator.delitem(lazy, 0),
}


@standing
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_use_as_its_value_is_one_clear_error(lazy: Any, use: Callable[[Any], object]) -> None:
    """What only the value can do is a `LazyUseError`, which is the `TypeError` that Python raises too."""
    with pytest.raises(LazyUseError) as caught:
        use(lazy)
    assert isinstance(caught.value, CascadeError)
    assert isinstance(caught.value, TypeError)
    assert caught.value.problem.startswith(lazy.name_in_errors())
    assert caught.value.remedy


@standing
def test_awaiting_is_refused_with_the_way_to_run(lazy: Any) -> None:
    """`await lazy` names `cs.arun`; so do the other words of coroutines."""

    async def wait() -> None:
        await lazy

    async def loop() -> None:
        async for _ in lazy:
            pass

    async def enter() -> None:
        async with lazy:
            pass

    with pytest.raises(LazyUseError, match=r"can't be awaited; write await cs\.arun"):
        wait().send(None)
    for other in (loop, enter):
        with pytest.raises(LazyUseError):
            other().send(None)
    with pytest.raises(LazyUseError), lazy:
        pass


@standing
def test_an_attribute_of_the_value_is_a_clear_error(lazy: Any) -> None:
    """`lazy.x` says where to take the attribute; it is the `AttributeError` that Python raises too."""
    with pytest.raises(
        LazyAttributeError, match=r"has no attribute 'shape'; take \.shape inside a task"
    ) as caught:
        lazy.shape  # noqa: B018 - the attribute itself is tried
    assert isinstance(caught.value, AttributeError)
    assert isinstance(caught.value, LazyUseError)


@standing
def test_what_looks_at_any_object_keeps_working(lazy: Any) -> None:
    """`==`, `hash`, `repr`, `str`, `copy`, `hasattr` and `getattr` with a default work as for any object."""
    assert lazy == lazy
    assert lazy != 1
    assert {lazy: 1}[lazy] == 1
    assert repr(lazy) == str(lazy) == f"{lazy!r}" == f"{lazy!s}" == "%s" % lazy  # noqa: UP031 - as above
    assert not hasattr(lazy, "shape")
    assert getattr(lazy, "shape", None) is None
    for name in ("_x", "__array__", "__len_hint__", "_repr_html_"):
        with pytest.raises(AttributeError) as caught:
            getattr(lazy, name)
        assert not isinstance(caught.value, CascadeError)
    assert type(copy.copy(lazy)) is type(lazy)
    assert type(copy.deepcopy(lazy)) is type(lazy)


def test_a_lazy_result_survives_pickling() -> None:
    """A pickled lazy result is one of the same task with the same arguments; a router keeps its routes."""
    made = pickle.loads(pickle.dumps(load("b")))
    assert (made.task, made.args, made.kwargs) == (load, ("b",), {})
    router = pickle.loads(pickle.dumps(cs.Router(selector=load(), routes={1: load("b")})))
    assert router.routes[1].args == ("b",)


def test_the_error_names_the_input() -> None:
    """The error for an input has the input's name, not that of the task that reads it."""
    with pytest.raises(
        LazyUseError, match="the lazy result of the input 'count' can't be turned into an index"
    ):
        range(cs.Param("count", 3))  # type: ignore[call-overload]


def test_an_item_is_the_lazy_result_of_an_internal_task() -> None:
    """`lazy[key]` gives the lazy result of the item, for any key, lazy ones and slices too."""
    lazy, key = load(), numbers()
    for each in ("a", 0, slice(1, 2), key):
        item = lazy[each]
        assert isinstance(item, cs.LazyResult)
        assert item.task.name == "item"
        assert item.args == (lazy, each)
    assert isinstance(cs.Router(selector=load(), routes={1: load()})["a"], cs.LazyResult)


def test_items_and_parts_have_their_types() -> None:
    """Type checkers know the type of an item and of each part."""
    assert_type(load()["a"], cs.LazyResult[int])
    assert_type(numbers()[0], cs.LazyResult[int])
    assert_type(pair()[0], cs.LazyResult[int])
    assert_type(pair()[1], cs.LazyResult[str])
    first, second = cs.unpack(pair(), 2)
    assert_type(first, cs.LazyResult[int])
    assert_type(second, cs.LazyResult[str])
    assert_type(cs.unpack(numbers(), 2), tuple[cs.LazyResult[int], ...])


def test_a_router_has_the_type_of_its_routes() -> None:
    """Type checkers know the type of a router of lazy results, and take any for plain routes."""
    router = cs.Router(numbers(), {1: numbers(), 2: numbers()})
    assert_type(router, cs.Router[list[int]])
    assert_type(router.as_lazy(), cs.LazyResult[list[int]])
    assert_type(cs.Router(numbers(), {1: numbers(), 2: 3}), cs.Router[Any])
    assert_type(cs.gather(router), cs.LazyResult[list[list[int]]])


def test_unpacking_gives_as_many_lazy_results_as_are_asked_for() -> None:
    """`cs.unpack` refuses what is not lazy and numbers that make no sense."""
    assert len(cs.unpack(numbers(), 3)) == 3
    with pytest.raises(NotLazyError, match=r"cs\.unpack got list"):
        cs.unpack([1, 2], 2)  # type: ignore[call-overload]
    for count in (0, -1, True, "2"):
        with pytest.raises(SpecError, match="give the number of values"):
            cs.unpack(numbers(), count)  # type: ignore[arg-type]


def test_a_lazy_result_is_no_function() -> None:
    """A lazy result in place of a task or a function is refused where it is written."""
    with pytest.raises(SpecError, match="which can't be called"):
        cs.task(load())  # type: ignore[call-overload]
    with pytest.raises(
        SpecError, match=r"step 1 of cs\.pipeline is <LazyResult of 'load'>; give the task itself"
    ):
        cs.pipeline(1, [load()])  # type: ignore[list-item]
    with pytest.raises(SpecError, match="give the task itself"):
        cs.map(load(), x=[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["with_retry", "with_timeout", "with_cache", "run_if", "after"])
def test_a_router_says_where_policies_go(name: str) -> None:
    """A router has no policies: the error names its routes, not the inside of a task."""
    router = cs.Router(load(), {1: load()})
    with pytest.raises(
        LazyAttributeError, match=rf"write \.{name}\(\.\.\.\) behind the lazy results of its routes"
    ):
        getattr(router, name)


def test_an_input_shows_its_name() -> None:
    """The text of an input in a log names the input."""
    assert repr(cs.Param("days", 3)) == "<ParamLazyResult of 'days'>"
