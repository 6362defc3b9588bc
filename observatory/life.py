"""Conway's Game of Life in which every cell is a task that returns its own next call.

All cells run on one engine, each in a tail-call loop of its own. A cell tells its state of a generation, waits for its
eight neighbours' and becomes what the rules say; no cell sees the whole, and nobody keeps time. Each generation is
checked against a direct computation. `hatch run observatory:life` draws it in the terminal.

Source: M. Gardner, "The fantastic combinations of John Conway's new solitaire game 'life'", 1970.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from rich.live import Live
from rich.text import Text

import cascade as cs

Grid = tuple[tuple[bool, ...], ...]
"""Rows of cells; beyond each edge lies the opposite one."""


class GenerationError(AssertionError):
    """The cells of a generation are not what the rules make of the one before."""


class World:
    """Where cells hear of each other: a state for each cell and generation, kept until all neighbours have heard it.

    A cell is never more than one generation ahead of a neighbour, so two generations at most are held.
    `on_generation` is called with each generation once it is complete and checked.
    """

    def __init__(
        self, first: Grid, generations: int | None, on_generation: Callable[[int, Grid], None]
    ) -> None:
        self.height, self.width = len(first), len(first[0])
        self.first = first
        self.generations = generations
        self._on_generation = on_generation
        self._neighbours = [self._around(cell) for cell in range(self.height * self.width)]
        self._told: dict[tuple[int, int], asyncio.Future[bool]] = {}
        self._unheard: dict[tuple[int, int], int] = {}
        self._complete: dict[int, list[bool | None]] = {}
        self._missing: dict[int, int] = {}
        self._expected = first

    def tell(self, cell: int, generation: int, alive: bool) -> None:
        """Let the neighbours know a cell's state."""
        self._state(cell, generation).set_result(alive)
        states = self._complete.setdefault(generation, [None] * len(self._neighbours))
        states[cell] = alive
        self._missing[generation] = self._missing.get(generation, len(states)) - 1
        if not self._missing[generation]:
            del self._complete[generation], self._missing[generation]
            self._check(generation, [bool(state) for state in states])

    async def count_neighbours(self, cell: int, generation: int) -> int:
        """Wait until all eight neighbours have told their state; return how many live."""
        living = 0
        for neighbour in self._neighbours[cell]:
            living += await self._state(neighbour, generation)
            left = self._unheard[neighbour, generation] = self._unheard[neighbour, generation] - 1
            if not left:
                del self._told[neighbour, generation], self._unheard[neighbour, generation]
        return living

    def _state(self, cell: int, generation: int) -> asyncio.Future[bool]:
        found = self._told.get((cell, generation))
        if found is None:
            found = self._told[cell, generation] = asyncio.get_running_loop().create_future()
            self._unheard[cell, generation] = len(self._neighbours[cell])
        return found

    def _check(self, generation: int, states: list[bool]) -> None:
        grid = tuple(tuple(states[row * self.width : (row + 1) * self.width]) for row in range(self.height))
        if grid != self._expected:
            raise GenerationError(f"generation {generation} differs from the direct computation")
        self._expected = next_grid(grid)
        self._on_generation(generation, grid)

    def _around(self, cell: int) -> list[int]:
        row, column = divmod(cell, self.width)
        return [
            (row + down) % self.height * self.width + (column + right) % self.width
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if down or right
        ]


@cs.task
async def live(world: World, cell: int, generation: int, alive: bool) -> Any:
    """One generation of one cell; the value of the last one is its state, if there is a last one."""
    world.tell(cell, generation, alive)
    if generation == world.generations:
        return alive
    neighbours = await world.count_neighbours(cell, generation)
    return live(world, cell, generation + 1, neighbours == 3 or (alive and neighbours == 2))


def next_grid(grid: Grid) -> Grid:
    """Return the next generation, computed directly."""
    height, width = len(grid), len(grid[0])

    def lives(row: int, column: int) -> bool:
        rows = [grid[(row + down) % height] for down in (-1, 0, 1)]
        block = sum(line[(column + right) % width] for line in rows for right in (-1, 0, 1))
        return block == 3 or (grid[row][column] and block == 4)

    return tuple(tuple(lives(row, column) for column in range(width)) for row in range(height))


def random_grid(height: int, width: int, seed: int = 0) -> Grid:
    """Return a grid in which three cells of ten live."""
    draw = random.Random(seed).random
    return tuple(tuple(draw() < 0.3 for _ in range(width)) for _ in range(height))


async def run_life(
    first: Grid,
    generations: int | None,
    on_generation: Callable[[int, Grid], None] = lambda generation, grid: None,
) -> Grid:
    """Let a grid live for that many generations on one engine, for ever if `None`; return the last one.

    Raises:
        GenerationError: If a generation is wrong.
    """
    world = World(first, generations, on_generation)
    cells = [alive for row in first for alive in row]
    async with cs.Engine() as engine:
        states = await engine.run(
            cs.gather(*(live(world, cell, 0, alive) for cell, alive in enumerate(cells)))
        )
    return tuple(tuple(states[row * world.width : (row + 1) * world.width]) for row in range(world.height))


def drawing(generation: int, grid: Grid, seconds: float) -> Text:
    """Draw a generation, two rows of cells to a line."""
    pairs = [*grid, (False,) * len(grid[0])]
    marks = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
    lines = (
        "".join(marks[pair] for pair in zip(pairs[row], pairs[row + 1], strict=True))
        for row in range(0, len(grid), 2)
    )
    cells = len(grid) * len(grid[0])
    rate = cells * generation / seconds if seconds else 0.0
    return Text(
        "\n".join((*lines, f"generation {generation}, {cells} cells, {rate:,.0f} cell steps a second"))
    )


def main() -> None:
    """Show a random grid live."""
    parser = argparse.ArgumentParser("observatory.life", description=__doc__)
    parser.add_argument("--generations", type=int, default=500, help="0 for ever")
    parser.add_argument("--height", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.perf_counter()
    with Live(auto_refresh=False) as screen:

        def show(generation: int, grid: Grid) -> None:
            screen.update(drawing(generation, grid, time.perf_counter() - began), refresh=True)

        asyncio.run(
            run_life(random_grid(given.height, given.width, given.seed), given.generations or None, show)
        )


if __name__ == "__main__":
    main()
