"""The write buffer of a recorded run: what the next commit writes, and what the store has already.

It holds no more than it has to: a fact that is forgotten before the commit is never written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cascade.adapters.state.digests import FrameDigest, NodeDigest, frame_digest
from cascade.adapters.state.journal import Changes, Fact, Head, Kind, TimelinePart
from cascade.adapters.state.recorded.provisional import Facts, Provisional, drop_rounds
from cascade.spec.durable import FactLabel

if TYPE_CHECKING:
    from cascade.adapters.state.keys import FrameKey

_NO_LABEL = FactLabel("", "")


class WriteBuffer:
    """Changes since the last commit; those that are provisional are kept apart until they are made final.

    `head` is the run as a whole, as it is after these changes. The facts of the last `keep_rounds` rounds of the run's
    own loop stay in the store, those of the current round among them.
    """

    def __init__(self, keep_rounds: int) -> None:
        self.head = Head()
        self._keep_rounds = keep_rounds
        self._changes = Changes()
        self._facts: Facts = {}
        self._provisional = Provisional()
        self._stored: set[bytes] = set()  # digests of frames that have facts in the store
        self._linked: set[bytes] = set()  # those of frames from which the store can find the way up
        self._has_rounds = False  # in the store, of the run's own loop

    def note_loaded(self, head: Head, frames: Iterable[bytes], linked: Iterable[bytes]) -> None:
        """Note what the store has: the head, frames with facts, and frames that are linked to the one above."""
        self.head = head
        self._has_rounds = True
        self._linked.update(linked)
        self._stored.update(frames, self._linked)

    # What is put

    def put(self, fact: Fact, frame: FrameKey, provisional: bool) -> None:
        """Note a fact of a node of this frame."""
        # Once per recorded call: watched by observatory/benchmarks/bench_durability.py.
        if provisional:
            self._provisional.put(fact)
        else:
            self._facts.setdefault(fact.place.frame.digest, {})[fact.place.node, fact.kind] = fact
            if self._provisional.facts:
                self._provisional.drop(fact.place, fact.kind)
        if frame.parent is not None:  # what lies below it says nothing of itself, and so is never provisional
            self._link(frame.parent)

    def put_all(self, facts: list[Fact], frame: FrameKey) -> None:
        """Note facts of nodes of this frame; none of them is provisional."""
        if self._provisional.facts:
            for fact in facts:
                self.put(fact, frame, provisional=False)
        elif facts:
            of_frame = self._facts.setdefault(facts[0].place.frame.digest, {})
            of_frame.update({(fact.place.node, fact.kind): fact for fact in facts})
            if frame.parent is not None:
                self._link(frame.parent)

    def _link(self, frame: FrameKey) -> None:
        """Store which node a frame stands in for, and so on upwards: who loads what lies below finds the way by that.

        A round of the run's own loop stands in for no node.
        """
        each = frame
        while each.parent is not None:
            digest = frame_digest(each)
            if digest.digest in self._linked:
                return
            self._linked.add(digest.digest)
            fact = Fact(NodeDigest(digest, b""), Kind.FRAME, b"", _NO_LABEL)
            self._facts.setdefault(digest.digest, {})[b"", Kind.FRAME] = fact
            each = each.parent

    def change(self, head: Head) -> None:
        """Change what is stored of the run as a whole."""
        self.head.replace(head)
        self._changes.head.replace(head)

    def set_target(self, head: Head, provisional: bool) -> None:
        """Change what the run's own loop goes on with."""
        if provisional:
            self._provisional.head = head
        else:
            self._provisional.head = Head()
            self.change(head)

    def put_timeline(self, part: TimelinePart) -> None:
        """Note a part of the timeline of the run."""
        self._changes.timeline.append(part)

    # What is forgotten

    def discard(self, node: NodeDigest) -> None:
        """Forget the facts of a node."""
        self._changes.nodes.append(node)
        self._provisional.drop(node)
        digest = node.frame.digest
        facts = self._facts.pop(digest, {})
        kept = {each: fact for each, fact in facts.items() if each[0] != node.node}
        if kept:
            self._facts[digest] = kept

    def forget(self, frames: Mapping[bytes, FrameDigest | None]) -> None:
        """Forget frames."""
        for digest, frame in frames.items():
            self._facts.pop(digest, None)
            self._provisional.facts.pop(digest, None)
            self._linked.discard(digest)
            if frame is not None and digest in self._stored:
                self._stored.discard(digest)
                self._changes.frames.append(frame)

    def forget_round(self, frames: Mapping[bytes, FrameDigest | None], number: int) -> None:
        """Forget the frames of a round of the run's own loop, which stay in the store until later rounds replace it."""
        self._linked.difference_update(frames)
        self._stored.difference_update(frames)
        self._forget_rounds(number + 1 - self._keep_rounds)

    def _forget_rounds(self, last: int) -> None:
        """Forget all rounds of the run's own loop up to this one."""
        if last < 0:
            return
        self._provisional.drop_rounds(last)
        if self._has_rounds:
            self._changes.rounds = last
            self._has_rounds = self._keep_rounds > 1
        drop_rounds(self._facts, last)
        self._changes.frames = [frame for frame in self._changes.frames if frame.round > last]
        self._changes.nodes = [node for node in self._changes.nodes if node.frame.round > last]

    def clear(self) -> None:
        """Forget everything; the next commit forgets all that is stored too."""
        self.head = Head()
        self._facts.clear()
        self._linked.clear()
        self._stored.clear()
        self._provisional = Provisional()
        self._changes = Changes(anew=True)

    # What is provisional

    def forget_later(self, frames: Mapping[bytes, FrameDigest | None]) -> None:
        """Forget frames once all that is provisional is made final."""
        later = self._provisional
        for digest, frame in frames.items():
            later.facts.pop(digest, None)
            if frame is not None and (digest in self._stored or digest in self._facts):
                later.frames[digest] = frame

    def forget_round_later(self, number: int) -> None:
        """Forget a round of the run's own loop once all that is provisional is made final."""
        last = number + 1 - self._keep_rounds
        if last >= 0:
            self._provisional.rounds = last
            self._provisional.drop_rounds(last)

    def make_final(self) -> None:
        """Make all that is provisional a part of the next commit."""
        final, self._provisional = self._provisional, Provisional()
        if final.rounds is not None:
            self._forget_rounds(final.rounds)
        for digest, frame in final.frames.items():
            self._facts.pop(digest, None)
            self._linked.discard(digest)
            if digest in self._stored:
                self._stored.discard(digest)
                self._changes.frames.append(frame)
        for digest, facts in final.facts.items():
            self._facts.setdefault(digest, {}).update(facts)
        self.change(final.head)

    # The commit

    def take(self) -> Changes | None:
        """Return what is to be written, and begin with an empty buffer; `None` if nothing is."""
        changes, self._changes = self._changes, Changes()
        changes.facts = [fact for facts in self._facts.values() for fact in facts.values()]
        self._stored.update(self._facts)
        self._has_rounds = self._has_rounds or bool(self._facts)
        self._facts = {}
        return None if changes == Changes() else changes
