"""Claims about what a timeline writes: plain data, a trace and a report."""

from __future__ import annotations

import asyncio
import json
import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import Timeline
from cascade.spec import SpecError

HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b[31m",
    "\u202egnp",
    "<!--",
]
SECRET = "canary-7f3a"
"""A value that no output may show."""


@cs.task
def load(number: int) -> int:
    time.sleep(0.001)
    return number


@cs.task
async def fetch(number: int) -> int:
    await asyncio.sleep(0.002)
    return number


@cs.task(mode="thread")
def work(number: int) -> int:
    return number


@cs.task
def add(*numbers: object) -> str:
    return SECRET


@cs.task
def again(left: int) -> object:
    return again(left - 1) if left else fetch(left)


def flaky() -> cs.Task[int]:
    calls: list[None] = []

    @cs.task(retry=cs.RetryPolicy(max_attempts=2, delay=0.001))
    def flaky(number: int) -> int:
        calls.append(None)
        if len(calls) < 3:
            raise ValueError("not yet")
        return number

    return flaky


@pytest.fixture
def timeline() -> Timeline:
    """Return the timeline of a run that has some of everything."""
    timeline = Timeline()
    number = load(1)
    skipped = load(2).run_if(load(0), otherwise=0)
    others = (work(number), flaky()(number), load.map([3, 4, 5]), again(3), skipped)
    target = add(fetch(number), fetch(2), *others, cs.Param("n", SECRET))
    cs.run(target, timeline=timeline, params={"n": SECRET})
    return timeline


class TestPlainData:
    """`to_dict` gives plain data that agrees with the timeline."""

    def test_calls_are_columns(self, timeline: Timeline) -> None:
        """Each call of the timeline is a row of the columns."""
        (run,) = timeline.to_dict()["runs"]
        calls, names = run["calls"], run["names"]
        began = timeline.runs[0].began
        rows = [
            *zip(*(calls[name] for name in ("tree", "node", "item", "task", "began", "ended")), strict=True)
        ]
        assert rows == [
            (*call.place, names.index(call.task), call.began - began, call.ended - began)
            for call in timeline.calls()
        ]

    def test_it_is_json_and_has_no_values(self, timeline: Timeline) -> None:
        """It can be written as JSON as it is, and has the names of inputs but not what they are."""
        text = json.dumps(timeline.to_dict())
        assert SECRET not in text
        assert json.loads(text)["runs"][0]["inputs"] == ["n"]

    def test_structures_are_shared_by_trees(self, timeline: Timeline) -> None:
        """Rounds of a loop that have one structure refer to one entry."""
        (run,) = timeline.to_dict()["runs"]
        trees = run["trees"]
        rounds = [
            number for number, call in zip(trees["structure"], trees["call"], strict=True) if call is not None
        ]
        assert len(rounds) > 2
        assert len(set(rounds)) < len(rounds)
        assert max(trees["structure"]) == len(run["structures"]) - 1


class TestTrace:
    """`to_chrome_trace` writes what Perfetto and `chrome://tracing` open."""

    @pytest.fixture
    def events(self, timeline: Timeline, tmp_path: Path) -> list[dict[str, Any]]:
        path = timeline.to_chrome_trace(tmp_path / "trace.json")
        assert path == tmp_path / "trace.json"
        read: list[dict[str, Any]] = json.loads(path.read_text())["traceEvents"]
        return read

    def test_each_call_is_a_slice(self, timeline: Timeline, events: list[dict[str, Any]]) -> None:
        """Each call has one slice with its name, its beginning and its duration, in microseconds."""
        slices = sorted((each["name"], each["args"]["id"]) for each in events if each["ph"] == "X")
        assert slices == sorted((call.task, call.id) for call in timeline.calls())
        assert all(each["dur"] >= 0 and each["ts"] >= 0 for each in events if each["ph"] == "X")

    def test_tracks_are_workers_and_slices_of_a_track_nest(self, events: list[dict[str, Any]]) -> None:
        """Each track has the name of its worker, and no two slices of a track overlap unless one is in the other."""
        names = {each["tid"]: each["args"]["name"] for each in events if each["name"] == "thread_name"}
        assert "event loop" in names.values()
        assert any(name.startswith("cascade") for name in names.values())  # as the engine names its threads
        for track in names:
            own = sorted(
                (
                    (each["ts"], each["ts"] + each["dur"])
                    for each in events
                    if each["ph"] == "X" and each["tid"] == track
                ),
                key=lambda ends: (ends[0], -ends[1]),
            )
            for (_, ended), (began, other) in pairwise(own):
                assert began >= ended - 0.01 or other <= ended + 0.01

    def test_arrows_lead_along_the_data(self, timeline: Timeline, events: list[dict[str, Any]]) -> None:
        """Each arrow leaves when its source has ended, and arrives when its target begins."""
        starts = {each["id"]: each for each in events if each["ph"] == "s"}
        ends = {each["id"]: each for each in events if each["ph"] == "f"}
        assert starts.keys() == ends.keys()
        assert all(starts[number]["ts"] <= ends[number]["ts"] for number in starts)
        slices = [each for each in events if each["ph"] == "X"]
        targets = {each["args"]["id"] for each in slices for end in ends.values() if each["ts"] == end["ts"]}
        assert "n0" in targets

    def test_retries_and_skips_are_there(self, events: list[dict[str, Any]]) -> None:
        """Failed attempts and calls that were not made are marks."""
        marks = [each["name"] for each in events if each["ph"] == "i"]
        assert marks.count("retry of flaky") == 2
        assert "load is skipped" in marks

    def test_there_are_no_values(self, timeline: Timeline, tmp_path: Path) -> None:
        """A trace has no value of an input or of a call."""
        assert SECRET not in timeline.to_chrome_trace(tmp_path / "trace.json").read_text()


