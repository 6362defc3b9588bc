"""Layers: which layer each box stands in, where long arrows bend, and the order in each layer.

Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures", IEEE
Transactions on Systems, Man, and Cybernetics 11(2), 1981.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise

from cascade.graph.drawing.layout.placing import Ends
from cascade.spec.late_dataclasses import dataclass

SWEEPS = 12
"""How often something is improved, from the top down and back."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Boxes in layers.

    Attributes:
        rows: The layers from the top down; in each one the boxes, and the bends of arrows that pass it, from the left.
        chains: The way of each arrow downwards, through the bends; empty for an arrow of a box to itself.
        above: What stands right above each box or bend.
        below: What stands right below.
    """

    rows: list[list[int]]
    chains: list[list[int]]
    above: list[list[int]]
    below: list[list[int]]


def in_layers(size: int, arrows: Sequence[Ends]) -> Layers:
    """Put so many boxes into layers, so that arrows lead downwards and few of them cross.

    Bends have numbers from `size` on. Takes O(arrows x layers) at worst.
    """
    downward = _without_cycles(size, arrows)
    chains, rows = _with_bends(_layers(size, downward), downward)
    above, below = _neighbours(chains, sum(map(len, rows)))
    return Layers(_ordered(rows, (above, below)), chains, above, below)


def _without_cycles(size: int, arrows: Sequence[Ends]) -> list[Ends]:
    """Return the arrows, turned round where they lead back on a walk from the first box on."""
    following: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    has_source = bytearray(size)
    for number, (source, target) in enumerate(arrows):
        following[source].append((target, number))
        has_source[target] = source != target or has_source[target]
    found = list(arrows)
    state = bytearray(size)  # 1: on the way, 2: done
    starts = [*(each for each in range(size) if not has_source[each]), *range(size)]
    for start in starts:
        if state[start]:
            continue
        state[start] = 1
        way = [(start, iter(following[start]))]
        while way:
            node, rest = way[-1]
            for target, number in rest:
                if state[target] == 1 and target != node:
                    found[number] = (target, node)
                elif not state[target]:
                    state[target] = 1
                    way.append((target, iter(following[target])))
                    break
            else:
                state[node] = 2
                way.pop()
    return found


def _layers(size: int, arrows: Sequence[Ends]) -> list[int]:
    """Return the layer of each box: as high as what is before it allows, or right above what needs it."""
    before = [0] * size
    following: list[list[int]] = [[] for _ in range(size)]
    for source, target in arrows:
        if source != target:
            before[target] += 1
            following[source].append(target)
    layer = [0] * size
    is_first = [not count for count in before]
    ready = [each for each in range(size) if not before[each]]
    for node in ready:  # grows while it is read
        for target in following[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            before[target] -= 1
            if not before[target]:
                ready.append(target)
    for node in reversed(ready):
        if is_first[node] and following[node]:
            layer[node] = min(layer[target] for target in following[node]) - 1
    return layer


def _with_bends(layer_of: list[int], arrows: Sequence[Ends]) -> tuple[list[list[int]], list[list[int]]]:
    """Put a bend into each layer that an arrow passes; return the way of each arrow, and the layers."""
    layers: list[list[int]] = [[] for _ in range(max(layer_of, default=-1) + 1)]
    for node, layer in enumerate(layer_of):
        layers[layer].append(node)
    made = len(layer_of)
    chains: list[list[int]] = []
    for source, target in arrows:
        if source == target:
            chains.append([])
            continue
        chain = [source]
        for layer in range(layer_of[source] + 1, layer_of[target]):
            layers[layer].append(made)
            chain.append(made)
            made += 1
        chains.append([*chain, target])
    return chains, layers


def _neighbours(chains: Iterable[list[int]], size: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return what stands right above each box or bend, and what stands right below."""
    above: list[list[int]] = [[] for _ in range(size)]
    below: list[list[int]] = [[] for _ in range(size)]
    for chain in chains:
        for upper, lower in pairwise(chain):
            above[lower].append(upper)
            below[upper].append(lower)
    return above, below


def _ordered(layers: list[list[int]], neighbours: tuple[list[list[int]], list[list[int]]]) -> list[list[int]]:
    """Return the layers in the order with the fewest crossings that the sweeps come by."""
    above, below = neighbours
    best, fewest = layers, _crossings(layers, above)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        downwards = sweep % 2 == 0
        layers = [*layers]
        beside = above if downwards else below
        indices = range(1, len(layers)) if downwards else range(len(layers) - 2, -1, -1)
        for index in indices:
            fixed = layers[index - 1 if downwards else index + 1]
            place = {node: each for each, node in enumerate(fixed)}
            own = {node: each for each, node in enumerate(layers[index])}
            layers[index] = sorted(
                layers[index], key=lambda node: (_middle(node, place, beside, own), own[node])
            )
        crossings = _crossings(layers, above)
        if crossings < fewest:
            best, fewest = layers, crossings
    return best


def _middle(node: int, place: dict[int, int], beside: list[list[int]], own: dict[int, int]) -> float:
    """Return the mean place of a node's neighbours; its own place if it has none."""
    found = [place[each] for each in beside[node]]
    return sum(found) / len(found) if found else float(own[node])


def _crossings(layers: list[list[int]], above: list[list[int]]) -> int:
    """Count the crossings of arrows between neighbouring layers."""
    total = 0
    for upper, lower in pairwise(layers):
        place = {node: each for each, node in enumerate(upper)}
        passed: list[int] = []
        for node in lower:
            ends = sorted(place[each] for each in above[node])
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total
