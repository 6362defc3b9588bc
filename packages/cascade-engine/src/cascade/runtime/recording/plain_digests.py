"""Node digests of plain trees, made by form and not by node: what nodes of one form share is written once.

The digests are those that `node_digests` makes.
"""

from __future__ import annotations

import marshal
from collections.abc import Generator, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

from cascade.graph.plain_rows import bare_forms
from cascade.graph.plain_structure import Inputs, Listed, PlainStructure
from cascade.graph.steps import STRETCH
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
from cascade.spec.calls.arguments import Slot
from cascade.spec.task import AnyTask


def plain_shapes(
    tree: Tree, structure: PlainStructure, rows: StructureRows, hidden: Mapping[AnyTask, str]
) -> Generator[None, None, list[bytes]]:
    """Return for each form what is the same for its nodes; of a form that is not bare, the beginning of it."""
    shapes = []
    bare = bare_forms(tree, structure)
    for form, sample, is_bare in zip(structure.forms, structure.samples, bare, strict=True):
        shape = node_shape(rows, tree.lazies[sample], NO_CALL, hidden)
        if is_bare and form.slots:
            texts: list[str] = []
            slots = _slot_texts(form.slots)
            while stretch := list(islice(slots, STRETCH)):
                texts += stretch
                yield
            listed = f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
            shape += f"({listed}, ())".encode("utf-8", "surrogatepass")
        shapes.append(shape)
    return shapes


def _slot_texts(slots: tuple[Slot | Listed, ...]) -> Iterator[str]:
    for slot in slots:
        if isinstance(slot, Listed):
            for step in range(slot.length):
                yield f"Slot(argument={slot.argument!r}, steps=({step},))"
        else:
            yield repr(slot)


class _FormDigests(NamedTuple):
    """What the digests of the nodes of one form begin with: of those that nothing fills, and of the others."""

    shape: bytes
    framed: bytes


def plain_digests(
    tree: Tree, structure: PlainStructure, shapes: list[bytes], paths: list[bytes]
) -> Generator[None, None, list[bytes]]:
    """Return a digest of what each node is. `paths` has the digest of each node's path, by position."""
    # Once per node of every recorded graph: watched by observatory/benchmarks/bench_durability.py.
    forms = [
        _FormDigests(shape, _framed(shape)) if is_bare else None
        for shape, is_bare in zip(shapes, bare_forms(tree, structure), strict=True)
    ]
    found: list[bytes] = []
    links, kinds, lazies = structure.links, structure.kinds, tree.lazies
    for begin in range(0, len(lazies), STRETCH):
        for node in range(begin, min(begin + STRETCH, len(lazies))):
            link, form, lazy = links[node], forms[kinds[node]], lazies[node]
            if form is None:
                found.append(_general(tree, shapes[kinds[node]], node, paths))
                continue
            if link is None and not lazy.kwargs and SCALARS.issuperset(map(type, lazy.args)):
                whole = form.shape + marshal.dumps(lazy.args, MARSHAL)
            elif isinstance(link, int):
                whole = form.framed + _PATH + paths[link]
            elif link is None or isinstance(link, Inputs):
                args, kwargs = (lazy.args, lazy.kwargs) if link is None else link.fill(lazy, paths)
                parts = [literal_digest(value) for value in args]
                parts += [literal_digest(kwargs[name]) for name in sorted(kwargs)]
                whole = form.framed + b"".join(map(_framed, parts))
            else:
                whole = form.framed + b"".join([_PATH + paths[source] for source in link])
            hashed = _EMPTY.copy()
            hashed.update(whole)
            found.append(hashed.digest())
        yield
    return found


def _general(tree: Tree, beginning: bytes, node: int, paths: list[bytes]) -> bytes:
    call = tree.structure.calls[node]
    shape = beginning
    if call.slots or call.defaults:
        shape += repr((call.slots, call.defaults)).encode("utf-8", "surrogatepass")
    return node_digest(shape, tree.lazies[node], call, paths)


def _framed(part: bytes) -> bytes:
    return b"%d:%b" % (len(part), part)


_EMPTY = blake2b(digest_size=NODE_BYTES)
_NO_PATH = bytes(16)
_PATH = _framed(literal_digest(_NO_PATH))[: -len(_NO_PATH)]
"""What stands before the digest of a path that is an argument."""
