"""Pointed names: which names of the value store the facts of one run point to, and which none does any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.journal import Changes, Fact, Kind
from cascade.spec.durable import RunStatus

Names: TypeAlias = tuple[str, ...]
NamesOf: TypeAlias = Callable[[NodeDigest, Kind, bytes], Names]
"""Returns the names that a fact points to, by its key and its bytes."""

OF_RUN = NodeDigest(FrameDigest(-1, b"", b""), b"")
"""The key of what belongs to the run itself: its record, and the target that its own loop goes on with."""

OF_INPUTS = NodeDigest(FrameDigest(-1, b"", b""), b"inputs")
"""The key of what a run keeps of its inputs."""

_NEVER = 1 << 62
"""The round of what belongs to the run itself: it goes with no round."""


class PointedNames:
    """The names that facts point to: those in the store, and those that no commit has yet.

    A value may be that of several nodes: of a call, and of the last call of what stands in its place.
    """

    def __init__(self, names_of: NamesOf) -> None:
        self._names_of = names_of
        self._written: dict[
            bytes, dict[tuple[bytes, Kind], tuple[int, Names]]
        ] = {}  # by the digest of the frame
        # Of facts that no commit has, or that stay with this process: by frame and node.
        self._unwritten: dict[bytes, dict[bytes, Names]] = {}
        self._unneeded: set[str] = set()

    @property
    def is_empty(self) -> bool:
        """Whether nothing points to a value, and none is to be removed."""
        return not (self._written or self._unneeded or self._unwritten)

    def let_go(self, name: str) -> None:
        """Note that a name, or a folder, is not needed any more."""
        self._unneeded.add(name)

    # Facts that no commit has

    def note_unwritten(self, place: NodeDigest, names: Names) -> None:
        """Note what a node points to by a fact that is not written yet, or never will be."""
        self.forget_unwritten_of(place)  # of a value that this one replaces
        self._unwritten.setdefault(place.frame.digest, {})[place.node] = names

    def forget_unwritten(self, frames: Iterable[bytes]) -> None:
        """Take in that facts of frames are forgotten. What was written of them is removed with them, later."""
        for frame in frames:
            for names in self._unwritten.pop(frame, {}).values():
                self._unneeded.update(names)

    def forget_unwritten_of(self, place: NodeDigest) -> None:
        """Take in that the facts of a node are forgotten."""
        self._unneeded.update(self._unwritten.get(place.frame.digest, {}).pop(place.node, ()))

    def forget_all_unwritten(self) -> None:
        """Take in that the run begins anew; what is in its folder goes with that."""
        self._unwritten.clear()

    def note_written_soon(self, changes: Changes) -> None:
        """Take in that facts are about to be written: from now on they are forgotten by a later batch."""
        if self._unwritten:
            for fact in changes.facts:
                if fact.kind is Kind.RESULT and (names := self._names_of(*fact[:3])):
                    self._unwritten.get(fact.place.frame.digest, {}).pop(fact.place.node, None)
                    self.note(*fact[:2], names)

    # Facts in the store

    def note(self, place: NodeDigest, kind: Kind, names: Names) -> None:
        """Note what a fact in the store points to."""
        number, digest, _ = place.frame
        number = _NEVER if number < 0 else number
        self._written.setdefault(digest, {})[place.node, kind] = (number, names)

    def take_in(self, written: Changes, awaited: Iterable[str]) -> set[str]:
        """Take in what was written; return the names that are to be removed now.

        `awaited` are those that facts are about to point to.
        """
        self._note_deleted(written)
        self._note_written(written)
        if not self._unneeded:
            return set()
        pointed = {name for each in self._written.values() for _, names in each.values() for name in names}
        pointed.update(name for each in self._unwritten.values() for names in each.values() for name in names)
        pointed.update(awaited)
        unneeded, self._unneeded = self._unneeded - pointed, set()
        return unneeded

    def _note_deleted(self, written: Changes) -> None:
        if not self._written:
            return
        gone = [*self._written] if written.anew else [frame.digest for frame in written.frames]
        if written.rounds is not None:
            last = written.rounds
            gone += [
                frame
                for frame, names in self._written.items()
                if all(number <= last for number, _ in names.values())
            ]
        for frame in gone:
            for _, names in self._written.pop(frame, {}).values():
                self._unneeded.update(names)
        for place in written.nodes:
            known = self._written.get(place.frame.digest, {})
            for each in [each for each in known if each[0] == place.node]:
                self._unneeded.update(known.pop(each)[1])

    def _note_written(self, written: Changes) -> None:
        for fact in written.facts:
            self._replace(fact)
        head = written.head
        if head.target is not None:
            self._replace_of_run(OF_RUN, head.target)
        if head.inputs is not None or head.status is RunStatus.SUCCEEDED:  # then they are deleted
            self._replace_of_run(OF_INPUTS, head.inputs or b"")

    def _replace(self, fact: Fact) -> None:
        place, kind, data, _ = fact
        known = self._written.get(place.frame.digest)
        if known is not None:
            self._unneeded.update(known.pop((place.node, kind), (0, ()))[1])
        names = self._names_of(place, kind, data)
        if names:
            self.note(place, kind, names)

    def _replace_of_run(self, place: NodeDigest, data: bytes) -> None:
        known = self._written.get(place.frame.digest, {})
        self._unneeded.update(known.pop((place.node, Kind.TARGET), (0, ()))[1])
        names = self._names_of(place, Kind.TARGET, data)
        if names:
            self.note(place, Kind.TARGET, names)
