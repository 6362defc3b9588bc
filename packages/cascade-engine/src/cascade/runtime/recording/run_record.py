"""Run records: what a run was begun with, as digests.

They cover its structure, the code of its tasks, its literals and its inputs, and hold no value itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from hashlib import scrypt
from typing import NamedTuple
from weakref import WeakKeyDictionary

from cascade.graph.plain_structure import PlainStructure
from cascade.graph.small_steps import STRETCH, Steps
from cascade.graph.structure_digests import StructureHashing
from cascade.graph.tree import Structure, Tree
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.recording.node_digests import literal_digest, node_digest, node_shape
from cascade.runtime.recording.places import make_places, places_of
from cascade.runtime.recording.plain_digests import plain_digests, plain_shapes
from cascade.spec.code import code_version
from cascade.spec.common import Contract, ParamContract, SecretValue
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.durable import CodeRecord, RunRecord
from cascade.spec.encoding.canonical import digest
from cascade.spec.internal_tasks import INTERNAL_TASKS, PASS_THROUGH
from cascade.spec.lazy_types import ParamLazyResult
from cascade.spec.task import AnyTask, TaskReference

NEVER_STORED = PASS_THROUGH
"""Cascade's own tasks whose values are never stored: inputs, and what only hands on or gathers other values."""

_SALT_BYTES = 16


def make_record(
    tree: Tree,
    inputs: Mapping[str, object],
    salt: bytes | None,
    of_resources: Iterable[Contract] = (),
) -> Steps[RunRecord]:
    """Make the record of a run whose first target has this tree; the salt is that of an earlier record, if any.

    Takes a step for each few hundred nodes, so that others may have a turn between them. `of_resources` are the
    contracts of the inputs that its resources read.
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    structure = tree.structure
    tasks = tasks_of(structure, tree.lazies)
    contracts = [] if isinstance(structure, PlainStructure) else _contracts(tree.lazies)
    yield from make_places(structure)
    outline = yield from _outline(tree, tasks)
    digests = places_of(structure).digests
    if isinstance(structure, PlainStructure):
        nodes = yield from plain_digests(tree, structure, outline.shapes, digests)
    else:
        nodes = {}
        for begin in range(0, len(digests), STRETCH):
            for node in range(begin, min(begin + STRETCH, len(digests))):
                lazy, call = tree.lazies[node], structure.calls[node]
                nodes[digests[node]] = node_digest(outline.shapes[node], lazy, call, digests)
            yield
    return RunRecord(
        tree.lazies[structure.target].task.name,
        outline.digest,
        tuple(sorted(code_of(tasks))),
        dict(_inputs([*contracts, *of_resources], inputs, salt)),
        nodes,
        salt,
        DIGEST_RULES,
    )


class _Outline(NamedTuple):
    """What is the same for all trees of one plain structure.

    `shapes` has what `node_shape` gives: for each form of a plain structure, else for each node. `digest` is that of
    the whole structure.
    """

    shapes: list[bytes]
    digest: str


_outlines: WeakKeyDictionary[Structure, _Outline] = WeakKeyDictionary()


def _outline(tree: Tree, tasks: Set[AnyTask]) -> Steps[_Outline]:
    structure = tree.structure
    known = _outlines.get(structure)
    if known is None:
        hashing = StructureHashing(tree)
        yield from hashing.stretches()
        hidden = {task: code_version(task) for task in tasks if task.reference.find() is not task}
        if isinstance(structure, PlainStructure):
            shapes = yield from plain_shapes(tree, structure, hashing.rows, hidden)
        else:
            shapes = []
            for begin in range(0, len(tree.lazies), STRETCH):
                pairs = zip(tree.lazies[begin : begin + STRETCH], structure.calls[begin:], strict=False)
                shapes += [node_shape(hashing.rows, lazy, call, hidden) for lazy, call in pairs]
                yield
        known = _Outline(shapes, hashing.digest)
        # Such a structure has no inputs, nor other values that differ where its key is equal.
        if isinstance(structure, PlainStructure):
            _outlines[structure] = known
    return known


def tasks_of(structure: Structure, lazies: Lazies) -> Set[AnyTask]:
    """Return the tasks that are called, but Cascade's own."""
    # All calls of one form are of one task.
    samples = structure.samples if isinstance(structure, PlainStructure) else range(len(lazies))
    return {lazies[position].task for position in samples} - INTERNAL_TASKS


def _contracts(lazies: Lazies) -> list[Contract]:
    """Return the contracts of the inputs that are read."""
    return [lazy.contract for lazy in lazies if isinstance(lazy, ParamLazyResult)]


def code_of(tasks: Set[AnyTask]) -> set[CodeRecord]:
    """Return the code of tasks. Tasks of one name have one record together."""
    versions: dict[TaskReference, set[str]] = {}
    for task in tasks:
        versions.setdefault(task.reference, set()).add(code_version(task))
    return {
        CodeRecord(*reference, each.pop() if len(each) == 1 else digest(tuple(sorted(each))).hex())
        for reference, each in versions.items()
    }


def _inputs(
    contracts: Iterable[Contract], inputs: Mapping[str, object], salt: bytes
) -> Iterator[tuple[str, bytes]]:
    """Give a digest of each input that is given or that a tree reads, but for secrets and `identity=False`.

    They are slow to make on purpose: who tries to guess a value pays some milliseconds for each guess.
    """
    values = dict(inputs)  # also those that only a later tree reads
    for contract in contracts:
        values[contract.name] = contract.read(inputs) if _is_compared(contract) else _NOT_COMPARED
    for name, value in values.items():
        if value is _NOT_COMPARED or isinstance(value, SecretValue):
            continue
        yield name, scrypt(literal_digest(value), salt=salt, n=1 << 12, r=8, p=1, dklen=16)


def _is_compared(contract: Contract) -> bool:
    """Tell whether a run that goes on must have the value that it began with. A password may be a new one."""
    return not contract.secret and (isinstance(contract, ParamContract) or contract.identity)


_NOT_COMPARED = object()
