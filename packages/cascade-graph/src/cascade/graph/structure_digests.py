"""Structure digests: equal for trees that differ in literal values only, in every process and on every machine.

A recorded run is found again by them. All that they cover has to be written in one way only: names, numbers and
digests, and nothing that depends on a process, such as the order of a set or the address of an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

from cascade.graph.build import build_graph
from cascade.graph.plain_rows import plain_rows
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.small_steps import STRETCH
from cascade.graph.tree import NO_CALL, QUOTED, Call, Choice, Entries, Injected, Source, Tree, container_kinds
from cascade.spec.calls.arguments import Slot
from cascade.spec.common import EnvContract, ParamContract
from cascade.spec.encoding.canonical import digest
from cascade.spec.errors import UncacheableError
from cascade.spec.inputs.conversion import type_name
from cascade.spec.internal_tasks import CALL_FACTORY, INTERNAL
from cascade.spec.lazy_types import SINGLE_CALLS, Lazy, MappedLazyResult, ParamLazyResult, kind_of
from cascade.spec.policies.declared import ALWAYS_WRITTEN, NO_POLICIES, POLICIES, Policies
from cascade.spec.source.references import module_of
from cascade.spec.task import AnyTask, Task

T = TypeVar("T")

_VERSION = b"cascade structure 1"


def structure_digest(target: object) -> str:
    """Return the sha256, in hex, of all in a lazy tree but its literal values.

    Covers, for each node in the order of the builder: module and qualified name of the task, the kind of call, the
    number and the names of arguments, where other nodes, routers and resources go in, policies, conditions and order.
    Nodes are referred to by position, so `f(a, a)` differs from `f(a1, a2)`. Amounts, `otherwise` and the default of
    an input are literals; the rest of an input's contract is not. Takes O(size of the tree).

    Raises:
        CascadeError: As `build_graph` does, if the target is no lazy tree or has a wrong call.
    """
    tree = build_graph(target).tree
    assert tree is not None
    hashing = StructureHashing(tree)
    for _ in hashing.stretches():
        pass
    return hashing.digest


class StructureHashing:
    """Makes the structure digest of a tree in stretches, so that others may have a turn. `digest` is there after them.

    `rows` may be asked for the digests of single nodes.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.rows = StructureRows()
        self.digest = ""

    def stretches(self) -> Iterator[None]:
        """Do a part of the work at each step."""
        tree, structure = self._tree, self._tree.structure
        whole = sha256(_VERSION + repr((structure.target, len(tree.lazies))).encode())
        row_of = partial(self.rows.row, tree)
        if isinstance(structure, PlainStructure):
            for rows in plain_rows(tree, structure, self.rows.shape, row_of):
                whole.update(rows)
                yield
        else:
            for begin in range(0, len(tree.lazies), STRETCH):
                whole.update(b"".join(map(row_of, range(begin, min(begin + STRETCH, len(tree.lazies))))))
                yield
        self.digest = whole.hexdigest()


class StructureRows:
    """Makes the digests of nodes, one by one; what many nodes share, such as their task, is digested once."""

    def __init__(self) -> None:
        self._known: dict[int, bytes] = {}  # by id: tasks and policies, which the tree keeps alive
        self._calls: dict[tuple[object, ...], bytes] = {}
        self._shapes: dict[tuple[bytes, int], bytes] = {}

    def row(self, tree: Tree, position: int) -> bytes:
        """Return the digest of a node and of what it waits for, where other nodes are referred to by position."""
        lazy, structure = tree.lazies[position], tree.structure
        call = structure.calls[position]
        shape = self.shape(lazy)
        before = structure.sequenced.get(position, ())
        if call is NO_CALL and not before and type(lazy) in SINGLE_CALLS and lazy.task is not CALL_FACTORY:
            return shape
        order = (call.after, tuple(before), call.conditions, call.amounts)
        plain = repr((order, tuple(_inputs(lazy, call)), call.defaults)).encode("utf-8", "surrogatepass")
        return sha256(shape + plain + b"".join(map(digest, _peculiar(lazy)))).digest()

    def shape(self, lazy: Lazy) -> bytes:
        """Return the digest of what a node is by itself: what is called, and its policies but conditions and order."""
        policies, call = lazy.policies, self.call(lazy)
        if policies is NO_POLICIES:
            return call
        known = self._shapes.get((call, id(policies)))
        if known is None:
            parts = (call, self._shared(policies, _policies))
            known = self._shapes[call, id(policies)] = digest(parts)
        return known

    def call(self, lazy: Lazy) -> bytes:
        """Return the digest of what is called: the task, the kind of call, the number and the names of arguments."""
        key = (id(lazy.task), type(lazy), len(lazy.args), *lazy.kwargs)
        known = self._calls.get(key)
        if known is None:
            shape = (len(lazy.args), tuple(sorted(lazy.kwargs)))
            known = self._calls[key] = digest((self._shared(lazy.task, _task), kind_of(lazy).__name__, shape))
        return known

    def _shared(self, value: T, describe: Callable[[T], object]) -> bytes:
        """Return the digest of what `describe` makes of a value, once for each object."""
        if id(value) not in self._known:
            self._known[id(value)] = digest(describe(value))
        return self._known[id(value)]


