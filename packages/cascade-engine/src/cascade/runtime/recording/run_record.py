"""Records of runs: what a run was begun with, as digests, and what is different when it is begun again."""

from __future__ import annotations

import marshal
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b, scrypt
from types import FunctionType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from cascade.adapters.state.digests import path_digest
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.structure_digests import StructureRows, structure_digest
from cascade.graph.tree import NO_CALL, QUOTED, Call, Choice, Injected, Source, Structure, Tree
from cascade.spec.calls.arguments import fill, value_at
from cascade.spec.calls.missing import MISSING
from cascade.spec.code import code_version
from cascade.spec.common import EnvContract, ParamContract, SecretValue
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.durable import CodeRecord, RunRecord
from cascade.spec.encoding.canonical import digest
from cascade.spec.errors import MapError, UncacheableError
from cascade.spec.internal_tasks import CALL_FACTORY, INTERNAL
from cascade.spec.lazy_types import (
    ConfiguredLazyResult,
    LazyResult,
    MappedLazyResult,
    ParamLazyResult,
)
from cascade.spec.source.references import module_of
from cascade.spec.task import Task, TaskReference

_OWN = frozenset(INTERNAL.values())

NEVER_STORED = _OWN - {CALL_FACTORY}
"""Cascade's own tasks whose values are never stored: inputs, and what only hands on or gathers other values."""

_SALT_BYTES = 16
_NODE_BYTES = 8
_EMPTY = blake2b(digest_size=_NODE_BYTES)


def make_record(
    tree: Tree, inputs: Mapping[str, object], salt: bytes | None, of_resources: Iterable[Any] = ()
) -> RunRecord:
    """Return the record of a run whose first target has this tree; the salt is that of an earlier record, if any.

    `of_resources` are the contracts of the inputs that its resources read.
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    outline, calls = _outline(tree), tree.structure.calls
    names, shapes = outline.names, outline.shapes
    nodes = {
        names[position]: _node(shapes[position], lazy, calls[position], names)
        for position, lazy in enumerate(tree.lazies)
    }
    return RunRecord(
        tree.lazies[tree.structure.target].task.name,
        outline.digest,
        tuple(sorted(code_of(tree.lazies))),
        dict(_inputs([*_contracts_in(tree.lazies), *of_resources], inputs, salt)),
        nodes,
        salt,
        DIGEST_RULES,
    )


class _Outline(NamedTuple):
    """What is the same for all trees of one plain structure: digests of its places, of its nodes, and of it all."""

    names: list[bytes]
    shapes: list[bytes]
    digest: str


_outlines: WeakKeyDictionary[Structure, _Outline] = WeakKeyDictionary()


def _outline(tree: Tree) -> _Outline:
    known = _outlines.get(tree.structure)
    if known is None:
        rows, calls = StructureRows(), tree.structure.calls
        hidden = {
            task: code_version(task) for task in _tasks(tree.lazies) if task.reference.find() is not task
        }
        known = _Outline(
            [path_digest(path) for path in tree.structure.paths],
            [_shape(rows, lazy, call, hidden) for lazy, call in zip(tree.lazies, calls, strict=True)],
            structure_digest(tree),
        )
        if isinstance(
            tree.structure, PlainStructure
        ):  # has no inputs, nor other values that its key takes as equal
            _outlines[tree.structure] = known
    return known


def _shape(rows: StructureRows, lazy: LazyResult[Any], call: Call, hidden: Mapping[Task[Any], str]) -> bytes:
    shape = rows.call(lazy)  # policies say how a call is made and not what it gives
    if lazy.task in hidden:  # of tasks inside functions many may have one name
        shape += hidden[lazy.task].encode()
    if not call.slots and not call.defaults:
        return shape
    return shape + repr((call.slots, call.defaults)).encode("utf-8", "surrogatepass")


def code_of(lazies: Iterable[LazyResult[Any]]) -> set[CodeRecord]:
    """Return the code of the tasks that are called, without Cascade's own; of tasks of one name as one."""
    versions: dict[TaskReference, set[str]] = {}
    for task in _tasks(lazies):
        versions.setdefault(task.reference, set()).add(code_version(task))
    return {
        CodeRecord(*reference, each.pop() if len(each) == 1 else digest(tuple(sorted(each))).hex())
        for reference, each in versions.items()
    }


def _tasks(lazies: Iterable[LazyResult[Any]]) -> set[Task[Any]]:
    return {lazy.task for lazy in lazies} - _OWN


@dataclass(frozen=True, slots=True)
class Differences:
    """What is different between the record of a run and the run as it is asked for now.

    `told` says it in words; `tasks`, `inputs` and `nodes` are references, names and digests of places.
    """

    told: tuple[str, ...] = ()
    tasks: frozenset[tuple[str, str]] = frozenset()
    inputs: frozenset[str] = frozenset()
    nodes: frozenset[bytes] = frozenset()


def differences(before: RunRecord, now: RunRecord, tree: Tree) -> Differences:
    """Compare the record of a run with what it is to go on as; `tree` is the one that `now` is of."""
    found = _Found()
    then = {each[:2]: each.version for each in before.code}
    current = {each[:2]: each.version for each in merged(before, now).code}
    for reference in sorted(then):
        if then[reference] != current[reference]:
            found.tasks.add(reference)
            found.told.append(f"the code of task '{'.'.join(reference)}' has changed")
    for name in sorted(before.inputs.keys() | now.inputs.keys()):
        if before.inputs.get(name) != now.inputs.get(name):
            found.inputs.add(name)
            found.told.append(f"input '{name}' has another value")
    if before.structure != now.structure:
        new = [f", task '{'.'.join(each)}' is new" for each in sorted(current.keys() - then.keys())]
        found.told.append("the structure of the workflow has changed" + "".join(new))
    for path, lazy, place in zip(tree.structure.paths, tree.lazies, now.nodes, strict=True):
        if before.nodes.get(place) != now.nodes.get(place):
            found.nodes.add(place)
            if before.structure == now.structure:
                found.told.append(f"task '{lazy.task.name}' at {path} has other arguments")
    return Differences(
        tuple(found.told), frozenset(found.tasks), frozenset(found.inputs), frozenset(found.nodes)
    )


