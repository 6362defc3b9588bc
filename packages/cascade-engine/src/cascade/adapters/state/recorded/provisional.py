"""Provisional changes: those that rest on a resource which may still roll back.

They stay in the memory of this process, as the bytes that they will be stored as, until they are made final. So the
store never has them before that, and they are lost with the process.
"""

from __future__ import annotations

from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.journal import Fact, Head, Kind
from cascade.spec.late_dataclasses import dataclass, field

Facts = dict[bytes, dict[tuple[bytes, Kind], Fact]]
"""Facts by the digest of their frame, then by the digest of their path and by kind."""


@dataclass(slots=True)
class Provisional:
    """Facts to put, and frames and rounds to forget, when the changes are made final."""

    facts: Facts = field(default_factory=dict)
    frames: dict[bytes, FrameDigest] = field(default_factory=dict)
    rounds: int | None = None
    head: Head = field(default_factory=Head)

    def put(self, fact: Fact) -> None:
        """Note a fact; it replaces an earlier one of its node and kind."""
        self.facts.setdefault(fact.place.frame.digest, {})[fact.place.node, fact.kind] = fact

    def drop(self, node: NodeDigest, kind: Kind | None = None) -> None:
        """Drop the fact of this kind of a node, or all facts of it."""
        facts = self.facts.get(node.frame.digest)
        if facts is not None:
            for each in [each for each in facts if each[0] == node.node and kind in (None, each[1])]:
                del facts[each]

    def drop_rounds(self, last: int) -> None:
        """Drop the facts of all rounds of the run's own loop up to this one."""
        drop_rounds(self.facts, last)


def drop_rounds(facts: Facts, last: int) -> None:
    """Drop the facts of all rounds of the run's own loop up to this one."""
    gone = [
        digest
        for digest, each in facts.items()
        if each and next(iter(each.values())).place.frame.round <= last
    ]
    for digest in gone:
        del facts[digest]
