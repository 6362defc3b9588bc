"""Digests: the keys of a run's facts as bytes, which are the same in every process.

A digest is made from the parent's digest and the own segment. So each costs the same, however deep its chain is. Paths
and frame keys remember theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cascade.adapters.state.keys import FrameKey, NodeKey
    from cascade.graph.path import Segment, StructurePath

SIZE = 16
"""Bytes of a digest."""


class FrameDigest(NamedTuple):
    """The key of a frame: the round of the run's own loop that it belongs to, and the digest of its `FrameKey`.

    `above` holds the digests of the node that the frame stands in for: its frame's and its path's. For a round of the
    run's own loop it is empty.
    """

    round: int
    digest: bytes
    above: bytes


class NodeDigest(NamedTuple):
    """The key of a node: its frame's, and the digest of its path in that frame."""

    frame: FrameDigest
    node: bytes


def node_digest(key: NodeKey) -> NodeDigest:
    """Return the digest of a node's key."""
    frame, path = key
    try:  # nearly always both are there: two look-ups per fact
        return NodeDigest(frame.cached_digest, path.cached_digest)
    except AttributeError:
        return NodeDigest(frame_digest(frame), path_digest(path))


def path_digest(path: StructurePath) -> bytes:
    """Return the digest of a structure path."""
    known: bytes | None = getattr(path, "cached_digest", None)
    if known is not None:
        return known
    pending = []
    each: StructurePath | None = path
    while each is not None and known is None:
        pending.append(each)
        each = each.parent
        known = getattr(each, "cached_digest", None)
    found = known or b""
    for each in reversed(pending):
        found = each.cached_digest = digest_below(found, segment_bytes(each.segment))
    return found


def digest_below(above: bytes, segment: bytes) -> bytes:
    """Return the digest of a path from that of the path above it and the bytes of its last segment."""
    hashed = _EMPTY.copy()  # takes half the time that making one takes
    hashed.update(above + segment)
    return hashed.digest()


def digests_below(above: bytes, segments: Iterable[bytes]) -> Iterator[bytes]:
    """Give the digests of paths that lie directly below one path."""
    # Once per node of every recorded fan-out that is new: watched by observatory/benchmarks/bench_durability.py.
    begun = _EMPTY.copy()
    begun.update(above)
    for segment in segments:
        hashed = begun.copy()
        hashed.update(segment)
        yield hashed.digest()


_EMPTY = blake2b(digest_size=SIZE)

ROOT_DIGEST = digest_below(b"", b"")
"""The digest of the path of a tree's target."""


@lru_cache(maxsize=4096)
def segment_bytes(segment: Segment | None) -> bytes:
    """Return what stands for a segment in the digest of a path."""
    return b"" if segment is None else repr((segment.place.value, segment.at, segment.steps)).encode()


def frame_digest(key: FrameKey) -> FrameDigest:
    """Return the digest of a frame's key."""
    known: FrameDigest | None = getattr(key, "cached_digest", None)
    if known is not None:
        return known
    pending: list[FrameKey] = []
    each: FrameKey | None = key
    while each is not None and known is None:
        pending.append(each)
        each = each.parent
        known = getattr(each, "cached_digest", None)
    for each in reversed(pending):
        above = (
            b"" if known is None else known.digest + (b"" if each.path is None else path_digest(each.path))
        )
        own = blake2b(above + b"%b %d" % (each.kind.value.encode(), each.number), digest_size=SIZE).digest()
        known = each.cached_digest = FrameDigest(each.number if known is None else known.round, own, above)
    assert known is not None
    return known


def binding(run: bytes, key: NodeDigest, kind: int | None) -> bytes:
    """Return the store key that the bytes of a fact are sealed with: they can't be read as another fact's.

    `kind` is the kind of the fact; `None` for the run's record.
    """
    (number, frame, _), node = key
    return b"%d:%b %d:%b%b:%d" % (len(run), run, number, frame, node, -1 if kind is None else kind)
