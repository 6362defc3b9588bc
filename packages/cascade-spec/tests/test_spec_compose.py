"""Claims about map, partial, gather, sequence and pipeline: what they make, and what they refuse at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import cascade as cs
from cascade.spec import (
    CallError,
    MapError,
    MapLengthError,
    MappedLazyResult,
    NotLazyError,
    PolicyError,
    SequenceLazyResult,
    SpecError,
)
from cascade.spec.compose import as_target


@cs.task
def f(x: object, y: object = None) -> object:
    return x


class Broken:
    def __iter__(self) -> Iterator[int]:
        raise TypeError("broken inside")


def test_a_map_takes_each_iterable_once_and_now() -> None:
    """`.map` takes its inputs when it is called: a generator is used up, and a list changed later has no effect."""
    source = iter([1, 2])
    items = [3, 4]
    mapped = f.map(x=source, y=items)
    assert list(source) == []
    items.append(5)
    assert isinstance(mapped, MappedLazyResult)
    assert mapped.kwargs == {"x": [1, 2], "y": [3, 4]}
    assert mapped.mapped == ("x", "y")


def test_a_map_takes_any_iterable() -> None:
    """Ranges, dicts, sets and generators are inputs of a map; a lazy result of a list stays as it is."""
    assert f.map(range(2)).args == ([0, 1],)
    assert f.map({"a": 1}).args == (["a"],)
    assert f.map(index for index in (1, 2)).args == ([1, 2],)
    lazy = f([1])
    assert f.map(lazy).args == (lazy,)


@pytest.mark.parametrize("value", ["abc", b"abc", bytearray(b"abc")])
def test_a_map_refuses_text(value: Any) -> None:
    """Strings and bytes are single values: mapping over one is refused with the argument, the task and the remedy."""
    with pytest.raises(MapError, match=r"argument 'x' of mapped task 'f' is a .*; give a list; .*\.partial"):
        f.map(value)


def test_a_map_refuses_what_is_no_iterable() -> None:
    """A single value as input of a map is refused with the argument, the task and the remedy."""
    with pytest.raises(
        MapError, match=r"argument 'y' of mapped task 'f' is int, not an iterable; .*\.partial"
    ):
        f.map(x=[1], y=3)


def test_an_error_of_the_input_itself_comes_out() -> None:
    """What an iterable raises while it is taken comes out as it is."""
    with pytest.raises(TypeError, match=r"^broken inside$"):
        f.map(Broken())


def test_a_map_refuses_unequal_lengths() -> None:
    """Inputs of unequal lengths are a `ValueError` with the task and the lengths by argument."""
    with pytest.raises(MapLengthError, match=r"'f' is mapped over .* \(x: 2, y: 3\)") as caught:
        f.map([1, 2], y=[1, 2, 3])
    assert isinstance(caught.value, ValueError)
    assert caught.value.lengths == {"x": 2, "y": 3}


def test_a_map_needs_an_input() -> None:
    """Mapping over nothing is refused, also where everything is fixed."""
    with pytest.raises(MapError, match="'f' is mapped over nothing"):
        f.map()
    with pytest.raises(MapError, match="'f' is mapped over nothing"):
        f.partial(1).map()


@pytest.mark.parametrize("bound", [0, -1, 1.5, "2"])
def test_the_bound_of_a_map_is_a_whole_number(bound: Any) -> None:
    """`max_concurrency` of a map is a whole number of 1 or more."""
    with pytest.raises(PolicyError, match="max_concurrency"):
        f.map([1], max_concurrency=bound)
    assert f.map([1], max_concurrency=1).max_concurrency == 1


def test_partial_fixes_arguments() -> None:
    """A partial's arguments come first in a call, and in a map they are the same for each item."""
    assert f.partial(1)(2).args == (1, 2)
    assert f.partial(y=2)(x=1).kwargs == {"y": 2, "x": 1}
    mapped = f.partial(1).map(y=[1, 2])
    assert (mapped.args, mapped.kwargs, mapped.mapped) == ((1,), {"y": [1, 2]}, ("y",))
    assert f.partial(1).map([1, 2]).mapped == (1,)


def test_a_fixed_argument_is_not_mapped_too() -> None:
    """An argument both fixed and mapped is refused and named."""
    with pytest.raises(MapError, match=r"'f' has \['x'\] both fixed and mapped"):
        f.partial(x=1).map(x=[1])


def test_a_map_has_the_policies_of_the_task() -> None:
    """A map starts with the policies of `@cs.task(...)`, as a call does."""
    retried = cs.task(retry=2)(f.func)
    assert retried.map([1]).policies.retry == cs.RetryPolicy(2)


def test_map_takes_any_callable() -> None:
    """`cs.map` maps a plain function that returns lazy results; given a task it is the task's own map."""

    def factory(x: int, y: int = 0) -> cs.LazyResult[object]:
        return f(x)

    assert isinstance(cs.map(factory, x=[1, 2]), MappedLazyResult)
    assert cs.map(f, [1, 2]).task is f
    with pytest.raises(MapLengthError, match="x: 1, y: 2"):
        cs.map(factory, x=[1], y=[1, 2])
    with pytest.raises(MapError, match="mapped over nothing"):
        cs.map(lambda: f(1))


