"""Strongly connected components: the parts of a graph in which each element leads to each other one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def components(following: Mapping[T, Sequence[T]]) -> Iterator[list[T]]:
    """Give the strongly connected components of a graph, as lists of its elements.

    `following` gives, for each element, those that it leads to, all of which are keys too. An element that lies on no
    cycle is a component of its own. A component comes after all that it leads to. Takes O(elements + arrows).

    Source: H. N. Gabow, "Path-based depth-first search for strong and biconnected components", Information Processing
    Letters 74, 2000.
    """
    order: dict[T, int] = {}  # the place in `met` of each element; past the end, once its component is known
    met: list[T] = []  # the elements whose component is not known yet
    bounds: list[int] = []  # the places in `met` where components begin, as far as is known
    way: list[tuple[T, Iterator[T]]] = []  # the path of the walk, in place of recursion

    def enter(element: T) -> None:
        order[element] = len(met)
        bounds.append(len(met))
        met.append(element)
        way.append((element, iter(following[element])))

    for root in following:
        if root not in order:
            enter(root)
        while way:
            at, rest = way[-1]
            for element in rest:
                if element not in order:
                    enter(element)
                    break
                # If it leads back into the path, all that was met since is one component with it.
                while bounds[-1] > order[element]:
                    bounds.pop()
            else:
                way.pop()
                if bounds[-1] == order[at]:
                    component = met[bounds.pop() :]
                    del met[-len(component) :]
                    order.update(dict.fromkeys(component, len(following)))
                    yield component