def _task(task: AnyTask) -> object:
    """Return what a task is referred to by, in every process."""
    if (
        INTERNAL.get(task.name) is task
    ):  # by name alone: some share one function, and it may move to another module
        return "internal", task.name
    return tuple(task.reference)


def _policies(policies: Policies) -> object:
    """Return the policies as plain data, without conditions and order, which the row of the node has by position."""
    pairs = [*zip(POLICIES, policies, strict=True)]
    first = [
        row.form.described(value, _description)
        for row, value in pairs[:ALWAYS_WRITTEN]
        if not row.form.is_edge
    ]
    later = [
        (row.name, row.form.described(value, _description))
        for row, value in pairs[ALWAYS_WRITTEN:]
        if value != row.default and not row.form.is_edge
    ]
    return (*first, *later)


def _inputs(lazy: Lazy, call: Call) -> Iterable[object]:
    """Give each slot of a call, the containers around it, and what fills it."""
    entries: Entries = {}
    for slot, source in zip(call.slots, call.sources, strict=True):
        yield slot.argument, slot.steps, _containers(lazy, slot, entries), _source(source)


def _containers(lazy: Lazy, slot: Slot, entries: Entries) -> tuple[str, ...]:
    """Return the names of the types of the containers around a slot."""
    return tuple(kind.__name__ for kind in container_kinds(lazy, slot, entries))


def _source(source: Source) -> object:
    """Return what fills a slot, as plain data."""
    if isinstance(source, Choice):
        return "router", source.selector, [_description(key) for key in source.keys], source.routes
    if isinstance(source, Injected):
        return "resource", source.resource
    return source.value if source is QUOTED else source


def _peculiar(lazy: Lazy) -> Iterable[object]:
    """Give what only some kinds of lazy results have."""
    if isinstance(lazy, MappedLazyResult):
        yield "map", lazy.mapped, lazy.max_concurrency
    if isinstance(lazy, ParamLazyResult):
        yield _contract(lazy.contract)
    if lazy.task is CALL_FACTORY:
        yield "factory", _description(lazy.args[0])


def _contract(contract: ParamContract | EnvContract) -> object:
    """Return the contract of an input without its default, as plain data."""
    kind = _reference(contract.type) if isinstance(contract.type, type) else type_name(contract.type)
    return type(contract).__name__, contract.name, kind, contract.required, contract.secret


def _description(value: Any) -> object:
    """Return a value as plain data: code by its module and name, a dataclass by its fields.

    All else is given by its digest, or by its type if it has no canonical form.
    """
    if isinstance(value, Task) or hasattr(value, "__qualname__"):
        return "code", _reference(value)
    if type(value) is tuple:
        return tuple(_description(each) for each in value)
    if is_dataclass(value):
        return _reference(type(value)), [
            (each.name, _description(getattr(value, each.name))) for each in fields(value)
        ]
    try:
        return digest(value)
    except UncacheableError:
        return "instance", _reference(type(value))


def _reference(value: Any) -> tuple[str, str]:
    """Return the module and the qualified name of a task, function or class."""
    return module_of(value), value.__qualname__
