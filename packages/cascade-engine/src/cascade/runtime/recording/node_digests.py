"""Node digests: what each node of a recorded run's first tree was, so that a changed literal or condition is noticed.

The digest of a node covers its task, the shape of its call, its literals, and the paths of the nodes that its arguments
and its conditions come from. Equal nodes have equal digests in every process.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from types import FunctionType
from typing import Any

from cascade.graph.structure_digests import StructureRows
from cascade.graph.tree import NO_CALL, QUOTED, Call, Choice, Injected, Source
from cascade.spec.calls.arguments import fill, value_at
from cascade.spec.calls.missing import MISSING
from cascade.spec.code import code_version
from cascade.spec.encoding.canonical import digest
from cascade.spec.errors import MapError, UncacheableError
from cascade.spec.lazy_types import SINGLE_CALLS, Lazy, MappedLazyResult, ParamLazyResult
from cascade.spec.source.references import module_of
from cascade.spec.task import AnyTask, Task

NODE_BYTES = 8
_EMPTY = blake2b(digest_size=NODE_BYTES)


def node_shape(rows: StructureRows, lazy: Lazy, call: Call, hidden: Mapping[AnyTask, str]) -> bytes:
    """Return what is the same for a node in all trees of its structure. `hidden` has the code of nameless tasks."""
    shape = rows.call(lazy)  # without policies: they say how a call is made, not what it gives
    if lazy.task in hidden:  # inside functions many tasks may have one reference
        shape += hidden[lazy.task].encode()
    if not call.slots and not call.defaults:
        return shape
    return shape + repr((call.slots, call.defaults)).encode("utf-8", "surrogatepass")


def node_digest(shape: bytes, lazy: Lazy, call: Call, paths: list[bytes]) -> bytes:
    """Return a digest of what a node is. `paths` has the digest of each node's path, by position."""
    is_leaf = call is NO_CALL or not (call.slots or call.defaults or call.conditions)
    is_common = is_leaf and type(lazy) in SINGLE_CALLS and lazy.policies.otherwise is MISSING
    # The short way for what most nodes of a large fan-out are. It knows positional arguments only.
    if is_common and not lazy.kwargs and SCALARS.issuperset(map(type, lazy.args)):
        hashed = _EMPTY.copy()
        hashed.update(shape + marshal.dumps(lazy.args, MARSHAL))
        return hashed.digest()
    parts = [shape]
    if isinstance(lazy, ParamLazyResult):  # the record has digests of the values of inputs apart
        return blake2b(shape, digest_size=NODE_BYTES).digest()
    args, kwargs = lazy.args, lazy.kwargs
    if call is not NO_CALL:
        filled = [
            value_at(args, kwargs, slot).value if source is QUOTED else _source(source, paths)
            for slot, source in zip(call.slots, call.sources, strict=True)
        ]
        args, kwargs = fill(args, kwargs, call.slots, filled)
        parts += [paths[each] for each in call.conditions]
    parts += [literal_digest(value) for value in args]
    parts += [literal_digest(kwargs[name]) for name in sorted(kwargs)]
    if isinstance(lazy, MappedLazyResult):
        parts.append(repr(lazy.mapped).encode())
    if lazy.policies.otherwise is not MISSING:
        parts.append(literal_digest(lazy.policies.otherwise))
    return blake2b(b"".join(b"%d:%b" % (len(part), part) for part in parts), digest_size=NODE_BYTES).digest()


def _source(source: Source, paths: list[bytes]) -> object:
    """Return what stands in a digest for an argument that comes from a node, a router or a resource."""
    if isinstance(source, Choice):
        return "router", paths[source.selector], [paths[route] for route in source.routes]
    if isinstance(source, Injected):
        return "resource", source.resource
    assert isinstance(source, int)
    return paths[source]


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


def literal_digest(value: object) -> bytes:
    """Return what tells a value from others: of a function its code, of what has no canonical form its type."""
    kind = type(value)
    if kind in SCALARS or (kind in (list, tuple) and SCALARS.issuperset(map(type, value))):  # type: ignore[call-overload]
        plain: Any = value
        return b"m" + marshal.dumps(plain, MARSHAL)  # exact, the same in every process, and fast
    try:
        return b"d" + digest(value)
    except UncacheableError:
        if isinstance(value, FunctionType):
            return b"f" + digest((module_of(value), value.__qualname__, code_version(Task(value))))
        name = value if hasattr(value, "__qualname__") else kind
        return b"t" + digest((module_of(kind), kind.__qualname__, getattr(name, "__qualname__", "")))


SCALARS = frozenset({type(None), bool, int, float, str, bytes})
MARSHAL = 2
"""The last format of `marshal` in which equal values have equal bytes, whoever else refers to them."""
