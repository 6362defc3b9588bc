"""Structure keys: what tells structures apart within one process.

Two trees with equal keys run alike but for their literal values. A key holds no task, only serial numbers of tasks,
so that it keeps none alive.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from cascade.graph.tree import Call, Tree
from cascade.spec.arguments import Slot, is_marker
from cascade.spec.lazy_types import ConfiguredLazyResult, LazyResult, MappedLazyResult
from cascade.spec.missing import MISSING
from cascade.spec.policies import NO_POLICIES, Policies


def structure_key(tree: Tree) -> Hashable:
    """Return the key of a tree's structure: all but its literal values. Takes O(size of the tree)."""
    rows = tuple(_row(lazy, call) for lazy, call in zip(tree.lazies, tree.calls, strict=True))
    order = tuple((position, *before) for position, before in tree.sequenced.items())
    return tree.target, order, rows


def _row(lazy: LazyResult[Any], call: Call) -> Hashable:
    policies = lazy.policies
    entries: dict[int, list[Any]] = {}
    return (
        kind_of(lazy),
        lazy.task.serial,
        len(lazy.args),
        tuple(lazy.kwargs),
        None if policies is NO_POLICIES else policy_shape(policies),
        call,
        tuple(container_kinds(lazy, slot, entries) for slot in call.slots if slot.steps),
        (lazy.mapped, lazy.max_concurrency) if isinstance(lazy, MappedLazyResult) else None,
    )


def kind_of(lazy: LazyResult[Any]) -> type:
    """Return what kind of call a lazy result is, whether or not it has policies of its own."""
    return LazyResult if type(lazy) is ConfiguredLazyResult else type(lazy)


def policy_shape(policies: Policies) -> Hashable:
    """Return the policies by value, without what is data: amounts, `otherwise` and the lazy results in them."""
    constraints = policies.constraints
    amounts = constraints and tuple((name, is_marker(amount)) for name, amount in constraints.amounts)
    return (
        policies.retry,
        policies.timeout,
        _ByValue(policies.cache),
        policies.mode,
        amounts,
        len(policies.conditions),
        policies.otherwise is not MISSING,
        len(policies.after),
    )


def container_kinds(lazy: LazyResult[Any], slot: Slot, entries: dict[int, list[Any]]) -> tuple[type, ...]:
    """Return the types of the containers on the way to a slot, from the outside.

    `entries` is for the values of each dict that is met, by the dict's id, so that they are listed once for all slots.
    """
    at: Any = lazy.args[slot.argument] if isinstance(slot.argument, int) else lazy.kwargs[slot.argument]
    kinds = []
    for step in slot.steps:
        kinds.append(type(at))
        if type(at) is dict:
            if id(at) not in entries:
                entries[id(at)] = list(at.values())
            at = entries[id(at)]
        at = at[step]
    return tuple(kinds)


class _ByValue:
    """A value that may not be hashable, in a key: told apart by its type and equality."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __hash__(self) -> int:
        return hash(type(self.value))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _ByValue)
            and type(self.value) is type(other.value)
            and self.value == other.value
        )
