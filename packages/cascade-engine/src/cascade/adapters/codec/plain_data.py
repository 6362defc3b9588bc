"""Plain values: msgpack keeps them exactly, so they need no program."""

from __future__ import annotations

from cascade.adapters.codec.leaves import PLAIN
from cascade.adapters.codec.untyped import Foreign

_DEEPEST = 32
"""msgpack recurses: what is nested deeper becomes a program."""


def is_plain(value: object) -> bool:
    """Tell whether `value` is made of lists, dicts and msgpack's own scalars, with no container in two places.

    Whether its numbers and texts fit into msgpack is found out when they are written.
    """
    # Once per value that is stored. Watched by observatory/benchmarks/bench_codec.py.
    if type(value) in PLAIN:
        return True
    level: list[Foreign] = [value]
    seen: set[int] = set()
    for _ in range(_DEEPEST):
        below: list[Foreign] = []
        for container in level:
            kind = type(container)
            if kind is list:
                parts = container
            elif kind is dict and PLAIN.issuperset(map(type, container)):
                parts = container.values()
            else:
                return False
            if id(container) in seen:
                return False
            seen.add(id(container))
            if not PLAIN.issuperset(map(type, parts)):
                below.extend(part for part in parts if type(part) not in PLAIN)
        if not below:
            return True
        level = below
    return False
