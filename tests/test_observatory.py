"""The observatory in small: every workload gives its answer on Cascade and as its limit, the experiments run true."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest

# The benchmark suite stands beside the tests and is in no wheel.
sys.path.append(str(Path(__file__).parents[1]))

from cascade.adapters.state import Changes, Durability
from observatory import check, fireflies, life, work
from observatory.contest import Contestants, Run, Side, Stopwatch, Timing, WrongAnswerError
from observatory.durability import BareRuns, durable_fan_out, noting
from observatory.judging import ABSENT, MISSED, REACHED, Figure, in_order, table
from observatory.measure import figures, parse
from observatory.pages import Cell, grid_page, measure_chart, measure_grid, targets_page, workload_page
from observatory.results import LIMIT, Point, Results, Sitting
from observatory.rows.calls import SPINS, duel_of
from observatory.rows.duel import Duel, plain
from observatory.rows.features import EVERY_EVENT, FEATURES, PLAIN
from observatory.rows.row import Reading, Row, Settings, Target
from observatory.rows.shapes import LOOP, MAP, SHAPES
from observatory.rows.table import BY_ROW, ROWS, chosen
from observatory.searches import returned_numbers
from observatory.workloads import BY_NAME, DURABLE, PAGES, POOLED, WORKLOADS, Start, Workload

pytestmark = pytest.mark.one_python

SIZES = (1, 2, 7, 40)


async def value_of(side: Side, salt: int) -> object:
    return await side(salt)()


@pytest.mark.parametrize("workload", WORKLOADS, ids=list(BY_NAME))
async def test_workload_gives_its_answer_on_cascade(workload: Workload) -> None:
    """From cold and again, at every size and with other literals, Cascade gives the workload's answer."""
    for size in SIZES:
        contestants = Contestants(workload, size)
        for side in (contestants.cold(), contestants.again(), contestants.again(EVERY_EVENT.engine())):
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


async def test_a_duel_stops_at_a_wrong_answer(settings: Settings) -> None:
    """A row whose limit or whose own side gives a wrong answer has no figure."""
    right, wrong = plain(work.squares, work.squares), plain(lambda size, salt: [], work.squares)
    for sides in ((right, wrong), (wrong, right)):
        with pytest.raises(WrongAnswerError, match="size 3"):
            await Duel(*sides)(3, settings)


async def test_a_row_that_fails_is_told_and_the_others_go_on(settings: Settings) -> None:
    """A wrong answer is no figure: the row says what happened, and those after it are measured."""
    right, wrong = plain(work.squares, work.squares), plain(lambda size, salt: [], work.squares)
    rows = [replace(ROWS[0], measure=Duel(right, wrong)), replace(ROWS[0], measure=Duel(right, right))]
    failed, fine = [each async for each in figures(rows, settings, small=True)]
    assert failed.reading.absent.startswith("WrongAnswerError: size 200")
    assert fine.mark in (MISSED, REACHED)


