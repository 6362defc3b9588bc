"""Places as bytes: keys of a run's facts that are the same in every process.

Digests are chained, so that those of a deep chain cost as little each as those of a flat tree, and kept with the paths
and frame keys that they are of.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cascade.adapters.state.keys import FrameKey, NodeKey
    from cascade.graph.path import Segment, StructurePath

SIZE = 16
"""Bytes of a digest."""


class Frame(NamedTuple):
    """A frame: the round of the run's own loop that it belongs to, its digest, and the node in whose place it stands.

    `above` is that node's frame and path; empty for a round of the run's own loop.
    """

    round: int
    digest: bytes
    above: bytes


class Place(NamedTuple):
    """Where a fact lies: its frame, and the digest of the path in it."""

    frame: Frame
    node: bytes


def place_of(key: NodeKey) -> Place:
    """Return the place of a node."""
    frame, path = key
    try:
        return Place(frame.cached_frame, path.cached_digest)
    except AttributeError:
        return Place(frame_of(frame), digest_of(path))


def digest_of(path: StructurePath) -> bytes:
    """Return the digest of a structure path."""
    known: bytes | None = getattr(path, "cached_digest", None)
    if known is not None:
        return known
    way = []
    each: StructurePath | None = path
    while each is not None and known is None:
        way.append(each)
        each = each.parent
        known = getattr(each, "cached_digest", None)
    found = known or b""
    for each in reversed(way):
        found = each.cached_digest = blake2b(found + _bytes_of(each.segment), digest_size=SIZE).digest()
    return found


@lru_cache(maxsize=4096)
def _bytes_of(segment: Segment | None) -> bytes:
    return b"" if segment is None else repr((segment.place.value, segment.at, segment.steps)).encode()


def frame_of(key: FrameKey) -> Frame:
    """Return a frame as a store knows it."""
    known: Frame | None = getattr(key, "cached_frame", None)
    if known is not None:
        return known
    way: list[FrameKey] = []
    each: FrameKey | None = key
    while each is not None and known is None:
        way.append(each)
        each = each.parent
        known = getattr(each, "cached_frame", None)
    for each in reversed(way):
        above = b"" if known is None else known.digest + (b"" if each.path is None else digest_of(each.path))
        own = blake2b(above + b"%b %d" % (each.turn.value.encode(), each.number), digest_size=SIZE).digest()
        known = each.cached_frame = Frame(each.number if known is None else known.round, own, above)
    assert known is not None
    return known


def binding(run: bytes, place: Place, kind: int | None) -> bytes:
    """Return what binds the bytes of a fact to where it is stored; those of the run's record are of no kind."""
    (number, frame, _), node = place
    return b"%d:%b %d:%b%b:%d" % (len(run), run, number, frame, node, -1 if kind is None else kind)