def merged(before: RunRecord, now: RunRecord) -> RunRecord:
    """Return the record of a run that goes on: as it is asked for now, with the code of all that it has met."""
    code = {each[:2]: each for each in before.code}
    for reference in code:
        task = TaskReference(*reference).find()
        if isinstance(task, Task):
            code[reference] = CodeRecord(*reference, code_version(task))
    code.update((each[:2], each) for each in now.code)
    return replace(now, code=tuple(sorted(code.values())))


@dataclass
class _Found:
    """Differences while they are gathered."""

    told: list[str] = field(default_factory=list)
    tasks: set[tuple[str, str]] = field(default_factory=set)
    inputs: set[str] = field(default_factory=set)
    nodes: set[bytes] = field(default_factory=set)


def _contracts_in(lazies: Iterable[LazyResult[Any]]) -> list[Any]:
    return [lazy.contract for lazy in lazies if isinstance(lazy, ParamLazyResult)]


def _inputs(
    contracts: Iterable[Any], inputs: Mapping[str, object], salt: bytes
) -> Iterator[tuple[str, bytes]]:
    """Give a digest of each input that is given or that a tree reads, but for secrets and what is said to be no matter.

    They are slow to make, so that finding a value by trying costs some milliseconds for each guess.
    """
    values = dict(inputs)  # those that only a later tree reads, too
    for contract in contracts:
        values[contract.name] = contract.read(inputs) if _is_compared(contract) else _NO_MATTER
    for name, value in values.items():
        if value is _NO_MATTER or isinstance(value, SecretValue):
            continue
        yield name, scrypt(_literal(value), salt=salt, n=1 << 12, r=8, p=1, dklen=16)


def _is_compared(contract: ParamContract | EnvContract) -> bool:
    """Tell whether a run that goes on must have the value that it began with: a password may be a new one."""
    return not contract.secret and (isinstance(contract, ParamContract) or contract.identity)


_NO_MATTER = object()


def _node(shape: bytes, lazy: LazyResult[Any], call: Call, names: list[bytes]) -> bytes:
    """Return a digest of what a node is: its task, its literals, and which nodes fill what."""
    is_leaf = call is NO_CALL or not (call.slots or call.defaults or call.conditions)
    is_common = is_leaf and type(lazy) in _COMMON and lazy.policies.otherwise is MISSING
    if is_common and not lazy.kwargs and _SCALARS.issuperset(map(type, lazy.args)):
        hashed = _EMPTY.copy()
        hashed.update(shape + marshal.dumps(lazy.args, _MARSHAL))
        return hashed.digest()
    parts = [shape]
    if isinstance(lazy, ParamLazyResult):  # the values of inputs have digests of their own
        return blake2b(shape, digest_size=_NODE_BYTES).digest()
    args, kwargs = lazy.args, lazy.kwargs
    if call is not NO_CALL:
        told = [
            value_at(args, kwargs, slot).value if source is QUOTED else _name(source, names)
            for slot, source in zip(call.slots, call.sources, strict=True)
        ]
        args, kwargs = fill(args, kwargs, call.slots, told)
        parts += [names[each] for each in call.conditions]
    parts += [_literal(value) for value in args]
    parts += [_literal(kwargs[name]) for name in sorted(kwargs)]
    if isinstance(lazy, MappedLazyResult):
        parts.append(repr(lazy.mapped).encode())
    if lazy.policies.otherwise is not MISSING:
        parts.append(_literal(lazy.policies.otherwise))
    return blake2b(b"".join(b"%d:%b" % (len(part), part) for part in parts), digest_size=_NODE_BYTES).digest()


def _name(source: Source, names: list[bytes]) -> object:
    if isinstance(source, Choice):
        return "router", names[source.selector], [names[route] for route in source.routes]
    if isinstance(source, Injected):
        return "resource", source.resource
    assert isinstance(source, int)
    return names[source]


def in_canonical_order(members: Iterable[object]) -> list[object]:
    """Return the members of a set in an order that does not depend on their hashes, which differ between processes.

    Raises:
        MapError: If one of them has no canonical form.
    """
    try:
        return sorted(members, key=digest)
    except UncacheableError as problem:
        raise MapError(
            f"a set with a {problem.kind} in it has no order that lasts",
            "give a list, or say what stands for its members with register_encoder",
        ) from problem


def _literal(value: object) -> bytes:
    """Return what tells a literal from others: of a function its code, of what has no canonical form its type."""
    kind = type(value)
    if kind in _SCALARS or (kind in (list, tuple) and _SCALARS.issuperset(map(type, value))):  # type: ignore[call-overload]
        plain: Any = value
        return b"m" + marshal.dumps(plain, _MARSHAL)  # exact, the same in every process, and fast
    try:
        return b"d" + digest(value)
    except UncacheableError:
        if isinstance(value, FunctionType):
            return b"f" + digest((module_of(value), value.__qualname__, code_version(Task(value))))
        name = value if hasattr(value, "__qualname__") else kind
        return b"t" + digest((module_of(kind), kind.__qualname__, getattr(name, "__qualname__", "")))


_COMMON = (LazyResult, ConfiguredLazyResult)
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_MARSHAL = 2
"""The last format of `marshal` in which equal values have equal bytes, whoever else refers to them."""