async def test_both_sides_are_measured_by_turns(settings: Settings) -> None:
    """A measurement has as many repeats of the one side as of the other, at least so many, and a ratio above 0."""
    reading = await duel_of(BY_NAME["chain"], Start.AGAIN)(3, replace(settings, fewest=5))
    assert len(reading.limit) == len(reading.ours) >= 5
    assert reading.ratio > 0
    assert reading.median_ratio > 0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with which a row is measured as fast as can be."""
    return Settings(tmp_path, 0.0, 1)


COUNTED = {row.name for row in ROWS if row.unit.startswith("instr")}
"""Rows that take minutes under callgrind, at any size."""


CLUSTERS = [row for row in ROWS if row.group == "clusters"]
"""A cluster takes seconds to start, and one shape of it shows that its rows work: the others are for `soak`."""

HERE = [row for row in ROWS if row.name not in COUNTED and row not in CLUSTERS]


async def check_row(row: Row, settings: Settings) -> None:
    reading = await row.measure(row.small, settings)
    if reading.absent:
        pytest.skip(reading.absent)
    assert reading.ours
    assert len(reading.ours) == len(reading.limit)
    assert all(math.isfinite(each) for each in (*reading.ours, *reading.limit))
    assert Figure(row, reading).mark in (MISSED, REACHED)


@pytest.mark.parametrize("row", HERE, ids=lambda row: row.name)
async def test_each_row_measures_both_sides(row: Row, settings: Settings) -> None:
    """Each row runs in small, checks its answers, and tells what both sides take."""
    await check_row(row, settings)


@pytest.mark.server
@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if "chain" in row.name else [pytest.mark.soak]) for row in CLUSTERS],
    ids=lambda row: row.name,
)
async def test_each_row_of_a_cluster_measures_both_sides(
    row: Row, settings: Settings, ray_cluster: str
) -> None:
    """The rows of clusters do so too."""
    assert ray_cluster
    await check_row(row, settings)


async def test_instructions_are_counted_for_a_duel_that_another_row_measures(settings: Settings) -> None:
    """The sides whose instructions are counted are those of the rows in microseconds."""
    assert {"map of 5,000 items of 20 us, instructions"} == COUNTED
    assert (await SPINS(20, settings)).ratio > 0


def test_each_row_has_a_limit_and_a_target() -> None:
    """The names are unique, each row names its limit and has a target, and a test can afford its small size."""
    assert len(BY_ROW) == len(ROWS)
    for row in ROWS:
        assert row.limit
        assert row.target.told("us")
        assert 0 < row.small <= row.size


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("map of 1,000,000 trivial items", Target(times=1.5)),
        ("memory of a map of 1,000,000 items", Target(more=16)),
        ("map of 5,000 items of 20 us, instructions", Target(times=1.03)),
        ("map of 5,000 items of 20 us", Target(times=1.1)),
        ("map with a timeline", Target(more=0.3)),
        ("map with a listener on finished tasks", Target(more=1.5)),
        ("chain with a timeline", Target(more=0.3)),
        ("chain with a listener on finished tasks", Target(more=1.5)),
        ("fan-out with a timeline", Target(more=0.3)),
        ("fan-out with a listener on finished tasks", Target(more=1.5)),
        ("async calls with a listener on finished tasks", Target(more=2)),
        ("fan-out with a retry that does not fire", Target(more=1)),
        ("map with a run-scoped resource", Target(more=1)),
        ("map with max_concurrency of its own", Target(more=1.5)),
        ("map with max_concurrency of the engine", Target(more=1.5)),
        ("fan-out with constraints", Target(more=3)),
        ("map with a cache in memory: miss", Target(most=15)),
        ("map with a cache in memory: hit", Target(most=8)),
        ("async map, naps of 10 ms", Target(times=1.3)),
        ("cs.map of a tree of two calls", Target(times=3)),
        ("loop with 11 calls per round, by keyword", Target(times=1.25)),
        ("thread mode, trivial calls", Target(times=1.3)),
        ("thread mode, trivial map", Target(times=2)),
        ("process mode, trivial map", Target(times=1.15)),
        ("process mode, map of 1 ms", Target(times=1.15)),
        ("a run of one call on a warm engine", Target(most=6)),
        ("chain, cold", Target(times=3)),
        ("fan out, cold", Target(times=3)),
        ("layered dag, cold", Target(times=4)),
        ("durable fan-out, sync, cold", Target(times=2)),
        ("durable fan-out, sync, again", Target(times=1.8)),
        ("durable chain of 300, sync", Target(times=1.5, most=500)),
        ("durable chain of 300, async", Target(times=1.5, most=100)),
        ("durable round, async", Target(times=1.8)),
        ("durable chain of 300 in PostgreSQL", Target(times=2)),
        ("durable fan-out in PostgreSQL", Target(times=2)),
        ("hit in an SQLite cache", Target(times=3)),
        ("import of cascade.spec", Target(times=2.5)),
        ("import of cascade.runtime", Target(times=1.7)),
        ("recorded run of 100,000 nodes, before its first call", Target(most=0.5)),
        ("recorded run of 100,000 nodes, longest time slice before its first call", Target(most=20)),
    ],
)
def test_targets_are_those_of_the_requirement(name: str, target: Target) -> None:
    """No target is loosened without this list."""
    assert BY_ROW[name].target == target


def test_targets_know_ratios_differences_and_totals() -> None:
    """One bound that holds is enough; what is exactly at the bound reaches it."""
    reading = Reading(1, limit=[2.0, 3.0], ours=[6.0, 5.0])
    assert Target(times=2.5).is_reached(reading)
    assert not Target(times=2.4).is_reached(reading)
    assert Target(more=3).is_reached(reading)
    assert not Target(more=2.9).is_reached(reading)
    assert Target(most=5).is_reached(reading)
    assert not Target(most=4.9).is_reached(reading)
    assert Target(times=1, most=5).is_reached(reading)
    with pytest.raises(ValueError, match="nothing could miss"):
        Target()


def test_rows_are_chosen_by_parts_of_their_names() -> None:
    """A part of a name takes all rows that have it; one that no row has is refused."""
    assert {row.name for row in chosen(["durable round"])} == {"durable round, sync", "durable round, async"}
    assert chosen([]) == list(ROWS)
    with pytest.raises(LookupError, match="no such"):
        chosen(["no such"])


# Pages

SITTING = Sitting("2026-01-02", "abc123abc123", changed=False)


def some_figures() -> list[Figure]:
    """Return a row that is reached, one that is missed, one that is missed by more, and one that is not measured."""

    def figure(name: str, ours: float) -> Figure:
        return Figure(replace(ROWS[0], name=name, target=Target(times=2)), Reading(7, [1.0], [ours]))

    absent = Figure(replace(ROWS[0], name="absent"), Reading(7, absent="not there yet"))
    return [figure("reached", 1.5), figure("missed", 3.0), absent, figure("far", 9.0)]


def test_the_report_marks_missed_rows_and_shows_them_first() -> None:
    """Of the table the missed rows are the first, the farthest from its target at the top; then what has no figure."""
    names = [figure.row.name for figure in in_order(some_figures())]
    assert names == ["far", "missed", "absent", "reached"]
    lines = table(some_figures()).splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [MISSED, MISSED, ABSENT, REACHED]
    assert "not there yet" in lines[2]


async def test_all_pages_name_one_commit(settings: Settings) -> None:
    """The page of rows, the grid and the pages of workloads name the commit that was there when measuring began."""
    chart = await measure_chart(settings, (10, 20))
    points = [Point(LIMIT, Start.AGAIN, 10, 1.0, 1.0), Point("Cascade", Start.AGAIN, 10, 2.0, 2.0)]
    results = Results(BY_NAME["chain"], points, [], {}, {"other": "draws pictures"})
    pages = [
        targets_page(some_figures(), chart, SITTING),
        grid_page([Cell(PLAIN, MAP, 10, 1.0)], SITTING),
        workload_page(results, SITTING),
    ]
    assert all("commit `abc123abc123`," in page for page in pages)
    assert "4 rows: 2 miss their target, 1 not measured." in pages[0]
    assert "| other | draws pictures |" in pages[2]
    changed = replace(SITTING, changed=True)
    assert "commit `abc123abc123` with changes that are not committed" in grid_page([], changed)


def test_the_check_reads_what_the_report_writes() -> None:
    """Each ratio of the table is read back under the name of its row; what was not measured has none."""
    assert check.told_ratios(table(some_figures())) == {"reached": 1.5, "missed": 3.0, "far": 9.0}


async def test_the_grid_has_every_feature_in_every_shape(settings: Settings) -> None:
    """Each feature runs in each shape with the right answer; only a cache and a loop do not go together."""
    cells = await measure_grid(settings, (12,))
    assert len(cells) == len(FEATURES) * len(SHAPES)
    for cell in cells:
        assert bool(cell.absent) == (cell.shape is LOOP and "cache" in cell.feature.options)
        assert cell.absent or cell.us > 0


@pytest.mark.parametrize("workload", [*POOLED, *DURABLE], ids=lambda each: each.name)
async def test_workloads_beside_pools_and_stores_give_their_answers(workload: Workload) -> None:
    """Maps in pools and what is kept in files give their answers, on an engine of their own and as the limit."""
    contestants = Contestants(workload, 5)
    contestants.check(await value_of(contestants.limit(), 3), 3)
    async with contestants.engine() as engine:
        for salt in (0, 5):
            contestants.check(await value_of(contestants.again(engine), salt), salt)


def test_each_page_is_of_a_workload_that_peers_know() -> None:
    """The peers' workloads are those of the pages."""
    assert {each.name for each in PAGES} == work.ANSWERS.keys()


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


def test_unknown_row_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The command names the row that it does not know, and those that it does."""
    with pytest.raises(SystemExit):
        parse(["no_such"])
    told = capsys.readouterr().err
    assert "no_such" in told
    assert "heavy countdown, again" in told


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


@pytest.mark.parametrize(("ratio", "code"), [(1000.0, 0), (0.02, 1)])
async def test_the_check_tells_what_is_worse(
    ratio: float,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A ratio that is far worse than the one in the table fails the check, which names it; others pass."""
    row = BY_ROW["making a lazy result, by a call"]
    page = tmp_path / "README.md"
    page.write_text(table([Figure(row, Reading(row.size, [1.0], [ratio]))]))
    monkeypatch.setattr(check, "README", page)
    assert await check.main([row.name, "--seconds", "0.02"]) == code
    assert ("WORSE" in capsys.readouterr().out) == bool(code)


async def test_the_search_of_what_a_task_returns_is_measured() -> None:
    """The row of returned numbers runs with and without a quotation, and both give the very list."""
    timing = await returned_numbers(1000, 0.01)
    assert timing.quoted_ns > 0
    assert timing.searched_ns > 0
