"""Structure keys: equal for trees of one structure, within one process.

Trees with equal keys differ in literal values only, so the engine runs them by the same plan. A key has the serial
numbers of tasks and no task, so that a table of keys keeps none alive. Digests, which hold in other processes too, are
made by `structure_digests`; they take longer.
"""

from __future__ import annotations

from collections.abc import Hashable

from cascade.graph.plain_structure import PlainStructure
from cascade.graph.tree import Call, Entries, Tree, container_kinds
from cascade.spec.lazy_types import Lazy, MappedLazyResult, kind_of
from cascade.spec.policies.declared import NO_POLICIES
from cascade.spec.policies.generated import policy_key


def structure_key(tree: Tree) -> Hashable:
    """Return the key of the structure of a tree: all of it but literal values. Takes O(size of the tree)."""
    structure = tree.structure
    if isinstance(structure, PlainStructure):
        return _Key((structure.forms, structure.kinds, structure.links))
    rows = tuple(_row(lazy, call) for lazy, call in zip(tree.lazies, structure.calls, strict=True))
    order = tuple((position, *before) for position, before in structure.sequenced.items())
    return _Key((structure.target, order, rows))


class _Key:
    """A structure, compared by value. The hash is kept, since making it takes as long as the tree is large."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, parts: tuple[Hashable, ...]) -> None:
        self._parts = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._hash == other._hash and self._parts == other._parts


def _row(lazy: Lazy, call: Call) -> Hashable:
    """Return the part of the key that one node makes."""
    policies, names = lazy.policies, lazy.kwargs
    entries: Entries = {}
    nested = [slot for slot in call.slots if slot.steps] if call.slots else ()
    return (
        kind_of(lazy),
        lazy.task.serial,
        len(lazy.args),
        tuple(sorted(names)) if names else (),
        None if policies is NO_POLICIES else policy_key(policies),
        call,
        tuple([container_kinds(lazy, slot, entries) for slot in nested]) if nested else (),
        (lazy.mapped, lazy.max_concurrency) if isinstance(lazy, MappedLazyResult) else None,
    )
