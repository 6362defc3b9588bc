"""Differences of cache keys: why a value that lies in a cache is no hit for a call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cascade.spec.digest_rules import DIGEST_RULES, made_by
from cascade.spec.protocols import CacheEntry, CacheKey, KeyPart, PartKind


class Change(StrEnum):
    """What is other than it was when an entry was made.

    `PROCESS`: the task closes over what a key can't tell, so that its values are good in one process only.
    `PLACE`: the task is of a script that lies elsewhere, and reads what a key can't tell.
    `KEY`: the keys differ in what their parts don't tell, those of a policy of one's own say. `CLOCK`: the entry was
    made later than now, before the clock was set back. `RULES`: another version of Cascade made it, by other rules for
    digests. `VALUE`: nothing of the key, but the value can't be read.
    """

    CODE = "code"
    VERSION = "version"
    ARGUMENT = "argument"
    PROCESS = "process"
    PLACE = "place"
    KEY = "key"
    EXPIRED = "expired"
    CLOCK = "clock"
    RULES = "rules"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class KeyDifference:
    """One reason why an entry is no hit.

    `name` is the parameter where an argument is the reason, the version that made the entry where its rules are, else
    empty.
    """

    change: Change
    name: str = ""


def key_differences(entry: CacheEntry, key: CacheKey, now: float) -> list[KeyDifference]:
    """Return why `entry` is no hit for `key` at the time `now`; nothing, if it is one.

    Code and version come first, then the arguments by name. An argument that only one of the two has counts. Digests of
    other rules tell nothing of what has changed.
    """
    if entry.rules != DIGEST_RULES:
        return [KeyDifference(Change.RULES, made_by(entry.rules))]
    if entry.key.digest == key.digest:
        if entry.expires_at is None:
            return []
        if now >= entry.expires_at:
            return [KeyDifference(Change.EXPIRED)]
        return [KeyDifference(Change.CLOCK)] if now < entry.stored_at else []
    old, new = _by_place(entry.key.parts), _by_place(key.parts)
    changed = [
        place for place in sorted(old.keys() | new.keys(), key=_order) if old.get(place) != new.get(place)
    ]
    return [KeyDifference(_CHANGES[kind], name) for kind, name in changed] or [KeyDifference(Change.KEY)]


def closest(entries: Iterable[CacheEntry], key: CacheKey, now: float) -> CacheEntry | None:
    """Return the entry that differs from `key` in the fewest ways, the first of several; `None` if there is none.

    A task that was mapped has an entry for each item; the one to compare with is that of the nearest call. One of the
    very key is the closest, expired or not; one of other rules for digests is farther than any.
    """

    def distance(entry: CacheEntry) -> tuple[bool, bool, int]:
        other_rules = entry.rules != DIGEST_RULES
        return other_rules, entry.key.digest != key.digest, len(key_differences(entry, key, now))

    return min(entries, key=distance, default=None)


def _by_place(parts: Iterable[KeyPart]) -> dict[tuple[PartKind, str], str]:
    return {(part.kind, part.name): part.digest for part in parts}


def _order(place: tuple[PartKind, str]) -> tuple[int, str]:
    return _KINDS.index(place[0]), place[1]


_KINDS = tuple(PartKind)
_CHANGES = {kind: Change(kind.value) for kind in PartKind}
