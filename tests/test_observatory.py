"""The observatory in small: every workload gives its answer on Cascade and as its limit, the experiments run true."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
from pathlib import Path

import pytest

# The benchmark suite stands beside the tests and is in no wheel.
sys.path.append(str(Path(__file__).parents[1]))

from cascade.adapters.state import Changes, Durability
from observatory import check, fireflies, life, work
from observatory.contest import Contestants, Run, Side, Stopwatch, Timing, WrongAnswerError, against_limit
from observatory.durability import BareRuns, durability, durable_fan_out, noting
from observatory.footprint import graph_footprint, lazy_timings, loop_growth
from observatory.measure import parse
from observatory.searches import returned_numbers
from observatory.workloads import BY_NAME, WORKLOADS, Start, Workload

SIZES = (1, 2, 7, 40)


async def value_of(side: Side, salt: int) -> object:
    return await side(salt)()


@pytest.mark.parametrize("workload", WORKLOADS, ids=list(BY_NAME))
async def test_workload_gives_its_answer_on_cascade(workload: Workload) -> None:
    """From cold and again, at every size and with other literals, Cascade gives the workload's answer."""
    for size in SIZES:
        contestants = Contestants(workload, size)
        for side in (contestants.cold(), contestants.again(), contestants.again(listening=True)):
            for salt in (0, 5):
                contestants.check(await value_of(side, salt), salt)


@pytest.mark.parametrize("workload", WORKLOADS, ids=list(BY_NAME))
async def test_limit_gives_the_same_answer(workload: Workload) -> None:
    """The limit of a workload computes what the workload does."""
    for size in SIZES:
        contestants = Contestants(workload, size)
        for salt in (0, 5):
            contestants.check(await value_of(contestants.limit(), salt), salt)


async def test_wrong_answer_stops_a_measurement() -> None:
    """A side that is quick and wrong gives no figure."""

    def wrong(salt: int) -> Run:
        return lambda: asyncio.sleep(0, "wrong")

    watch = Stopwatch(Contestants(BY_NAME["chain"], 3))
    with pytest.raises(WrongAnswerError, match="chain of size 3"):
        await watch.time(wrong)
    assert gc.isenabled()


async def test_both_sides_are_measured_by_turns() -> None:
    """A measurement has as many repeats of the one side as of the other, and a ratio above 0."""
    timing = await against_limit(BY_NAME["chain"], Start.AGAIN, 3, 0.0)
    assert len(timing.limit) == len(timing.ours) >= 5
    assert timing.units == 3
    assert timing.ratio > 0
    assert timing.median_ratio > 0


def test_ratios_are_of_minima_and_of_medians() -> None:
    """The ratio divides the shortest repeats, the other one the medians; the difference is per unit."""
    timing = Timing(10, 10, limit=[1e-5, 2e-5, 9e-5], ours=[3e-5, 8e-5, 9e-5])
    assert timing.ratio == pytest.approx(3)
    assert timing.median_ratio == pytest.approx(4)
    assert timing.extra == pytest.approx(2)


def test_layers_are_the_same_every_time_and_need_every_node() -> None:
    """The layered graph has three inputs a node, all nodes of a layer are used, and it is the same each time."""
    before = work.layers(20)
    work.layers.cache_clear()
    assert work.layers(20) == before
    for layer in before:
        assert len(layer) == 20
        assert {each for inputs in layer for each in inputs} == set(range(20))


