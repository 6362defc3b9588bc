"""The facts of a run in the memory of this process, by frame, node and kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cascade.adapters.state.digests import FrameDigest, NodeDigest, frame_digest
from cascade.adapters.state.journal import Kind

if TYPE_CHECKING:
    from cascade.adapters.state.keys import FrameKey

_NOTHING: dict[Kind, Any] = {}


class Encoded:
    """A fact as it was loaded, to be decoded when it is first wanted."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class FactTable:
    """Facts by frame, and for each frame those that stand in for one of its nodes, directly below it.

    So forgetting a frame with all that lies below it costs what these hold.
    """

    def __init__(self) -> None:
        self._facts: dict[bytes, dict[bytes, dict[Kind, Any]]] = {}
        self._frames: dict[bytes, FrameDigest] = {}
        self._below: dict[bytes, set[bytes]] = {}
        self.loaded: set[bytes] = set()
        """The digests of the frames that have facts which the store had when the run was opened."""

    def of_node(self, node: NodeDigest) -> dict[Kind, Any]:
        """Return the facts of a node, to be looked at."""
        facts = self._facts.get(node.frame.digest)
        return _NOTHING if facts is None else facts.get(node.node, _NOTHING)

    def put(self, node: NodeDigest, frame: FrameKey, kind: Kind, fact: object) -> None:
        """Note a fact of a node of this frame."""
        self._of_frame(node.frame, frame).setdefault(node.node, {})[kind] = fact

    def put_results(
        self, digest: FrameDigest, frame: FrameKey, nodes: Iterable[bytes], values: Iterable[object]
    ) -> None:
        """Note values of nodes of this frame."""
        facts, result = self._of_frame(digest, frame), Kind.RESULT
        for node, value in zip(nodes, values, strict=True):
            known = facts.get(node)
            if known is None:
                facts[node] = {result: value}
            else:
                known[result] = value

    def _of_frame(self, frame: FrameDigest, key: FrameKey) -> dict[bytes, dict[Kind, Any]]:
        facts = self._facts.get(frame.digest)
        if facts is None:
            facts = self._facts[frame.digest] = {}
            self.register(frame, key)
        return facts

    def load(self, node: NodeDigest, kind: Kind, fact: object) -> None:
        """Note a fact that the store has, in the form in which it was loaded; its frame is registered."""
        digest = node.frame.digest
        self._facts.setdefault(digest, {}).setdefault(node.node, {})[kind] = fact
        self.loaded.add(digest)

    def register(self, frame: FrameDigest, key: FrameKey | None) -> None:
        """Note which frame a frame lies below, and so on upwards as far as the key leads."""
        while True:
            self._frames[frame.digest] = frame
            if not frame.above:
                return
            below = self._below.setdefault(frame.above[: len(frame.digest)], set())
            known = frame.digest in below
            below.add(frame.digest)
            if known or key is None or key.parent is None:
                return
            key = key.parent
            frame = frame_digest(key)

    def discard(self, node: NodeDigest) -> list[bytes]:
        """Forget the facts of a node; return the digests of the frames that stand in for it."""
        digest = node.frame.digest
        self._facts.get(digest, {}).pop(node.node, None)
        above = digest + node.node
        return [each for each in self._below.get(digest, ()) if self._frames[each].above == above]

    def forget(self, frames: Iterable[bytes]) -> dict[bytes, FrameDigest | None]:
        """Forget frames and all that lies below them; return them by digest, `None` for one that was not known."""
        gone: dict[bytes, FrameDigest | None] = {}
        pending = list(frames)
        while pending:
            digest = pending.pop()
            pending.extend(self._below.pop(digest, ()))
            self._facts.pop(digest, None)
            self.loaded.discard(digest)
            frame = gone[digest] = self._frames.pop(digest, None)
            if frame is not None and frame.above:
                self._below.get(frame.above[: len(digest)], set()).discard(digest)
        return gone

    def clear(self) -> None:
        """Forget everything."""
        self._facts.clear()
        self._frames.clear()
        self._below.clear()
        self.loaded.clear()
