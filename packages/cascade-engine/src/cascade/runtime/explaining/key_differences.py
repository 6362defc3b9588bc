"""Key differences: why a value that lies in a cache is no hit for a call."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from cascade.spec.digest_rules import DIGEST_RULES, made_by
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.protocols import CacheEntry, CacheKey, KeyPart, PartKind


class Change(StrEnum):
    """What has changed since a cache entry was made.

    `CODE`, `VERSION` and `ARGUMENT`: the code of the task, the version that it declares, an argument. `PROCESS`: the
    task closes over something that has no place in a key, so that its values are good in one process only. `PLACE`: the
    same, of a task of a script that lies elsewhere now. `KEY`: the keys differ, but no part of them does, as may happen
    with a policy of the user's own. `EXPIRED`: the entry is too old. `CLOCK`: it was made later than now, so the clock
    was set back. `RULES`: another version of Cascade made it, by other rules for digests. `VALUE`: nothing of the key,
    but the value can't be read.
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

    `name` is the parameter for `ARGUMENT`, the version of Cascade that made the entry for `RULES`, and else empty.
    """

    change: Change
    name: str = ""


def key_differences(entry: CacheEntry, key: CacheKey, now: float) -> list[KeyDifference]:
    """Return why `entry` is no hit for `key` at the time `now`, in seconds of the cache's clock; empty if it is one.

    Code and version come first, then the arguments by name. An argument that only one of the two has counts too. An
    entry of other rules has that one difference alone, since its digests can't be compared.
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

    A task that was mapped has an entry for each item: the most similar call is the one to compare with. An entry with
    the very key is the closest, expired or not; one of other rules comes last.
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