def test_unknown_workload_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The command names the workload that it does not know, and those that it does."""
    with pytest.raises(SystemExit):
        parse(["no_such"])
    told = capsys.readouterr().err
    assert "no_such" in told
    assert "heavy_countdown" in told


@pytest.mark.parametrize("shape", ["chain", "fan_out"])
def test_graph_has_a_weight(shape: str) -> None:
    """A built graph is weighed by node, and so are the trees that it is compared with."""
    foot = graph_footprint(BY_NAME[shape], 300)
    assert foot.bare > 0
    assert foot.total > foot.lazies > 0


async def test_loop_growth_is_told_in_bytes() -> None:
    """The growth of a loop counts from its first rounds on; a short one does not grow by a MiB."""
    assert await loop_growth(20_000) < 2**20


def test_making_lazy_results_is_timed() -> None:
    """There is a time for making a lazy result and for each bare object that it is held against."""
    timings = dict(lazy_timings(0.01))
    assert list(timings) == ["lazy_result", "lazy_result (by a call)"]
    assert all(timing.ours_us > 0 for timing in timings.values())


async def test_what_is_durable_is_measured(tmp_path: Path) -> None:
    """Rounds, fan-outs and cache hits have times of both sides, by turns; what survives loss of power has a target."""

    async def measured() -> dict[tuple[str, str], float | None]:
        found = {}
        async for each in durability(tmp_path, 0.0):
            assert len(each.timing.limit) == len(each.timing.ours) >= 5
            assert each.timing.ratio > 0
            found[each.name, each.start] = each.target
        return found

    found = await measured()
    assert found["durable round, sync", "again"] == 1.5
    assert found["durable fan_out, sync", "cold"] == found["durable fan_out, sync", "again"] == 1.5
    assert found["durable fan_out, async", "cold"] is None
    assert found["cache hit", "again"] == 3


async def test_the_bare_side_writes_the_bytes_of_the_run(tmp_path: Path) -> None:
    """What a durable run leaves in its file is what the bare connection leaves in its own, but for ids and times."""
    contestants, noted = Contestants(BY_NAME["fan_out"], 70), list[Changes]()
    run = durable_fan_out(contestants, Start.AGAIN, noting(tmp_path / "runs.db", Durability.ASYNC, noted))
    contestants.check(await value_of(run, 3), 3)
    bare = BareRuns.open(tmp_path / "bare.db", Durability.ASYNC)
    bare.write_all([bare.statements(noted)])
    bare.connection.close()
    kept = [stored(tmp_path / name) for name in ("runs.db", "bare.db")]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 72


def stored(path: Path) -> list[object]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT status, task, round, error, record, target FROM runs").fetchall()
    columns = "round, frame, node, kind, above, task, place, value"
    rows += connection.execute(f"SELECT {columns} FROM facts ORDER BY {columns}").fetchall()
    connection.close()
    return rows


@pytest.mark.parametrize(("height", "width"), [(5, 5), (8, 11)])
async def test_life_is_what_its_rules_say(height: int, width: int) -> None:
    """Cells that know only their neighbours make the generations that a direct computation makes."""
    first = life.random_grid(height, width, seed=3)
    seen: list[life.Grid] = []
    last = await life.run_life(first, 25, lambda generation, grid: seen.append(grid))
    expected = [first]
    for _ in range(25):
        expected.append(life.next_grid(expected[-1]))
    assert seen == expected
    assert last == expected[-1]


async def test_glider_glides() -> None:
    """After four generations a glider is itself again, one row and one column on."""
    cells = {(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)}

    def grid(shift: int) -> life.Grid:
        alive = {((row + shift) % 6, (column + shift) % 6) for row, column in cells}
        return tuple(tuple((row, column) in alive for column in range(6)) for row in range(6))

    assert await life.run_life(grid(0), 4) == grid(1)
    assert await life.run_life(grid(0), 24) == grid(0)


async def test_wrong_generation_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the cells to go another way than the rules, the run would fail at that generation."""
    monkeypatch.setattr(life, "next_grid", lambda grid: grid)
    with pytest.raises(life.GenerationError, match="generation 1"):
        await life.run_life(life.random_grid(6, 6, seed=1), 5)


async def test_endless_life_ends_when_it_is_cancelled() -> None:
    """Cells without a last generation go on until their run is cancelled, and hold two generations at most."""
    reached = asyncio.Event()
    generations: list[int] = []

    def note(generation: int, grid: life.Grid) -> None:
        generations.append(generation)
        if generation == 30:
            reached.set()

    run = asyncio.create_task(life.run_life(life.random_grid(5, 5), None, note))
    await reached.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert generations[-1] >= 30


async def test_fireflies_fall_into_step() -> None:
    """Coupled strongly the order parameter grows from near nothing to nearly 1, as computed directly."""
    swarm = fireflies.Swarm(size=40, coupling=3.0)
    order = await fireflies.run_fireflies(swarm, 120)
    assert order == fireflies.direct_order(swarm, 120)
    assert order[0] < 0.4
    assert order[-1] > 0.9


async def test_fireflies_that_do_not_heed_the_light_stay_out_of_step() -> None:
    """Without coupling no order comes about."""
    order = await fireflies.run_fireflies(fireflies.Swarm(size=40, coupling=0.0), 120)
    assert max(order) < 0.6


def test_the_check_reads_the_ratios_of_the_table() -> None:
    """Each row of the published table that has a ratio is one that the check can measure again, and holds its value."""
    told = check.told_ratios(check.README.read_text(encoding="utf-8"))
    assert len(told) > 15
    assert {(name, start) for name, workload in BY_NAME.items() for start in workload.targets} <= told.keys()
    assert all(ratio > 0 for ratio in told.values())


@pytest.mark.parametrize(("ratio", "code"), [(1.0, 0), (1e-6, 1)])
async def test_the_check_tells_what_is_worse(
    ratio: float,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A ratio that is far worse than the one in the table fails the check, which names it; others pass."""
    page = tmp_path / "README.md"
    page.write_text(f"| lazy_result |  | 20 | us | 1 | 1 | {1000 * ratio} | 1 | 1.5 x |\n")
    monkeypatch.setattr(check, "README", page)
    assert await check.main(["lazy_result", "--seconds", "0.02"]) == code
    assert ("WORSE" in capsys.readouterr().out) == bool(code)


async def test_the_search_of_what_a_task_returns_is_measured() -> None:
    """The row of returned numbers runs with and without a quotation, and both give the very list."""
    timing = await returned_numbers(1000, 0.01)
    assert timing.quoted_ns > 0
    assert timing.searched_ns > 0
