"""The mark of what is recorded of a run: whether anything new has come since another process opened it."""

from __future__ import annotations

from zlib import crc32

from cascade.adapters.state.journal import Loaded

_BYTES = 8


def mark_of(loaded: Loaded) -> bytes:
    """Return a mark that another one equals if the facts are the same, in whatever order the store gives them."""
    head = loaded.head
    total = crc32(head.target or b"", head.round or 0)
    for (frame, node), kind, value in loaded.facts:
        total += crc32(value, crc32(node, crc32(frame.digest, int(kind))))
    return (total % (1 << 8 * _BYTES)).to_bytes(_BYTES, "big") + len(loaded.facts).to_bytes(_BYTES, "big")
