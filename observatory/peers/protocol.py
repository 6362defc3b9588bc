"""What a peer's module gives and how it is measured: it runs in an environment of its own, where Cascade is not.

`python -m observatory.peers.<name> WORKLOAD SIZE [SECONDS]` measures one workload and prints one JSON object; without a
workload it prints which ones the peer can't express, and why.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from typing import Any

from observatory import work

Run = Callable[[int], Any]
"""From a salt, the workload's answer: one run with these literals."""

Express = Callable[[int], Run]
"""From a size, a run. Whatever the engine lets one build once and run often is built here."""


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine: its distribution, how it expresses workloads, and why it can't express the others."""

    name: str
    distribution: str
    can: Mapping[str, Express]
    cannot: Mapping[str, str] = field(default_factory=dict)
    start: Callable[[], object] = lambda: None
    """Called once before anything is timed: starts what the engine needs beside it, such as a server."""
    besides: Mapping[str, str] = field(default_factory=dict)
    """What it does besides calling the functions: in the workloads that are named, and under `""` in the others."""
    only: str = ""
    """Why all workloads that are not named can't be expressed or are left out."""

    def __post_init__(self) -> None:
        missing = set() if self.only else work.ANSWERS.keys() - self.can.keys() - self.cannot.keys()
        if missing:
            raise ValueError(f"{self.name} says nothing of {sorted(missing)}")


class WrongAnswerError(AssertionError):
    """A peer gave something else than the workload's answer."""


def measure(peer: Peer, workload: str, size: int, seconds: float) -> dict[str, Any]:
    """Time building and first runs, and runs that come again; both include building what is new in each run.

    Raises:
        WrongAnswerError: If an answer is wrong.
    """
    peer.start()
    salts = count(1)
    express = peer.can[workload]
    built: list[Run] = []

    def again() -> tuple[float, Any, int]:
        salt = next(salts)
        return *_timed(lambda: built[-1](salt)), salt

    def cold() -> tuple[float, Any, int]:
        salt = next(salts)

        def build_and_run() -> Any:
            built.append(express(size))
            return built[-1](salt)

        return *_timed(build_and_run), salt

    def repeat(once: Callable[[], tuple[float, Any, int]], fewest: int) -> list[float]:
        taken: list[float] = []
        end = time.perf_counter() + seconds / 2
        while len(taken) < fewest or time.perf_counter() < end:
            took, value, salt = once()
            if value != work.ANSWERS[workload](size, salt):
                raise WrongAnswerError(f"{peer.name}: {workload} of {size}, salt {salt}: {value!r:.80}")
            taken.append(took)
            if took > seconds:
                break
        return taken

    first = repeat(cold, 2)
    return {"cold": _summary(first), "again": _summary(repeat(again, 3))}


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    before = time.perf_counter()
    value = run()
    return time.perf_counter() - before, value


def _summary(seconds: list[float]) -> dict[str, float]:
    return {"min": min(seconds), "median": statistics.median(seconds), "repeats": len(seconds)}


def main(peer: Peer) -> None:
    """Serve the command line. A failure is a finding like any other: it is told, not hidden."""
    parser = argparse.ArgumentParser(peer.name)
    parser.add_argument("workload", choices=sorted(work.ANSWERS), nargs="?")
    parser.add_argument("size", type=int, nargs="?", default=10)
    parser.add_argument("seconds", type=float, nargs="?", default=1.0)
    given = parser.parse_args()
    if given.workload is None:
        cannot = {name: peer.cannot.get(name, peer.only) for name in work.ANSWERS if name not in peer.can}
        sys.stdout.write(json.dumps({"peer": peer.name, "cannot": cannot}) + "\n")
        return
    told: dict[str, Any] = {
        "peer": peer.name,
        "versions": {
            **({peer.distribution: version(peer.distribution)} if peer.distribution else {}),
            "python": platform.python_version(),
        },
        "workload": given.workload,
        "size": given.size,
        "units": work.count_units(given.workload, given.size),
    }
    told["besides"] = peer.besides.get(given.workload, peer.besides.get("", ""))
    if given.workload not in peer.can:
        told["cannot"] = peer.cannot.get(given.workload, peer.only)
    else:
        try:
            told |= measure(peer, given.workload, given.size, given.seconds)
        except (Exception, RecursionError) as error:  # noqa: BLE001 - whatever an engine raises is its answer
            told["failed"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[
                :200
            ]
    sys.stdout.write(json.dumps(told) + "\n")
