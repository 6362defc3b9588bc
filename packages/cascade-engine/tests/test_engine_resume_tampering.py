"""Claims about runs whose store somebody has tampered with: a typed error or a value, and `restart=True` heals."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.resuming import WANTED, add, give, item, noted, play, sixty, stopped
from support.stores import path_of, recorded

import cascade as cs
from cascade.adapters.codec.data_codec import VERSION
from cascade.adapters.codec.envelope import seal, unseal
from cascade.adapters.state.digests import FrameDigest, NodeDigest, binding
from cascade.adapters.state.journal import Journal, Kind, Loaded

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        255,
        2**31,
        2**63 - 1,
        -(2**63),
        2**64 - 1,
        1.5,
        float("nan"),
        float("inf"),
    ),
    *(
        "",
        "x",
        "a.b",
        "root",
        "\ud7ff",
        b"",
        b"\x00",
        b"\xff" * 16,
        [],
        {},
        [None],
        [1, 2, 3],
        {"k": 1},
        {1: 2},
    ),
)
"""What a tamperer may put in the place of anything."""


def tampered(value: Any, chance: random.Random) -> Any:
    """Return a copy of plain data with one thing in it changed, left out, doubled or swapped."""
    value = copy.deepcopy(value)
    spots: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        each = pending.pop()
        keys = range(len(each)) if isinstance(each, list) else [*each] if isinstance(each, dict) else ()
        for key in keys:
            spots.append((each, key))
            pending.append(each[key])
    if not spots:
        return chance.choice(ODD)
    container, key = chance.choice(spots)
    match chance.randrange(5):
        case 0:
            del container[key]
        case 1 if isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
        case 2:
            other, at = chance.choice(spots)
            container[key] = copy.deepcopy(other[at]) if at in other or isinstance(other, list) else None
        case 3 if isinstance(container[key], int):
            container[key] += chance.choice((-1, 1))
        case _:
            container[key] = chance.choice(ODD)
    return value


def retold(data: bytes, key: bytes, chance: random.Random) -> bytes:
    """Return sealed bytes with something in them changed, and a checksum that fits."""
    payload = bytes(unseal(VERSION, data, key))
    if chance.random() < 0.2:
        at = chance.randrange(len(payload))
        return seal(data[0], payload[:at] + bytes([chance.randrange(256)]) + payload[at + 1 :], key)
    for start in (0, 1):  # a codec writes its form first
        try:
            content = msgspec.msgpack.decode(payload[start:], strict=False)
        except (ValueError, RecursionError):
            continue
        if start or not isinstance(content, int):
            changed = tampered(content, chance)
            return seal(data[0], payload[:start] + msgspec.msgpack.encode(changed), key)
    return seal(data[0], chance.randbytes(5), key)


class TamperedJournal:
    """Gives what a journal has loaded, with one thing in it changed."""

    def __init__(self, journal: Journal, chance: random.Random) -> None:
        self._journal = journal
        self._chance = chance

    async def open(self, anew: bool = False) -> Loaded | None:
        loaded = await self._journal.open(anew)
        return loaded if loaded is None else self._changed(loaded)

    def _changed(self, loaded: Loaded) -> Loaded:
        chance, run = self._chance, b"r"
        own = NodeDigest(FrameDigest(-1, b"", b""), b"")
        head = replace(loaded.head)
        which = chance.choice(["record", "target", "round", *["fact"] * 6, "place"])
        assert head.record is not None
        if which == "record":
            head.record = retold(head.record, binding(run, own, None), chance)
        elif which == "target" and head.target:
            head.target = self._target(head.target, own)
        elif which == "round":
            head.round = chance.choice((0, 1, 5, 2**62))
        elif loaded.facts:
            at = chance.randrange(len(loaded.facts))
            place, kind, value = loaded.facts[at]
            if which == "place":
                kind = chance.choice([*Kind])
            elif value:
                key = binding(run, place, kind)
                value = self._target(value, place) if kind is Kind.TARGET else retold(value, key, chance)
            loaded.facts[at] = (place, kind, value)
        return Loaded(head, loaded.facts)

    def _target(self, data: bytes, place: NodeDigest) -> bytes:
        key = binding(b"r", place, Kind.TARGET)
        if self._chance.random() < 0.2:
            return retold(data, key, self._chance)
        number, target = msgspec.msgpack.decode(unseal(VERSION, data, key))
        return seal(data[0], msgspec.msgpack.encode((number, retold(target, key, self._chance))), key)

    async def write(self, changes: Any) -> None:
        await self._journal.write(changes)

    async def close(self) -> None:
        await self._journal.close()


@cs.task(retry=cs.RetryPolicy(max_attempts=1), timeout=50, mode="thread")
def busy(left: int, *others: Any) -> Any:
    """A loop whose calls have policies and all kinds of arguments."""
    router = cs.Router(give("selector", "x"), {"x": give("x", 1), "y": give("y", 2)})
    again = busy(left - 1, router, [give("part", 1)], item.map(x=[1, 2]), cs.Param("p", 1, type=int))
    return again.after(give("before")).run_if(give("on", True)) if 0 < left < 50 else 7


@cs.task
def spin(left: int, *others: Any) -> Any:
    """Like `count_with_parts`, but for ever with no number."""
    noted(f"spin {left}")
    return spin(left - 1, give(f"part {left - 1}")) if 0 < left < 50 else 7


TARGETS: dict[str, tuple[Callable[[], Any], str, int]] = {
    "sixty": (sixty, "end", WANTED),
    "inner loop": (lambda: add("sum", spin(3), give("last", 5)), "part 1", 12),
    "own loop": (lambda: spin(6), "spin 2", 7),
    "policies": (lambda: add("sum", busy(3), give("last", 5)), "last", 12),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("blobs", [60, pytest.param(4_000, marks=pytest.mark.soak)])
async def test_tampered_data_is_a_typed_error(file_url: str, name: str, blobs: int) -> None:
    """Whatever is put into a store, with checksums that fit, the run has a value or ends with a typed error."""
    make, stop, value = TARGETS[name]
    await stopped(file_url, make(), stop)
    path = Path(path_of(file_url))
    whole = path.read_bytes()
    for number in range(blobs):
        chance = random.Random(f"{name} {number}")
        seen = await play(file_url, make(), make=recorded(file_url, partial(TamperedJournal, chance=chance)))
        assert seen.error is None or is_told(seen.error), (number, seen.error)
        path.write_bytes(whole)
    assert (await play(file_url, make())).value == value


def is_told(error: BaseException) -> bool:
    """Tell whether an error is Cascade's own, or a task's own that was handed another value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    own = trace is not None and Path(trace.tb_frame.f_code.co_filename).parent.name in ("support", "tests")
    return isinstance(error, cs.CascadeError) or own
