"""Claims about the walker for nested arguments."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.spec import SpecError
from cascade.spec.calls.arguments import Slot, fill, find_markers, is_marker


@cs.task
def f(*args: object) -> int:
    return 1


def markers() -> st.SearchStrategy[Any]:
    return st.sampled_from(
        [cs.inject("db"), f(), cs.Param("p", default=1), cs.Router(selector=f(), routes={1: f()})]
    )


def values() -> st.SearchStrategy[Any]:
    leaves = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=3)
        | st.frozensets(st.integers())
        | markers()
    )
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.lists(inner, max_size=4).map(tuple)
            | st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=4)
        ),
        max_leaves=20,
    )


def at(args: tuple[Any, ...], kwargs: dict[str, Any], slot: Slot) -> Any:
    value = args[slot.argument] if isinstance(slot.argument, int) else kwargs[slot.argument]
    for step in slot.steps:
        value = (list(value.values()) if isinstance(value, dict) else value)[step]
    return value


def count(value: Any) -> int:
    """Count the markers by plain recursion."""
    if type(value) in (list, tuple):
        return sum(map(count, value))
    if type(value) is dict:
        return sum(map(count, value.values()))
    return int(is_marker(value))


@given(st.lists(values(), max_size=4).map(tuple), st.dictionaries(st.sampled_from("xyz"), values()))
def test_each_marker_is_found_where_it_stands(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Every marker in lists, tuples and dicts is found, at the slot where it stands, each time in the same order."""
    found = find_markers(args, kwargs)
    assert all(at(args, kwargs, each.slot) is each.marker for each in found)
    assert len(found) == count((*args, *kwargs.values()))
    assert found == find_markers(args, kwargs)


@given(st.lists(values(), max_size=4).map(tuple), st.dictionaries(st.sampled_from("xyz"), values()))
def test_filling_with_what_was_found_changes_nothing(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """`fill` with the markers that `find_markers` found gives arguments that equal the old ones."""
    found = find_markers(args, kwargs)
    slots, marked = [each.slot for each in found], [each.marker for each in found]
    assert fill(args, kwargs, slots, marked) == (args, kwargs)


@given(st.lists(values(), max_size=4).map(tuple), st.dictionaries(st.sampled_from("xyz"), values()))
def test_what_is_filled_holds_no_marker(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """With all slots filled each slot holds its value, no marker is left, and the old arguments are as they were."""
    found = find_markers(args, kwargs)
    slots = [each.slot for each in found]
    filled = fill(args, kwargs, slots, range(len(slots)))
    assert [at(*filled, slot) for slot in slots] == list(range(len(slots)))
    assert find_markers(*filled) == []
    assert find_markers(args, kwargs) == found


def test_the_order_does_not_depend_on_that_of_the_keywords() -> None:
    """Markers are met by position, then by name in the order of the names, containers from the left."""
    a, b, c, d, e = (f(index) for index in range(5))
    found = find_markers(([a, (b,)], c), {"z": {"k": d}, "y": e})
    assert [each.marker for each in found] == [a, b, c, e, d]
    assert [str(each.slot) for each in found] == ["0[0]", "0[1][0]", "1", "y", "z[0]"]


def test_what_holds_no_marker_is_passed_on() -> None:
    """Values without a marker inside are passed on as they are, not copied."""
    literal = [1, {"k": (2,)}]
    args, _ = fill((literal, f()), {}, [Slot(1)], [5])
    assert args[0] is literal
    assert args[1] == 5


def test_the_users_containers_are_not_changed() -> None:
    """Filling copies the containers on the way to a slot and leaves the user's own as they were."""
    lazy = f()
    inner = [lazy, 1]
    args, _ = fill(({"k": inner},), {}, [Slot(0, (0, 0))], [7])
    assert args == ({"k": [7, 1]},)
    assert inner == [lazy, 1]


def test_only_exact_containers_are_searched() -> None:
    """Subclasses of list, tuple and dict are literals, whatever they hold."""
    pair = namedtuple("pair", "a b")
    assert find_markers((pair(f(), 1), OrderedDict(k=f())), {}) == []


@pytest.mark.parametrize(
    "nest",
    [
        lambda lazy: {lazy},
        lambda lazy: frozenset({lazy}),
        lambda lazy: [{"k": {lazy, 1}}],
        lambda lazy: {(1, lazy)},
        lambda lazy: {frozenset({(lazy,)})},
    ],
)
def test_a_lazy_result_is_no_set_member(nest: Any) -> None:
    """A lazy result in a set, directly or in a tuple in it, is refused and named."""
    with pytest.raises(SpecError, match="<LazyResult of 'f'> is a member of a set; pass a list"):
        find_markers((nest(f()),), {})


@pytest.mark.parametrize("nest", [lambda lazy: {lazy: 1}, lambda lazy: [{(lazy, 2): 1}]])
def test_a_lazy_result_is_no_dict_key(nest: Any) -> None:
    """A lazy result as a dict key, or in a tuple that is one, is refused and named."""
    with pytest.raises(SpecError, match="<LazyResult of 'f'> is a dict key; use it as the value"):
        find_markers((nest(f()),), {})


def test_a_container_may_contain_itself() -> None:
    """A container that contains itself is a literal like any other."""
    cyclic: list[Any] = [1, {}]
    cyclic[1]["self"] = cyclic
    assert find_markers((cyclic, [cyclic]), {"x": cyclic}) == []


def test_a_cyclic_container_holds_no_lazy_result() -> None:
    """A container that holds itself and a lazy result is refused, since no copy of it can be filled."""
    cyclic: list[Any] = [f()]
    cyclic.append(cyclic)
    with pytest.raises(SpecError, match="a container holds itself and a lazy result"):
        find_markers((cyclic,), {})


def test_shared_containers_are_searched_once() -> None:
    """Containers without markers that share each other exponentially take time by their number, not their paths."""
    shared: Any = [[]]
    for _ in range(200):
        shared = [shared, {"k": shared}, (shared,)]
    assert find_markers((shared,), {}) == []


def test_a_wide_container_in_many_places_is_searched_once() -> None:
    """A large plain list that stands in many places of an argument is looked at once."""
    wide = [0] * 300_000
    assert find_markers(([wide] * 30_000,), {}) == []


def test_depth_has_no_limit() -> None:
    """Containers 100,000 deep are searched and filled without recursion."""
    lazy = f()
    nested: Any = lazy
    for _ in range(100_000):
        nested = [nested]
    (found,) = find_markers((nested,), {})
    assert found.marker is lazy
    (filled,), _ = fill((nested,), {}, [found.slot], ["value"])
    while isinstance(filled, list):
        (filled,) = filled
    assert filled == "value"
