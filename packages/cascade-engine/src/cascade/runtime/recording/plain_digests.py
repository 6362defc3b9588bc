"""Node digests of plain trees, made by form and not by node: what nodes of one form share is written once.

The digests are those that `node_digests` makes.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple, TypeAlias

from cascade.graph.plain_rows import bare_forms
from cascade.graph.plain_structure import Inputs, Link, Listed, PlainStructure
from cascade.graph.small_steps import STRETCH, Steps
from cascade.graph.structure_digests import StructureRows
from cascade.graph.tree import NO_CALL, Tree
from cascade.runtime.recording.node_digests import (
    MARSHAL,
    NODE_BYTES,
    SCALARS,
    literal_digest,
    node_digest,
    node_shape,
)
from cascade.spec.lazy_types import Lazy
from cascade.spec.task import AnyTask

Hashed: TypeAlias = blake2b
"""Bytes that are being hashed: a copy goes on from there."""


def plain_shapes(
    tree: Tree, structure: PlainStructure, rows: StructureRows, hidden: Mapping[AnyTask, str]
) -> Steps[list[bytes]]:
    """Return for each form what is the same for its nodes; of a form that is not bare, the beginning of it."""
    shapes = []
    bare = bare_forms(tree, structure)
    for form, sample, is_bare in zip(structure.forms, structure.samples, bare, strict=True):
        shape = node_shape(rows, tree.lazies[sample], NO_CALL, hidden)
        if is_bare and form.slots:
            texts: list[str] = []
            for slot in form.slots:
                if isinstance(slot, Listed):
                    for begin in range(0, slot.length, _MANY):
                        steps = range(begin, min(begin + _MANY, slot.length))
                        texts += [f"Slot(argument={slot.argument!r}, steps=({step},))" for step in steps]
                        if begin:
                            yield
                else:
                    texts.append(repr(slot))
            if len(texts) > STRETCH:
                yield
            listed = f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
            shape += f"({listed}, ())".encode("utf-8", "surrogatepass")
        shapes.append(shape)
    return shapes


_MANY = 8 * STRETCH
_LARGE = 100_000
"""Bytes that take long to hash."""


class _FormDigests(NamedTuple):
    """What the digests of the nodes of one form begin with: of those with scalars alone, and of the others."""

    alone: Hashed
    framed: Hashed


def plain_digests(
    tree: Tree, structure: PlainStructure, shapes: list[bytes], paths: list[bytes]
) -> Steps[dict[bytes, bytes]]:
    """Return a digest of what each node is, by the digest of its path; `paths` has those, by position."""
    # Once per node of every recorded graph: watched by observatory/benchmarks/bench_durability.py.
    forms: list[_FormDigests | None] = []
    for form, shape, is_bare in zip(structure.forms, shapes, bare_forms(tree, structure), strict=True):
        if len(shape) > _LARGE:
            yield
        alone = _hashed(b"" if form.slots else shape)
        forms.append(_FormDigests(alone, _hashed(_framed(shape))) if is_bare else None)
    found: dict[bytes, bytes] = {}
    links, kinds, lazies = structure.links, structure.kinds, tree.lazies
    is_scalar, dumps, node = SCALARS.issuperset, marshal.dumps, -1
    for begin in range(0, len(lazies), STRETCH):
        part = slice(begin, begin + STRETCH)
        for lazy, link, kind, path in zip(lazies[part], links[part], kinds[part], paths[part], strict=True):
            node += 1
            digests = forms[kind]
            if digests is None:
                found[path] = _general(tree, shapes[kind], node, paths)
                continue
            if link is None and not lazy.kwargs and is_scalar(map(type, lazy.args)):
                hashed = digests.alone.copy()
                hashed.update(dumps(lazy.args, MARSHAL))
            else:
                hashed = digests.framed.copy()
                if isinstance(link, int):
                    hashed.update(_PATH + paths[link])
                elif link is not None and not isinstance(link, Inputs):
                    hashed.update(b"".join([_PATH + paths[source] for source in link]))
                else:
                    yield from _add_arguments(hashed, lazy, link, paths)
            found[path] = hashed.digest()
        yield
    return found


def _add_arguments(hashed: Hashed, lazy: Lazy, link: Link, paths: list[bytes]) -> Steps[None]:
    """Add the arguments of a call that are literals or hold values; one with a long list takes a step for each part."""
    is_long = isinstance(link, Inputs) and len(link.sources) > STRETCH
    if is_long:
        yield
    args, kwargs = link.fill(lazy, paths) if isinstance(link, Inputs) else (lazy.args, lazy.kwargs)
    for value in (*args, *(kwargs[name] for name in sorted(kwargs))):
        if is_long:
            yield
        hashed.update(_framed(literal_digest(value)))


def _general(tree: Tree, beginning: bytes, node: int, paths: list[bytes]) -> bytes:
    call = tree.structure.calls[node]
    shape = beginning
    if call.slots or call.defaults:
        shape += repr((call.slots, call.defaults)).encode("utf-8", "surrogatepass")
    return node_digest(shape, tree.lazies[node], call, paths)


def _framed(part: bytes) -> bytes:
    return b"%d:%b" % (len(part), part)


def _hashed(beginning: bytes) -> Hashed:
    return blake2b(beginning, digest_size=NODE_BYTES)


_NO_PATH = bytes(16)
_PATH = _framed(literal_digest(_NO_PATH))[: -len(_NO_PATH)]
"""What stands before the digest of a path that is an argument."""
