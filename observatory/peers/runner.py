"""Runs the peers: makes each its environment of pinned versions, and measures size after size until it takes too long.

Environments stand in `build/peers/` and are made again when a peer's requirements change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "peers"
REQUIREMENTS = Path(__file__).parent / "requirements"

PEERS = tuple(sorted(each.stem for each in REQUIREMENTS.glob("*.txt")))
"""The peers' modules."""

SLOWEST_START = 90.0
"""Seconds that a peer may take beside measuring: importing itself, starting a server."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of one repeat."""

    min: float
    median: float


@dataclass(frozen=True, slots=True)
class PeerFigure:
    """What a peer told of one workload at one size: seconds by start, or why there are none."""

    peer: str
    workload: str
    size: int
    units: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, Taken] = field(default_factory=dict)
    cannot: str = ""
    failed: str = ""
    besides: str = ""


def environment(peer: str) -> Path:
    """Return the interpreter of a peer's environment, made if need be.

    Raises:
        CalledProcessError: If the versions can't be installed.
    """
    requirements = REQUIREMENTS / f"{peer}.txt"
    place = ENVIRONMENTS / peer
    stamp, python = place / "installed.txt", place / "bin" / "python"
    wanted = f"{sys.version}\n{requirements.read_text()}"
    if not stamp.exists() or stamp.read_text() != wanted:
        _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(place))
        if any(line and not line.startswith("#") for line in requirements.read_text().splitlines()):
            _uv("pip", "install", "--quiet", "--python", str(python), "--requirement", str(requirements))
        stamp.write_text(wanted)
    return python


def _uv(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True, cwd=ROOT)


@cache
def abilities(peer: str) -> PeerFigure | dict[str, PeerFigure]:
    """Return, by workload, why a peer has no figure for it; one figure for all if it can't be asked."""
    try:
        told = _ask(peer, (), SLOWEST_START)
    except NoAnswerError as error:
        return PeerFigure(peer, "", 0, failed=str(error))
    name = told["peer"]
    return {workload: PeerFigure(name, workload, 0, cannot=why) for workload, why in told["cannot"].items()}


def measure(peer: str, workload: str, size: int, seconds: float, timeout: float) -> PeerFigure:
    """Measure one workload on one peer, in a process of its own."""
    try:
        return _figure(_ask(peer, (workload, str(size), str(seconds)), timeout + SLOWEST_START))
    except NoAnswerError as error:
        return PeerFigure(peer, workload, size, failed=str(error))


class NoAnswerError(RuntimeError):
    """A peer's process can't be made, takes too long or ends without an answer."""


def _ask(peer: str, arguments: tuple[str, ...], timeout: float) -> dict[str, Any]:
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    try:
        command = [str(environment(peer)), "-m", f"observatory.peers.{peer}", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, timeout=timeout, check=False, env=inherited
        )
    except subprocess.CalledProcessError as error:
        raise NoAnswerError(f"it can't be installed here: uv ended with {error.returncode}") from None
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"no answer within {timeout:.0f} s") from None
    told = [line for line in done.stdout.splitlines() if line.startswith('{"peer"')]
    if not told:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise NoAnswerError(f"exit code {done.returncode}: {last}"[:200])
    answer: dict[str, Any] = json.loads(told[-1])
    return answer


def _figure(told: dict[str, Any]) -> PeerFigure:
    return PeerFigure(
        told["peer"],
        told["workload"],
        told["size"],
        told["units"],
        told["versions"],
        {
            start: Taken(told[start]["min"], told[start]["median"])
            for start in ("cold", "again")
            if start in told
        },
        told.get("cannot", ""),
        told.get("failed", ""),
        told.get("besides", ""),
    )


def climb(
    peer: str, workload: str, sizes: tuple[int, ...], seconds: float, patience: float
) -> Iterator[PeerFigure]:
    """Measure a workload at growing sizes; end at the first failure, or where a run would take over `patience`."""
    known = abilities(peer)
    if isinstance(known, PeerFigure) or workload in known:
        yield known if isinstance(known, PeerFigure) else known[workload]
        return
    name, slowest, units = peer, 0.0, 1
    for size in sizes:
        expected = slowest / units * _growth(workload, size)
        if expected > patience:
            yield PeerFigure(
                name, workload, size, failed=f"not tried: one run would take {expected:.0f} s or more"
            )
            return
        figure = measure(peer, workload, size, seconds, timeout=max(4 * patience, 30.0))
        yield figure
        if figure.cannot or figure.failed:
            return
        name, units = figure.peer, figure.units
        slowest = max(each.min for each in figure.seconds.values())


def _growth(workload: str, size: int) -> int:
    return size * size if workload == "layered_dag" else size