def test_a_factory_is_checked_against_its_signature() -> None:
    """`cs.map` over what the factory does not take is refused at once."""

    def factory(x: int) -> cs.LazyResult[object]:
        return f(x)

    with pytest.raises(CallError, match=r"'factory': .*its signature is factory"):
        cs.map(factory, z=[1])


def test_gather_takes_lazy_results() -> None:
    """`cs.gather` makes a lazy result of a list, and refuses a plain value."""
    first, second = f(1), f(2)
    assert cs.gather(first, second).args == ([first, second],)
    assert cs.gather().args == ([],)
    with pytest.raises(NotLazyError, match=r"cs\.gather got int"):
        cs.gather(first, 2)  # type: ignore[arg-type]


def test_a_sequence_keeps_the_very_lazy_results() -> None:
    """`cs.sequence` holds the lazy results that it is given; one inside another is taken apart."""
    a, b, c = f(1), f(2), f(3)
    sequence = cs.sequence([a, cs.sequence([b, c])])
    assert isinstance(sequence, SequenceLazyResult)
    assert sequence.members == (a, b, c)
    assert cs.sequence(iter([a])).members == (a,)


def test_a_sequence_takes_lazy_results() -> None:
    """A plain value in a sequence, one lazy result in place of a list, or nothing at all is refused."""
    with pytest.raises(NotLazyError, match=r"cs\.sequence got str"):
        cs.sequence([f(1), "x"])  # type: ignore[list-item]
    with pytest.raises(NotLazyError, match=r"cs\.sequence got one lazy result"):
        cs.sequence(f(1))
    with pytest.raises(SpecError, match=r"cs\.sequence of nothing"):
        cs.sequence([])


def test_a_pipeline_feeds_each_step_with_the_one_before() -> None:
    """`cs.pipeline(x, [f, g])` is `g(f(x))`, for a plain and for a lazy `x`."""
    last = cs.pipeline(1, [f, f.partial(y=2)])
    (inner,) = last.args
    assert last.kwargs == {"y": 2}
    assert inner.args == (1,)
    lazy = f(0)
    assert cs.pipeline(lazy, [f]).args == (lazy,)


def test_a_pipeline_needs_steps() -> None:
    """A pipeline without steps, or with a step that can't be called, is refused and the step is named."""
    with pytest.raises(SpecError, match=r"cs\.pipeline without steps"):
        cs.pipeline(1, [])
    with pytest.raises(SpecError, match=r"step 2 of cs\.pipeline is int; give the task itself"):
        cs.pipeline(1, [f, 2])  # type: ignore[list-item]


def test_a_target_is_a_lazy_result_or_a_container() -> None:
    """A list, tuple or dict as target is gathered; anything else is refused with what to give."""
    lazy = f(1)
    assert as_target(lazy) is lazy
    assert as_target([lazy]).args == ([lazy],)
    assert as_target({"x": lazy}).args == ({"x": lazy},)
    for wrong in (3, None, int, "text"):
        with pytest.raises(NotLazyError, match=r"the target is .*; give the lazy result"):
            as_target(wrong)


def print_it() -> None: ...


@cs.resource
def db() -> Iterator[str]:
    yield "the database"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (f, "the target is task 'f' itself; call it: f(...)"),
        ([f(1), f], "item 1 of the target is task 'f' itself; call it: f(...)"),
        ({"x": f}, "item 'x' of the target is task 'f' itself; call it: f(...)"),
        ((f,), "item 0 of the target is task 'f' itself; call it: f(...)"),
        (print_it, "the target is the function 'print_it' itself; call it: print_it(...)"),
        (db, "the target is resource 'db'; give a task that takes it: cs.inject('db')"),
        ({f(1)}, "the target is a set; give a list of the lazy results"),
        (map(f, [1]), "the target is a map; give a list of the lazy results"),
        (int, "the target is the class int; give the lazy result"),
        (None, "the target is None; give the lazy result"),
    ],
)
def test_what_is_meant_by_mistake_is_told(wrong: object, told: str) -> None:
    """What is often given in place of a lazy result is named, with what to write."""
    with pytest.raises(NotLazyError) as caught:
        as_target(wrong)
    assert str(caught.value).startswith(told)


def test_a_generator_is_no_target() -> None:
    """A generator of lazy results in place of a list of them is named, with what to write."""
    with pytest.raises(NotLazyError, match="the target is a generator; give a list of the lazy results"):
        as_target(f(x) for x in [1])


@pytest.mark.parametrize("steps", [f, 3, None])
def test_the_steps_of_a_pipeline_are_a_list(steps: Any) -> None:
    """One task in place of the list of steps is told, with what to write."""
    with pytest.raises(SpecError, match=r"the steps of cs.pipeline are .*; give a list of tasks"):
        cs.pipeline(1, steps)


@pytest.mark.parametrize("factory", [3, None, [f]])
def test_a_map_needs_a_function(factory: Any) -> None:
    """A map over items without a function first is told, with what to write."""
    with pytest.raises(SpecError, match=r"cs.map got (int|NoneType|list); give a task or a function first"):
        cs.map(factory, [1])
