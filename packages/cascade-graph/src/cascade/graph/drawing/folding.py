"""Folding: boxes that are alike become one, so that a large picture can be read.

First those of one name that stand between boxes which are alike in turn, as the branches of a fan-out do. If there are
still too many boxes, those of one name in one layer become one; and if that is not enough, all of one name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace

from cascade.graph.drawing.sketches import Arrow, Box, Line, Sketch

ALIKE = 6
"""So many boxes that are alike become one."""

MOST_BOXES = 300
"""A picture with more boxes is folded further."""


_FEW_ROUNDS = 3


def folded(sketch: Sketch) -> Sketch:
    """Return a sketch of at most `MOST_BOXES` boxes, as far as names allow. Takes O(boxes + arrows)."""
    size = len(sketch.boxes)
    sketch = _merged(sketch, _alike(sketch, rounds=_FEW_ROUNDS if size > MOST_BOXES else size))
    if len(sketch.boxes) > MOST_BOXES:
        layers = _layers(sketch)
        sketch = _merged(
            sketch, [(*_kind(box), layer) for box, layer in zip(sketch.boxes, layers, strict=True)]
        )
    if len(sketch.boxes) > MOST_BOXES:
        sketch = _merged(sketch, [*map(_kind, sketch.boxes)])
    return replace(sketch, folded=size - len(sketch.boxes))


def _kind(box: Box) -> tuple[Hashable, ...]:
    return (box.shape, box.label, box.notes)


def _alike(sketch: Sketch, rounds: int) -> list[Hashable]:
    """Return a key for each box; boxes that are alike have one key, if there are enough of them.

    Classes of boxes are split until boxes of one class have neighbours of the same classes, or for so many rounds.

    Source: B. Weisfeiler, A. Leman, "The reduction of a graph to canonical form", Nauchno-Technicheskaya Informatsia
    2(9), 1968.
    """
    ends: list[list[tuple[bool, Line, int]]] = [[] for _ in sketch.boxes]
    for arrow in sketch.arrows:
        ends[arrow.source].append((True, arrow.line, arrow.target))
        ends[arrow.target].append((False, arrow.line, arrow.source))
    kinds: dict[Hashable, int] = {}
    classes = [kinds.setdefault(_kind(box), len(kinds)) for box in sketch.boxes]
    count = len(kinds)
    for _ in range(rounds):
        numbers: dict[Hashable, int] = {}
        classes = [
            numbers.setdefault(
                (own, frozenset((leaves, line, classes[other]) for leaves, line, other in around)),
                len(numbers),
            )
            for own, around in zip(classes, ends, strict=True)
        ]
        if len(numbers) == count:
            break
        count = len(numbers)
    members = Counter(classes)
    return [
        (own,) if members[own] >= ALIKE and box.inner is None else place
        for place, (own, box) in enumerate(zip(classes, sketch.boxes, strict=True))
    ]


def _layers(sketch: Sketch) -> list[int]:
    """Return how many boxes, at most, are before each one on a way to it; arrows of a cycle do not count."""
    before = [0] * len(sketch.boxes)
    following: list[list[int]] = [[] for _ in sketch.boxes]
    for arrow in sketch.arrows:
        before[arrow.target] += 1
        following[arrow.source].append(arrow.target)
    layers = [0] * len(sketch.boxes)
    ready = [each for each, left in enumerate(before) if not left]
    for node in ready:  # grows while it is read
        for target in following[node]:
            layers[target] = max(layers[target], layers[node] + 1)
            before[target] -= 1
            if not before[target]:
                ready.append(target)
    return layers


def _merged(sketch: Sketch, keys: Sequence[Hashable]) -> Sketch:
    """Return the sketch with one box for each key; arrows between the same boxes become one with their number."""
    places: dict[Hashable, int] = {}
    place_of = [places.setdefault(key, len(places)) for key in keys]
    if len(places) == len(keys):
        return sketch
    members: list[list[Box]] = [[] for _ in places]
    for place, box in zip(place_of, sketch.boxes, strict=True):
        members[place].append(box)
    counts: Counter[tuple[object, ...]] = Counter()
    labels: dict[tuple[object, ...], str] = {}
    arrows: dict[tuple[object, ...], Arrow] = {}
    for arrow in sketch.arrows:
        moved = replace(arrow, source=place_of[arrow.source], target=place_of[arrow.target])
        ends = (moved.source, moved.target, moved.line)
        counts[ends] += arrow.count
        arrows.setdefault(ends, moved)
        if labels.setdefault(ends, arrow.label) != arrow.label:
            labels[ends] = ""  # several arguments, several keys
    return Sketch(
        tuple(_one_of(boxes) for boxes in members),
        tuple(replace(arrow, label=labels[ends], count=counts[ends]) for ends, arrow in arrows.items()),
    )


def _one_of(boxes: list[Box]) -> Box:
    if len(boxes) == 1:
        return boxes[0]
    marks = tuple(mark for box in boxes for mark in box.marks)
    return replace(boxes[0], count=sum(box.count for box in boxes), marks=marks)