class _Page(HTMLParser):
    """Reads a page: its elements by id, what it refers to, and the cells of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        self._within = tag
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self._within in ("td", "th") and self.rows:
            self.rows[-1][-1] += data
        if self._within not in ("script", "style"):
            self.text += data


class TestReport:
    """`to_html` writes one file that needs nothing else."""

    def test_it_has_all_parts_and_refers_to_nothing(self, timeline: Timeline, tmp_path: Path) -> None:
        """Summary, graph, timeline and tables are there; no address is."""
        path = timeline.to_html(tmp_path / "run.html")
        page = _Page(path.read_text())
        assert page.ids >= {"graph", "lanes", "tasks", "slowest", "critical", "retries", "data"}
        assert page.addresses == []
        assert "Succeeded" in page.text
        assert timeline.runs[0].run_id in page.text

    def test_the_tables_have_the_figures(self, timeline: Timeline, tmp_path: Path) -> None:
        """The table of tasks has each task with its calls."""
        page = _Page(timeline.to_html(tmp_path / "run.html").read_text())
        cells = {row[0]: row[1] for row in page.rows if len(row) == 11}
        for task, figures in timeline.tasks().items():
            assert cells[task] == (f"{figures.calls:,}" if figures.calls else "")

    def test_errors_come_with_their_notes_and_place(self, tmp_path: Path) -> None:
        """A failed call is there with its error, the notes on it and its place in the tree."""

        @cs.task
        def fail(number: int) -> int:
            error = ValueError("out of range")
            error.add_note("look at the first row")
            raise error

        timeline = Timeline()
        with pytest.raises(ValueError, match="out of range"):
            cs.run(add(fail(load(1))), timeline=timeline)
        page = _Page(timeline.to_html(tmp_path / "run.html").read_text())
        assert "ValueError: out of range\nlook at the first row\nat root.args.0" in page.text
        assert "Failed" in page.text

    def test_there_are_names_of_inputs_and_no_values(self, timeline: Timeline, tmp_path: Path) -> None:
        """A report has the names of inputs, and no value."""
        text = timeline.to_html(tmp_path / "run.html").read_text()
        assert SECRET not in text
        assert re.search("<dt>Inputs</dt><dd>n</dd>", text)

    @pytest.mark.parametrize(
        "name",
        [
            "</script><script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "\x1b[31m",
            "\u202egnp",
            "<!--",
        ],
    )
    def test_hostile_names_are_text(self, name: str, tmp_path: Path) -> None:
        """Whatever stands in a name or an error is shown as text, and makes no element."""

        @cs.task(name=name)
        def fail() -> int:
            raise ValueError(name)

        timeline = Timeline()
        with pytest.raises(ValueError):  # noqa: PT011 - the text is what matters below
            cs.run(fail(), timeline=timeline)
        text = timeline.to_html(tmp_path / "run.html").read_text()
        page = _Page(text)
        assert "img" not in page.tags
        assert text.count("<script") == text.count("</script>") == 2
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)

    def test_many_calls_are_folded_and_the_page_says_how_many(self, tmp_path: Path) -> None:
        """Of more than 100,000 calls the page shows so many, says how many it leaves out, and has at most 5 MB."""
        timeline = Timeline(max_calls=1_000_000)

        @cs.task
        def one(number: int) -> int:
            return number

        cs.run(one.map(number=range(150_000)), timeline=timeline)
        path = timeline.to_html(tmp_path / "run.html")
        page = _Page(path.read_text())
        assert "50,000 of 150,000 calls are folded" in page.text
        assert path.stat().st_size <= 5_000_000

    def test_the_calls_that_are_kept_are_the_longest(self, tmp_path: Path) -> None:
        """The slowest call is in the page however many there are."""
        timeline = Timeline(max_calls=1_000_000)

        @cs.task
        def one(number: int) -> int:
            if number == 119_000:
                time.sleep(0.02)
            return number

        cs.run(one.map(number=range(120_000)), timeline=timeline)
        page = _Page(timeline.to_html(tmp_path / "run.html").read_text())
        assert any(row[0] == "n0[119000]" for row in page.rows if len(row) == 7)

    def test_an_empty_timeline_has_no_report(self, tmp_path: Path) -> None:
        """Without a run there is nothing to report, and the error says what to do."""
        with pytest.raises(SpecError, match="timeline=timeline"):
            Timeline().to_html(tmp_path / "run.html")
        assert not [*tmp_path.iterdir()]

    def test_counters_alone_have_a_report_without_a_timeline(self, tmp_path: Path) -> None:
        """A timeline that keeps no times has a report with the counts, and no bars."""
        timeline = Timeline(timed=False)
        cs.run(add(load(1), load(2)), timeline=timeline)
        page = _Page(timeline.to_html(tmp_path / "run.html").read_text())
        assert "lanes" not in page.ids
        assert ["load", "2"] in [row[:2] for row in page.rows]


class TestCriticalPath:
    """The report follows what the length of a run hangs on."""

    def test_it_leads_through_what_was_waited_for(self, tmp_path: Path) -> None:
        """Of two branches the longer one is on the path, with the rounds of a loop that stands in a call's place."""

        @cs.task
        async def quick() -> int:
            return 1

        @cs.task
        async def slow(left: int) -> object:
            await asyncio.sleep(0.02)
            return slow(left - 1) if left else 1

        timeline = Timeline()
        cs.run(add(quick(), slow(2)), timeline=timeline)
        page = _Page(timeline.to_html(tmp_path / "run.html").read_text())
        assert re.search(r"4 calls, (9\d|100)% of the time of the run", page.text)
