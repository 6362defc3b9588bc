"""Count primes on one core, on all cores, or on a cluster: one option says where.

    python docs/examples/primes.py --up-to 2000000
    python docs/examples/primes.py --up-to 2000000 --executor processes:2
    python docs/examples/primes.py --up-to 2000000 --executor dask://host:8786
    python docs/examples/primes.py --up-to 2000000 --executor ray://host:10001

Each part of the range is a call. A worker that dies costs the part that it was at, and no other.
"""

import os
from itertools import pairwise
from math import isqrt

import cascade as cs


@cs.task
def split(up_to: int, parts: int) -> list[tuple[int, int]]:
    """Cut the numbers below `up_to` into parts of about the same length."""
    ends = [up_to * part // parts for part in range(parts + 1)]
    return list(pairwise(ends))


@cs.task
def count(part: tuple[int, int]) -> int:
    """Count the primes of a part by a sieve. Worker processes import this module, so tasks stand at its top."""
    first, end = max(part[0], 2), part[1]
    is_prime = bytearray([1]) * max(0, end - first)
    for factor in range(2, isqrt(max(0, end - 1)) + 1):
        start = max(factor * factor, (first + factor - 1) // factor * factor) - first
        is_prime[start::factor] = bytes(len(range(start, len(is_prime), factor)))
    return sum(is_prime)


@cs.task
def total(counts: list[int]) -> int:
    return sum(counts)


def workflow() -> cs.LazyResult[int]:
    """Count the primes below a number."""
    up_to = cs.Param("up_to", 1_000_000, description="Primes below this number are counted.")
    parts = cs.Param("parts", 4 * (os.cpu_count() or 1), description="How many parts to cut the range into.")
    return total(count.map(split(up_to, parts)).with_retry(2))


if __name__ == "__main__":
    cs.cli(workflow)()
