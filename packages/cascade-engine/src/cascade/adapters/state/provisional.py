"""Provisional changes: what counts only once what it rests on can't be undone any more.

They stay in the memory of the process, as the bytes that they will be stored as, until they are made final. So
nothing of them can be read in the store, and they are gone with the process.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.journal import Fact, Head, Kind

Facts = dict[bytes, dict[tuple[bytes, Kind], Fact]]
"""Facts by the digest of their frame, then by node and kind."""


@dataclass(slots=True)
class Provisional:
    """Changes that are kept apart: facts to put, and frames and rounds that are to be forgotten then."""

    facts: Facts = field(default_factory=dict)
    frames: dict[bytes, FrameDigest] = field(default_factory=dict)
    rounds: int | None = None
    head: Head = field(default_factory=Head)

    def put(self, fact: Fact) -> None:
        """Note a fact, in the place of an earlier one of its place and kind."""
        self.facts.setdefault(fact.place.frame.digest, {})[fact.place.node, fact.kind] = fact

    def drop(self, place: NodeDigest, kind: Kind | None = None) -> None:
        """Leave out the fact of a kind at a place, or all that are there."""
        facts = self.facts.get(place.frame.digest)
        if facts is not None:
            for each in [each for each in facts if each[0] == place.node and kind in (None, each[1])]:
                del facts[each]

    def drop_rounds(self, last: int) -> None:
        """Leave out the facts of all rounds up to this one."""
        drop_rounds(self.facts, last)


def drop_rounds(facts: Facts, last: int) -> None:
    """Take the facts of all rounds of the run's own loop up to this one out."""
    gone = [
        digest
        for digest, each in facts.items()
        if each and next(iter(each.values())).place.frame.round <= last
    ]
    for digest in gone:
        del facts[digest]
