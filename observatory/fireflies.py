"""Fireflies that fall into step: Kuramoto oscillators, each a task that returns its own next call.

All fireflies run on one engine, each in a tail-call loop of its own. At each tick a firefly shows its phase, waits for
the light of all (their mean on the unit circle) and turns towards it. The length of that mean is the order parameter:
near 0 where each blinks for itself, 1 where all blink as one. `hatch run observatory:fireflies` draws how it grows.

Source: Y. Kuramoto, "Self-entrainment of a population of coupled non-linear oscillators", 1975.
"""

from __future__ import annotations

import argparse
import asyncio
import cmath
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cascade as cs

TICK = 0.05
"""Seconds of the fireflies' time that one round takes them on."""

PICTURE = Path(__file__).parents[1] / "docs" / "benchmarks" / "fireflies.png"


@dataclass(frozen=True, slots=True)
class Swarm:
    """How many fireflies, how strongly they heed the light, and how far their own speeds differ.

    With speeds of standard deviation s they fall into step where the coupling is well above
    `s * sqrt(8 / pi)`, about 1.6 s.
    """

    size: int = 200
    coupling: float = 2.0
    spread: float = 0.5
    seed: int = 0

    def phases(self) -> list[float]:
        """Return where each begins, in radians, anywhere on the circle."""
        draw = random.Random(self.seed)
        return [draw.uniform(-math.pi, math.pi) for _ in range(self.size)]

    def speeds(self) -> list[float]:
        """Return each one's own speed, in radians a second."""
        draw = random.Random(self.seed + 1)
        return [draw.gauss(0.0, self.spread) for _ in range(self.size)]


class Meadow:
    """Where fireflies see each other: the mean light of each tick, there once all have shown their phase.

    No firefly is ever more than one tick ahead, so one sum is all that is held. `order` is the order parameter of
    each tick so far.
    """

    def __init__(self, swarm: Swarm, ticks: int | None) -> None:
        self.coupling = swarm.coupling
        self.ticks = ticks
        self.order: list[float] = []
        self._phases = [0.0] * swarm.size
        self._missing = swarm.size
        self._light: asyncio.Future[complex] = asyncio.get_running_loop().create_future()

    def show(self, firefly: int, phase: float) -> asyncio.Future[complex]:
        """Show a phase; return what will be the light of this tick."""
        light = self._light
        self._phases[firefly] = phase
        self._missing -= 1
        if not self._missing:
            mean = mean_light(self._phases)
            self.order.append(abs(mean))
            self._missing = len(self._phases)
            self._light = asyncio.get_running_loop().create_future()
            light.set_result(mean)
        return light


@cs.task
async def glow(meadow: Meadow, firefly: int, speed: float, phase: float, tick: int) -> Any:
    """One tick of one firefly; the value of the last one is its phase, if there is a last one."""
    light = await meadow.show(firefly, phase)
    if tick == meadow.ticks:
        return phase
    return glow(meadow, firefly, speed, turned(phase, speed, light, meadow.coupling), tick + 1)


def mean_light(phases: list[float]) -> complex:
    """Return the mean of these phases on the unit circle."""
    return sum(cmath.exp(1j * phase) for phase in phases) / len(phases)


def turned(phase: float, speed: float, light: complex, coupling: float) -> float:
    """Return a phase one tick later."""
    pull = (light * cmath.exp(-1j * phase)).imag
    return phase + TICK * (speed + coupling * pull)


async def run_fireflies(swarm: Swarm, ticks: int | None) -> list[float]:
    """Let a swarm glow for that many ticks on one engine; return the order parameter of each."""
    meadow = Meadow(swarm, ticks)
    each = enumerate(zip(swarm.speeds(), swarm.phases(), strict=True))
    async with cs.Engine() as engine:
        await engine.run(cs.gather(*(glow(meadow, firefly, *own, 0) for firefly, own in each)))
    return meadow.order


def direct_order(swarm: Swarm, ticks: int) -> list[float]:
    """Return the order parameter of each tick, computed directly."""
    phases, speeds, order = swarm.phases(), swarm.speeds(), []
    for _ in range(ticks + 1):
        light = mean_light(phases)
        order.append(abs(light))
        phases = [
            turned(phase, speed, light, swarm.coupling) for phase, speed in zip(phases, speeds, strict=True)
        ]
    return order


def main() -> None:
    """Run a swarm below and one above the coupling at which they fall into step, and draw both."""
    from observatory.drawing import draw_order  # noqa: PLC0415 - matplotlib is in the observatory's environment only

    parser = argparse.ArgumentParser("observatory.fireflies", description=__doc__)
    parser.add_argument("--ticks", type=int, default=600)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    given = parser.parse_args()
    orders = {}
    for coupling in (0.4, 1.0, 2.0):
        began = time.perf_counter()
        swarm = Swarm(given.size, coupling)
        order = orders[f"coupling {coupling:g}"] = asyncio.run(run_fireflies(swarm, given.ticks))
        steps = given.size * given.ticks / (time.perf_counter() - began)
        told = f"{order[0]:.2f} -> {order[-1]:.2f}, {steps:,.0f} firefly steps a second"
        print(f"coupling {coupling:g}: {told}")
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    draw_order(orders, TICK, given.picture)
    print(given.picture)


if __name__ == "__main__":
    main()
