"""Places: where the nodes of a structure stand, in columns: a digest of each path, and its text for people.

Facts are stored under these digests. Those of a plain structure are made from its links; it needs no paths for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, repeat
from typing import Protocol
from weakref import WeakKeyDictionary

from cascade.adapters.state.digests import (
    ROOT_DIGEST,
    digest_below,
    digests_below,
    path_digest,
    segment_bytes,
)
from cascade.graph.path import StructurePath, segment_of
from cascade.graph.plain_structure import Inputs, Link, Listed, PlainStructure, slots_of, sources_of
from cascade.graph.small_steps import STRETCH, Steps
from cascade.graph.tree import Structure
from cascade.spec.calls.arguments import Slot, slot_of

_STEPS_SHOWN = 6
"""The last steps of a path that its text shows. As text, the full paths of a deep chain would fill the store."""


class Places(Protocol):
    """The places of the nodes of one structure, by position."""

    digests: list[bytes]

    def text(self, node: int) -> str:
        """Return the path of a node as text: in full, or its last steps if it is deep."""


_known: WeakKeyDictionary[Structure, Places] = WeakKeyDictionary()


def places_of(structure: Structure) -> Places:
    """Return the places of the nodes of a structure, made once."""
    found = _known.get(structure)
    if found is None:
        for _ in make_places(structure):
            pass
        found = _known[structure]
    return found


def make_places(structure: Structure) -> Iterator[None]:
    """Make the places of the nodes of a structure, a part at each step, for `places_of`."""
    if structure in _known:
        return
    if isinstance(structure, PlainStructure):
        _known[structure] = yield from _plain_places(structure)
    else:
        digests: list[bytes] = []
        for begin in range(0, len(structure), STRETCH):
            digests += map(path_digest, structure.paths[begin : begin + STRETCH])
            yield
        _known[structure] = _PathPlaces(digests, structure.paths)


class _PathPlaces:
    """The places of a structure that has paths."""

    __slots__ = ("_paths", "digests")

    def __init__(self, digests: list[bytes], paths: list[StructurePath]) -> None:
        self.digests = digests
        self._paths = paths

    def text(self, node: int) -> str:
        steps: list[str] = []
        each: StructurePath | None = self._paths[node]
        while each is not None and each.segment is not None and len(steps) < _STEPS_SHOWN:
            steps.append(str(each.segment))
            each = each.parent
        begin = "root" if each is None or each.segment is None else "..."
        return begin + "".join(reversed(steps))


class _PlainPlaces:
    """The places of a plain structure: of each node, the one that it was found in, and by which of its slots."""

    __slots__ = ("_links", "_ordinals", "_parents", "digests")

    def __init__(
        self, links: tuple[Link, ...], digests: list[bytes], parents: list[int], ordinals: list[int]
    ) -> None:
        self.digests = digests
        self._links = links
        self._parents = parents
        self._ordinals = ordinals

    def text(self, node: int) -> str:
        # Once per node of every recorded fan-out: watched by observatory/benchmarks/bench_durability.py.
        steps = ""
        for _ in range(_STEPS_SHOWN):
            if not node:
                return f"root{steps}"
            parent = self._parents[node]
            link, ordinal = self._links[parent], self._ordinals[node]
            is_listed = isinstance(link, Inputs)
            step = str(segment_of(_slot_at(link, ordinal))) if is_listed else _text_of_argument(ordinal)
            steps = f"{step}{steps}"
            node = parent
        return f"root{steps}" if not node else f"...{steps}"


@lru_cache(maxsize=64)
def _text_of_argument(ordinal: int) -> str:
    """Return the step to a whole argument as text: in a chain the same ones come again and again."""
    return str(segment_of(slot_of(ordinal)))


def _slot_at(link: Link, ordinal: int) -> Slot:
    """Return one of the slots of a call by its number."""
    if not isinstance(link, Inputs):
        return slot_of(ordinal)
    for slot in link.slots:
        if not isinstance(slot, Listed):
            if not ordinal:
                return slot
            ordinal -= 1
        elif ordinal < slot.length:
            return Slot(slot.argument, (ordinal,))
        else:
            ordinal -= slot.length
    raise IndexError(ordinal)


def _plain_places(structure: PlainStructure) -> Steps[Places]:
    """Go through a structure as its reader did; as `PlainStructure.expansion`, with a column for each result."""
    # Once per node of every recorded graph that is new: watched by observatory/benchmarks/bench_durability.py.
    links = structure.links
    digests, parents, ordinals = [ROOT_DIGEST], [0], [0]
    whole = [segment_bytes(segment_of(slot_of(argument))) for argument in range(_MOST_WHOLE)]
    pending = [0]
    looked_at = 0
    while pending:
        position = pending.pop()
        link = links[position]
        looked_at += 1
        if not looked_at % STRETCH:
            yield
        if link is None:
            continue
        known = len(digests)
        own = digests[position]
        if isinstance(link, int):
            if link == known:
                digests.append(digest_below(own, whole[0]))
                parents.append(position)
                ordinals.append(0)
                pending.append(known)
            continue
        sources = sources_of(link)
        segments = iter(whole) if len(sources) <= _MOST_WHOLE and link is sources else _segments(link)
        count = len(sources)
        if count > 1 and sources[0] == known and sources[-1] == known + count - 1:  # all of them are new
            for begin in range(0, count, STRETCH):
                if begin:
                    yield
                digests += digests_below(own, islice(segments, min(STRETCH, count - begin)))
            parents += repeat(position, count)
            ordinals += range(count)
            pending += [each for each in range(known + count - 1, known - 1, -1) if links[each] is not None]
            continue
        for ordinal, (source, segment) in enumerate(zip(sources, segments, strict=False)):
            if source == len(digests):
                digests.append(digest_below(own, segment))
                parents.append(position)
                ordinals.append(ordinal)
            if ordinal % STRETCH == STRETCH - 1:
                yield
        pending.extend(range(len(digests) - 1, known - 1, -1))
    return _PlainPlaces(links, digests, parents, ordinals)


_MOST_WHOLE = 16
"""Up to how many arguments that are lazy results have their segments written in advance."""


def _segments(link: Link) -> Iterator[bytes]:
    """Give the bytes of the segment of each slot."""
    for slot in link.slots if isinstance(link, Inputs) else slots_of(link):
        if isinstance(slot, Listed):
            place, at, _ = segment_of(Slot(slot.argument))
            before = repr((place.value, at)).encode()[:-1]  # as `segment_bytes` writes it, up to the steps
            for step in range(slot.length):
                yield b"%b, (%d,))" % (before, step)
        else:
            yield segment_bytes(segment_of(slot))
