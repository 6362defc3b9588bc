"""Rows of plain structures: what a structure digest covers of each node, made by form and not by node.

Nodes of one form differ only in the positions that fill them. What stands around these is written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

from cascade.graph.plain_structure import Form, Inputs, Link, Listed, PlainStructure, sources_of
from cascade.graph.small_steps import STRETCH
from cascade.graph.tree import Entries, Tree, container_kinds
from cascade.spec.calls.arguments import Slot
from cascade.spec.internal_tasks import CALL_FACTORY
from cascade.spec.lazy_types import Lazy


def bare_forms(tree: Tree, structure: PlainStructure) -> list[bool]:
    """Tell of each form whether its calls have nothing but arguments: no policies, and no resources."""
    return [
        form == Form(form.serial, form.arity, form.names, form.slots, form.containers)
        and tree.lazies[sample].task is not CALL_FACTORY
        for form, sample in zip(structure.forms, structure.samples, strict=True)
    ]


class _FormRow(NamedTuple):
    """How the row of a node is made: `alone` if nothing fills it, else the digest of `template % sources`.

    Without a template the node has too many slots for one.
    """

    alone: bytes
    template: bytes | None
    lazy: Lazy
    form: Form


def plain_rows(
    tree: Tree, structure: PlainStructure, shape: Callable[[Lazy], bytes], row_of: Callable[[int], bytes]
) -> Iterator[bytes]:
    """Give the rows of all nodes one after another, in stretches; some are empty and only give others a turn.

    `shape` gives the row of a call that nothing fills, `row_of` that of a node whose form says more than its arguments.
    """
    # Once per node of every recorded graph that is new: watched by observatory/benchmarks/bench_durability.py.
    bare = bare_forms(tree, structure)
    known: list[_FormRow | None] = [
        _form_row(form, tree.lazies[sample], shape) if is_bare else None
        for form, sample, is_bare in zip(structure.forms, structure.samples, bare, strict=True)
    ]
    links, kinds = structure.links, structure.kinds
    for begin in range(0, len(links), STRETCH):
        stretch: list[bytes] = []
        for position in range(begin, min(begin + STRETCH, len(links))):
            link, row = links[position], known[kinds[position]]
            if row is None:
                stretch.append(row_of(position))
            elif link is None:
                stretch.append(row.alone)
            elif row.template is None:
                yield b"".join(stretch)
                stretch.clear()
                yield from _long_row(row, link)
            else:
                sources = link if type(link) is not Inputs else link.sources
                stretch.append(sha256(row.template % sources).digest())
        yield b"".join(stretch)


def _form_row(form: Form, lazy: Lazy, shape: Callable[[Lazy], bytes]) -> _FormRow:
    alone = shape(lazy)
    if sum(slot.length if isinstance(slot, Listed) else 1 for slot in form.slots) > STRETCH:
        return _FormRow(alone, None, lazy, form)
    listed = [text.replace("%", "%%") + "%d)" for text in _slot_texts(form, lazy)]
    whole = _BEFORE + _as_tuple(listed) + _AFTER
    return _FormRow(alone, alone.replace(b"%", b"%%") + whole.encode("utf-8", "surrogatepass"), lazy, form)


def _slot_texts(form: Form, lazy: Lazy) -> Iterator[str]:
    """Give what is written of each slot before the position of the node that fills it."""
    entries: Entries = {}
    for slot in form.slots:
        if isinstance(slot, Listed):
            for step in range(slot.length):
                yield f"({slot.argument!r}, ({step},), ('list',), "
        else:
            yield _slot_text(slot, lazy, entries)


def _slot_text(slot: Slot, lazy: Lazy, entries: Entries) -> str:
    containers = tuple(kind.__name__ for kind in container_kinds(lazy, slot, entries))
    return f"({slot.argument!r}, {slot.steps!r}, {containers!r}, "


def _long_row(row: _FormRow, link: Link) -> Iterator[bytes]:
    """Give the row of a node with many slots, after turns for others."""
    hashed = sha256(row.alone + _BEFORE.encode() + b"(")
    comma = ""
    for pairs in _pairs(row, sources_of(link)):
        hashed.update((comma + ", ".join(pairs)).encode("utf-8", "surrogatepass"))
        comma = ", "
        yield b""
    hashed.update(b")" + _AFTER.encode())
    yield hashed.digest()


def _pairs(row: _FormRow, sources: Sequence[int]) -> Iterator[list[str]]:
    """Give what is written of each slot and the position of the node that fills it, a part at each step."""
    # Once per node of every recorded fan-out that is new: watched by observatory/benchmarks/bench_durability.py.
    entries: Entries = {}
    at = 0
    for slot in row.form.slots:
        if isinstance(slot, Listed):
            argument = repr(slot.argument)
            for begin in range(0, slot.length, STRETCH):
                part = sources[at + begin : at + min(begin + STRETCH, slot.length)]
                pairs = enumerate(part, start=begin)
                yield [f"({argument}, ({step},), ('list',), {source})" for step, source in pairs]
            at += slot.length
        else:
            yield [f"{_slot_text(slot, row.lazy, entries)}{sources[at]})"]
            at += 1


_BEFORE = "(((), (), (), ()), "
"""What is written before the slots of a call: that it is ordered after nothing, and has no conditions or amounts."""

_AFTER = ", ())"
"""What is written after them: that no resource is a default."""


def _as_tuple(texts: Sequence[str]) -> str:
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
