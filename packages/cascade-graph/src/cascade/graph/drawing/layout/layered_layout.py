"""Layered layout: places boxes in layers from the top down.

Ours, since the libraries for it either bring compiled code of ten megabytes or are no longer kept up, and a picture is
wanted wherever this wheel is. A sketch is folded to some hundred boxes before it comes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cascade.graph.drawing.layout.layers import SWEEPS, Layers, in_layers
from cascade.graph.drawing.layout.placing import Curve, Ends, Placed, Point, Size

GAP = 28.0
"""The least distance of two boxes side by side, in pixels."""

LAYER_GAP = 56.0
"""The distance of two layers."""

_BEND_GAP = 12.0


def place_in_layers(sizes: Sequence[Size], arrows: Sequence[Ends]) -> Placed:
    """Place boxes of these sizes, with arrows between them by position.

    The same boxes and arrows are always placed the same way.
    """
    layers = in_layers(len(sizes), arrows)
    widths = [size[0] for size in sizes] + [0.0] * (sum(map(len, layers.rows)) - len(sizes))
    across = _across(layers, widths, len(sizes))
    floor_of = {}
    bottom = 0.0
    for row, floor in zip(layers.rows, _floors(layers.rows, sizes), strict=True):
        floor_of.update(dict.fromkeys(row, floor))
        bottom = floor[1]
    centres = tuple((across[box], sum(floor_of[box]) / 2) for box in range(len(sizes)))
    above, below = _ports(layers.chains, across, sizes)
    curves: list[Curve] = []
    for number, (chain, (source, _)) in enumerate(zip(layers.chains, arrows, strict=True)):
        if not chain:
            curves.append(())
            continue
        upper, *bends, lower = chain
        edges = (centres[upper][1] + sizes[upper][1] / 2, floor_of[upper][1])
        points = [(below[number], edge) for edge in edges]
        points += [(across[bend], edge) for bend in bends for edge in floor_of[bend]]
        edges = (floor_of[lower][0], centres[lower][1] - sizes[lower][1] / 2)
        points += [(above[number], edge) for edge in edges]
        curves.append(_curve(points if upper == source else points[::-1]))
    width = max((x + widths[each] / 2 for each, x in enumerate(across)), default=0.0)
    return Placed(centres, tuple(curves), (width, bottom))


def _across(layers: Layers, widths: Sequence[float], boxes: int) -> list[float]:
    """Return how far to the right each box and bend stands: near its neighbours, and clear of those beside it."""
    across = [0.0] * len(widths)
    offsets = [_offsets(row, widths, boxes) for row in layers.rows]
    for row, offset in zip(layers.rows, offsets, strict=True):
        for node, x in zip(row, offset, strict=True):
            across[node] = x - offset[-1] / 2
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        beside = layers.above if downwards else layers.below
        numbers = range(len(layers.rows))
        for number in numbers if downwards else reversed(numbers):
            row = layers.rows[number]
            wished = [_wish(node, across, beside) for node in row]
            weights = [
                8.0 if node >= boxes else 1.0 + len(beside[node]) for node in row
            ]  # long arrows go straight
            for node, x in zip(row, _apart(wished, weights, offsets[number]), strict=True):
                across[node] = x
    left = min((x - widths[node] / 2 for node, x in enumerate(across)), default=0.0)
    return [x - left for x in across]


def _offsets(layer: list[int], widths: Sequence[float], boxes: int) -> list[float]:
    """Return how far each member of a layer stands from the first one, if they stand as close as they may."""
    found = [0.0]
    for one, other in pairwise(layer):
        gap = GAP if one < boxes and other < boxes else _BEND_GAP
        found.append(found[-1] + (widths[one] + widths[other]) / 2 + gap)
    return found


def _wish(node: int, across: list[float], beside: list[list[int]]) -> float:
    found = sorted(across[each] for each in beside[node])
    if not found:
        return across[node]
    half = len(found) // 2
    return found[half] if len(found) % 2 else (found[half - 1] + found[half]) / 2


def _apart(wished: list[float], weights: list[float], offsets: list[float]) -> list[float]:
    """Return places as near to the wished ones as can be (in squares), each as far from the next as it has to be.

    Source: M. Ayer et al., "An empirical distribution function for sampling with incomplete information", Annals of
    Mathematical Statistics 26(4), 1955: neighbours in the wrong order are pooled at their mean.
    """
    pools: list[tuple[float, float, int]] = []  # mean, weight, members
    for wish, weight, offset in zip(wished, weights, offsets, strict=True):
        mean, heavy, members = wish - offset, weight, 1
        while pools and pools[-1][0] > mean:
            other, lighter, more = pools.pop()
            mean = (mean * heavy + other * lighter) / (heavy + lighter)
            heavy, members = heavy + lighter, members + more
        pools.append((mean, heavy, members))
    means = [mean for mean, _, members in pools for _ in range(members)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _floors(layers: list[list[int]], sizes: Sequence[Size]) -> list[tuple[float, float]]:
    """Return where each layer begins and ends, from the top down."""
    floors, top = [], 0.0
    for layer in layers:
        height = max((sizes[node][1] for node in layer if node < len(sizes)), default=0.0)
        floors.append((top, top + height))
        top += height + LAYER_GAP
    return floors


def _ports(
    chains: list[list[int]], across: list[float], sizes: Sequence[Size]
) -> tuple[dict[int, float], dict[int, float]]:
    """Return where each arrow meets its lower box, and its upper one: side by side, in the order of their ways."""
    at_top: dict[int, list[tuple[float, int]]] = {}
    at_bottom: dict[int, list[tuple[float, int]]] = {}
    for number, chain in enumerate(chains):
        if chain:
            at_bottom.setdefault(chain[0], []).append((across[chain[1]], number))
            at_top.setdefault(chain[-1], []).append((across[chain[-2]], number))
    above, below = (
        {
            number: across[box] + sizes[box][0] * 0.6 * (place / (len(members) + 1) - 0.5)
            for box, members in ends.items()
            for place, (_, number) in enumerate(sorted(members), 1)
        }
        for ends in (at_top, at_bottom)
    )
    return above, below


def _curve(points: list[Point]) -> Curve:
    """Return a way that goes straight and in a curve by turns, and leaves each layer downwards or upwards."""
    curve = [points[0]]
    for number, (one, other) in enumerate(pairwise(points)):
        if one == other:
            continue  # an arrow head takes its direction from the last piece
        if number % 2 == 0:
            curve += [one, other, other]
        else:
            middle = (one[1] + other[1]) / 2
            curve += [(one[0], middle), (other[0], middle), other]
    return tuple(curve)
