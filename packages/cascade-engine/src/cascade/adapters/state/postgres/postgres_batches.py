"""Batches as statements: what a call of the function `write` of the store is given.

Each kind of rows of a batch is some arrays of one length. To send an array takes longer than to send a number, and most
batches are a fact or two: so a statement has the arrays that are empty, or of one element, written into itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from cascade.adapters.state.journal import KEPT_DRIVES, Changes, Head
from cascade.adapters.text_bytes import as_bytes
from cascade.spec.durable import RunStatus

Columns: TypeAlias = tuple[Sequence[object], ...]

_OLD = {"old_rounds": "bigint", "old_frames": "bytea", "old_nodes": "bytea"}
_FACTS = {
    "rounds": "bigint",
    "frames": "bytea",
    "nodes": "bytea",
    "kinds": "smallint",
    "aboves": "bytea",
    "tasks": "bytea",
    "places": "bytea",
    "values": "bytea",
}
_TIMELINE = {"drives": "bigint", "numbers": "integer", "parts": "bytea"}
_KINDS = (_OLD, _FACTS, _TIMELINE)

_SEVERAL = 2
"""Stands for any number of rows that is larger than one."""


class BatchStatements:
    """The statements that write batches, in the tables whose names begin with `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._known: dict[tuple[int, ...], bytes] = {}

    def of(self, changes: Changes, anew: bool) -> tuple[bytes, dict[str, Any]]:
        """Return a statement that writes changes, and what they give to it."""
        # Once per step of a recorded chain: watched by the rows "durable ... in PostgreSQL" of the observatory.
        given = _head(changes, anew)
        form = []
        for names, columns in zip(_KINDS, _columns(changes), strict=True):
            number = min(len(columns[0]), _SEVERAL)
            form.append(number)
            if number == 1:
                given.update(zip(names, (column[0] for column in columns), strict=True))
            elif number:
                given.update(zip(names, columns, strict=True))
        key = tuple(form)
        statement = self._known.get(key)
        if statement is None:
            statement = self._known[key] = self._made(key)
        return statement, given

    def _made(self, form: tuple[int, ...]) -> bytes:
        old, facts, timeline = (
            ", ".join(_array(name, kind, number) for name, kind in names.items())
            for names, number in zip(_KINDS, form, strict=True)
        )
        return f"""SELECT {self._prefix}write(%(run_id)b, %(holder)b, %(seconds)s::double precision, %(safe)s, %(anew)s,
            %(now)s, %(status)s, %(task)b, %(round)s::bigint, %(error)b, %(record)b, %(target)b, %(rules)s::bigint,
            %(last)s::bigint, {old}, {facts}, {timeline}, %(kept)s, %(inputs)b, %(waits_for)b)""".encode()


def _array(name: str, kind: str, number: int) -> str:
    sent = f"%({name}){'b' if kind == 'bytea' else 's'}::{kind}"  # `b` sends bytes as they are, not as text
    if number == _SEVERAL:
        return f"{sent}[]"
    return f"ARRAY[{sent if number else ''}]::{kind}[]"


def _head(changes: Changes, anew: bool) -> dict[str, Any]:
    """Return what is told of the run as a whole."""
    head = changes.head
    if anew:
        head = Head(RunStatus.RUNNING, "", b"", 0, b"", "", 0, waits_for="")
        head.replace(changes.head)
    return {
        "anew": anew,
        "status": None if head.status is None else str(head.status),
        "task": None if head.task is None else as_bytes(head.task),
        "round": head.round,
        "error": None if head.error is None else as_bytes(head.error),
        "record": head.record,
        "target": head.target,
        "rules": head.rules,
        "last": changes.rounds,
        "kept": KEPT_DRIVES,
        "inputs": head.inputs,
        "waits_for": None if head.waits_for is None else as_bytes(head.waits_for),
    }


def _columns(changes: Changes) -> tuple[Columns, Columns, Columns]:
    """Return the rows of each kind, column by column."""
    facts, timeline = changes.facts, changes.timeline
    frames = [*changes.frames, *(node.frame for node in changes.nodes)]
    return (
        (
            [frame.round for frame in frames],
            [frame.digest for frame in frames],
            [*[None] * len(changes.frames), *(node.node for node in changes.nodes)],
        ),
        (
            [fact.place.frame.round for fact in facts],
            [fact.place.frame.digest for fact in facts],
            [fact.place.node for fact in facts],
            [int(fact.kind) for fact in facts],
            [fact.place.frame.above for fact in facts],
            [as_bytes(fact.call.task) for fact in facts],
            [as_bytes(fact.call.place) for fact in facts],
            [fact.value for fact in facts],
        ),
        (
            [part.drive for part in timeline],
            [part.number for part in timeline],
            [part.data for part in timeline],
        ),
    )
