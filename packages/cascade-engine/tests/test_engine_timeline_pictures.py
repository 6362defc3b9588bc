"""Claims about pictures of runs: the chart of a timeline, and graphs whose colours show what became of the calls."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import cascade as cs
from cascade.graph import Mark, Picture, Status
from cascade.runtime import Timeline
from cascade.spec import SpecError

SVG = "{http://www.w3.org/2000/svg}"


@cs.task
def load(number: int) -> int:
    return number


@cs.task
def add(*numbers: object) -> int:
    return len(numbers)


@cs.task
def again(left: int) -> object:
    return again(left - 1) if left else load(left)


@cs.task
def fail(number: int) -> int:
    raise ValueError("no")


@cs.task
def fail_in_the_end(left: int) -> object:
    return fail_in_the_end(left - 1) if left else fail(left)


@cs.task
def fail_inside(number: int) -> object:
    return add(fail(number))


def run(target: object) -> Timeline:
    """Run a target, and return what the timeline knows of it, also if it fails."""
    timeline = Timeline()
    try:
        cs.run(target, timeline=timeline, on_failure="finish")
    except* ValueError:
        pass
    return timeline


class Row:
    """A row of a chart: its title, its texts, and how many bars of each kind it has."""

    def __init__(self, group: ET.Element) -> None:
        self.title = group.findtext(f"{SVG}title") or ""
        self.name, self.note = (text.text or "" for text in group.findall(f"{SVG}text"))
        self.bars = {
            (path.get("class") or "").removeprefix("cs-"): (path.get("d") or "").count("M")
            for path in group.findall(f"{SVG}path")
        }


def rows_of(picture: Picture) -> dict[str, Row]:
    groups = ET.fromstring(picture.svg).findall(f"{SVG}g")
    rows = [Row(group) for group in groups if group.get("class") == "cs-row"]
    return {row.title.partition(":")[0]: row for row in rows}


def texts_of(picture: Picture) -> list[str]:
    return [each.text or "" for each in ET.fromstring(picture.svg).iter(f"{SVG}text")]


def flaky(failures: int) -> cs.Task[int]:
    left = [failures]

    @cs.task(retry=cs.RetryPolicy(max_attempts=failures + 1, delay=0.02))
    async def flaky(number: int) -> int:
        left[0] -= 1
        if left[0] >= 0:
            raise ValueError("not yet")
        return number

    return flaky


class TestNotebooks:
    """Whatever shows a workflow or a run is shown by notebooks as a picture, or as text."""

    def test_each_has_a_picture_and_a_text(self) -> None:
        """Lazy results, graphs, plans and timelines have SVG and text."""
        lazy = add(load(1), load.map([1, 2]))
        timeline = run(lazy)
        for shown in (lazy, load.map([1]), cs.build_graph(lazy), cs.plan(lazy), timeline, cs.draw(lazy)):
            bundle = shown._repr_mimebundle_()
            assert {"image/svg+xml", "text/plain"} <= set(bundle)
            assert ET.fromstring(bundle["image/svg+xml"]).tag == f"{SVG}svg"

    def test_the_text_of_a_timeline_tells_its_size(self) -> None:
        """Where there are no pictures, one line tells how many calls and runs there are."""
        timeline = run(add(load(1), load(2)))
        assert timeline._repr_mimebundle_()["text/plain"] == "<Timeline with 3 calls in 1 run>"

    def test_a_timeline_without_a_run_has_a_picture_too(self) -> None:
        """Before the first run the picture says that there is none."""
        assert texts_of(Timeline().draw()) == ["no run yet"]
        assert "no run yet" in Timeline()._repr_mimebundle_()["image/svg+xml"]

    def test_a_run_that_goes_on_has_a_picture(self) -> None:
        """During the run, a bar shows the call that is under way."""
        timeline, seen = Timeline(), []

        @cs.task(mode="thread")
        def look() -> None:
            seen.append(timeline.draw())

        cs.run([look()], timeline=timeline)
        (picture,) = seen
        assert rows_of(picture)["look"].bars["running"] == 1
        assert "under way" in texts_of(picture)[0]

    def test_a_timeline_without_times_shows_numbers(self) -> None:
        """Without times there are no bars and no axis, but the rows with their numbers."""
        timeline = Timeline(timed=False)
        cs.run(add(load.map(range(10))), timeline=timeline)
        row = rows_of(timeline.draw())["load"]
        assert row.note == "10 calls"
        assert set(row.bars) == {"grid"}


class TestCharts:
    """The chart of a run has a row for each task."""

    def test_maps_and_loops_are_folded(self) -> None:
        """All items of a map, and all rounds of a loop, are in the one row of their task."""
        rows = rows_of(run(add(load.map(range(50)), again(30))).draw())
        assert set(rows) == {"add", "load", "again"}
        assert rows["load"].note.startswith("51 calls, ")
        assert rows["again"].note.startswith("31 calls, ")
        assert rows["load"].bars["map"] == 1
        assert rows["load"].bars["succeeded"] >= 1

    def test_failed_attempts_are_ticks(self) -> None:
        """Each attempt that failed and was followed by another is a tick in the row of its task."""
        timeline = run([flaky(2)(1)])
        row = rows_of(timeline.draw())["flaky"]
        assert row.bars["retry"] == 2
        assert row.note.endswith(", 2 retried")
        assert "an attempt failed" in texts_of(timeline.draw())

    def test_waits_are_lines_before_the_bar(self) -> None:
        """A call that waits for a slot has a line from when it could begin to when it did."""
        timeline, gate = Timeline(), threading.Event()

        @cs.task(mode="thread")
        def hold(number: int) -> None:
            gate.wait(0.05)

        cs.run([hold(1), hold(2)], timeline=timeline, max_concurrency=1)
        row = rows_of(timeline.draw())["hold"]
        assert row.bars["wait"] == 1
        assert "waits" in texts_of(timeline.draw())

    def test_how_calls_ended_is_told_and_coloured(self) -> None:
        """Failures and skips are in the numbers of the row, and failures are bars of their own colour."""
        picture = run(add(fail(1), load(2), load(3).run_if(load(0), otherwise=0))).draw()
        rows = rows_of(picture)
        assert rows["fail"].bars["failed"] == 1
        assert rows["fail"].note.endswith(", 1 failed")
        assert rows["load"].note.endswith(", 1 skipped")
        assert {"failed", "succeeded"} <= set(texts_of(picture))

    def test_calls_at_the_same_time_are_below_each_other(self) -> None:
        """Calls of one task that overlap have lanes of their own, four at most."""

        def height(calls: int) -> int:
            together = threading.Barrier(calls)

            @cs.task(mode="thread")
            def meet(number: int) -> None:
                together.wait(10)

            picture = run([meet(number) for number in range(calls)]).draw()
            return int(ET.fromstring(picture.svg).get("height", ""))

        assert height(1) <= height(2) < height(4) == height(6)

    def test_long_names_are_cut(self) -> None:
        """A long name ends in dots; the title of its row has all of it."""
        name = "a" * 100
        picture = run([cs.task(name=name)(lambda: 1)()]).draw()
        row = rows_of(picture)[name]
        assert row.name.endswith("\N{HORIZONTAL ELLIPSIS}")
        assert len(row.name) < 30

    def test_it_has_light_and_dark_colours(self) -> None:
        """One picture serves both colour schemes."""
        assert "prefers-color-scheme: dark" in run(add(load(1))).draw().svg

    def test_a_large_run_has_a_small_picture(self) -> None:
        """A thousand tasks and many calls give some rows, those that took longest, and a line about the others."""
        tasks = [cs.task(name=f"task {number}")(lambda number: number) for number in range(1_000)]
        timeline = Timeline(max_calls=200_000)
        cs.run(add(load.map(range(100_000)), *[task(1) for task in tasks]), timeline=timeline)
        picture = timeline.draw()
        rows = rows_of(picture)
        assert len(rows) == 40
        assert "load" in rows
        assert "and 962 more tasks with 962 calls" in texts_of(picture)
        assert len(picture.svg) < 100_000
        assert int(ET.fromstring(picture.svg).get("height", "")) < 2_000

    def test_what_is_not_kept_is_in_the_numbers(self) -> None:
        """Calls beyond the timeline's bound have no bar; the rows count them, and the picture says how many."""
        timeline = Timeline(max_calls=100)
        cs.run(add(load.map(range(1_000))), timeline=timeline)
        picture = timeline.draw()
        assert rows_of(picture)["load"].note.startswith("1,000 calls")
        folded = timeline.runs[0].folded
        assert any(text.startswith(f"{folded:,} calls are in the numbers only") for text in texts_of(picture))

    def test_it_is_drawn_and_saved_like_any_picture(self, tmp_path: Path) -> None:
        """`cs.draw(timeline)` is the chart; it can be saved in each format."""
        picture = cs.draw(run(add(load(1))))
        assert set(rows_of(picture)) == {"add", "load"}
        assert picture.save(tmp_path / "run.svg").read_text() == picture.svg
        assert picture.svg in picture.save(tmp_path / "run.html").read_text()
        assert picture.save(tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


class TestMarks:
    """`Timeline.marks` tells how each call of the target ended, and how long that took."""

    def marks(self, target: object) -> Iterator[tuple[str, Status]]:
        marks = run(target).marks()
        for node in cs.build_graph(target).nodes:
            yield node.name, marks[node.id].status

    def test_each_end_has_its_status(self) -> None:
        """Success, failure and skips are told apart, and a map has one mark."""
        target = add(fail(1), load.map([1, 2]), load(3).run_if(load(0), otherwise=0))
        marks = [*self.marks(target)]
        assert ("fail", Status.FAILED) in marks
        assert ("add", Status.SKIPPED) in marks
        assert sorted(status for name, status in marks if name == "load") == [
            Status.SKIPPED,
            Status.SUCCEEDED,
            Status.SUCCEEDED,
        ]

    def test_values_from_a_cache_are_told_apart(self, tmp_path: Path) -> None:
        """A call whose value a cache has is not one that was made."""
        target = add(load(1).with_cache(cs.ByInputs()))
        timeline = Timeline()
        for _ in range(2):
            cs.run(target, cache=f"sqlite:///{tmp_path / 'cache.db'}", timeline=timeline)
        assert timeline.marks() == {"n0": timeline.marks()["n0"], "n1": Mark(Status.CACHED)}

    @pytest.mark.parametrize("task", [fail_in_the_end, fail_inside])
    def test_a_call_ends_as_what_it_returned(self, task: cs.Task[object]) -> None:
        """A call that returned a tree which failed has failed, however far inside that was."""
        assert dict(self.marks(add(task(3)))) == {"add": Status.SKIPPED, task.name: Status.FAILED}
        assert dict(self.marks(task(3))) == {task.name: Status.FAILED}

    def test_a_loop_lasts_until_its_last_round(self) -> None:
        """The seconds of a call that returned others are those until the last of them ended."""
        timeline = run(add(again(20)))
        calls = [*timeline.calls()]
        first = next(call for call in calls if call.task == "again")
        last = next(call for call in calls if call.task == "load")
        assert timeline.marks()["n1"] == Mark(Status.SUCCEEDED, last.ended - first.began)
        assert timeline.marks()["n0"].status is Status.SUCCEEDED

    def test_what_is_under_way_is_running(self) -> None:
        """During a run, the calls under way are marked as such."""
        timeline, seen = Timeline(), []

        @cs.task(mode="thread")
        def look() -> None:
            seen.append(timeline.marks())

        cs.run([look()], timeline=timeline)
        assert seen[0]["n1"].status is Status.RUNNING

    def test_they_colour_the_picture_of_the_target(self) -> None:
        """`cs.draw(target, timeline.marks())` shows each end in its box, with its time."""
        target = add(fail(1), load(cs.Param("n", 2)))
        picture = cs.draw(target, run(target).marks())
        boxes = re.findall(r'class="cs-box cs-task cs-(\w+)"', picture.svg)
        assert sorted(boxes) == ["failed", "skipped", "succeeded"]
        assert any(re.fullmatch(r"failed, [\d.]+ (us|ms|s)", text) for text in texts_of(picture))

    def test_a_timeline_draws_its_graph_by_itself(self) -> None:
        """`draw_graph` needs the timeline alone: names, edges, maps and colours are in it."""
        picture = run(add(fail(1), load.map([1, 2]))).draw_graph()
        assert {"add", "fail", "load"} <= set(texts_of(picture))
        assert 'class="cs-box cs-map cs-succeeded"' in picture.svg
        assert picture.title == "add"

    def test_without_a_run_there_is_one_clear_error(self) -> None:
        """A timeline that has no run, or keeps no trees, says so."""
        for ask in (Timeline().draw_graph, Timeline().marks):
            with pytest.raises(SpecError, match="the timeline has no run"):
                ask()
        timeline = Timeline(timed=False)
        cs.run(add(load(1)), timeline=timeline)
        with pytest.raises(SpecError, match="keeps no tree"):
            timeline.draw_graph()
