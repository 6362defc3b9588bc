"""Run records: what a run was begun with, as digests.

They cover its structure, the code of its tasks, its literals and its inputs, and hold no value itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from hashlib import scrypt
from typing import NamedTuple
from weakref import WeakKeyDictionary

from cascade.adapters.state.digests import path_digest
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.structure_digests import StructureRows, structure_digest
from cascade.graph.tree import Structure, Tree
from cascade.runtime.recording.node_digests import literal_digest, node_digest, node_shape
from cascade.spec.code import code_version
from cascade.spec.common import Contract, ParamContract, SecretValue
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.durable import CodeRecord, RunRecord
from cascade.spec.encoding.canonical import digest
from cascade.spec.internal_tasks import INTERNAL_TASKS, PASS_THROUGH
from cascade.spec.lazy_types import Lazy, ParamLazyResult
from cascade.spec.task import AnyTask, TaskReference

NEVER_STORED = PASS_THROUGH
"""Cascade's own tasks whose values are never stored: inputs, and what only hands on or gathers other values."""

_SALT_BYTES = 16


def make_record(
    tree: Tree,
    inputs: Mapping[str, object],
    salt: bytes | None,
    of_resources: Iterable[Contract] = (),
) -> RunRecord:
    """Return the record of a run whose first target has this tree; the salt is that of an earlier record, if any.

    `of_resources` are the contracts of the inputs that its resources read.
    """
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    outline, calls = _outline(tree), tree.structure.calls
    paths, shapes = outline.paths, outline.shapes
    nodes = {
        paths[position]: node_digest(shapes[position], lazy, calls[position], paths)
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
    """What is the same for all trees of one plain structure.

    `paths` has a digest of each node's path, `shapes` what `node_shape` gives for each node; `digest` is that of the
    whole structure.
    """

    paths: list[bytes]
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
            [node_shape(rows, lazy, call, hidden) for lazy, call in zip(tree.lazies, calls, strict=True)],
            structure_digest(tree),
        )
        # Such a structure has no inputs, nor other values that differ where its key is equal.
        if isinstance(tree.structure, PlainStructure):
            _outlines[tree.structure] = known
    return known


def code_of(lazies: Iterable[Lazy]) -> set[CodeRecord]:
    """Return the code of the tasks that are called, but Cascade's own. Tasks of one name have one record together."""
    versions: dict[TaskReference, set[str]] = {}
    for task in _tasks(lazies):
        versions.setdefault(task.reference, set()).add(code_version(task))
    return {
        CodeRecord(*reference, each.pop() if len(each) == 1 else digest(tuple(sorted(each))).hex())
        for reference, each in versions.items()
    }


def _tasks(lazies: Iterable[Lazy]) -> set[AnyTask]:
    return {lazy.task for lazy in lazies} - INTERNAL_TASKS


def _contracts_in(lazies: Iterable[Lazy]) -> list[Contract]:
    return [lazy.contract for lazy in lazies if isinstance(lazy, ParamLazyResult)]


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
