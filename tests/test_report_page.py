"""The report in a real browser, and the timeline's JSON against its schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import jsonschema
import pytest
from support.browsers import Browser, apart, open_browser

import cascade as cs

SCHEMA = Path(__file__).parents[1] / "docs" / "reference" / "timeline.schema.json"


@cs.task
def double(x: int) -> int:
    return 2 * x


@cs.task
async def fetch(x: int) -> int:
    await asyncio.sleep(0.001)
    return x


@cs.task
def add(*numbers: object) -> int:
    return len(numbers)


@cs.task
def again(left: int) -> object:
    return again(left - 1) if left else fetch(left)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """Return the report of a run that has some of everything."""
    timeline = cs.Timeline()
    skipped = double(2).run_if(double(0), otherwise=0)
    target = add(fetch(double(1)), double.map([3, 4, 5]), again(3), skipped)
    apart(lambda: cs.run(target, timeline=timeline))
    return timeline.to_html(tmp_path / "run.html")


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Return a browser; without one the test is skipped, and CI fails if one was."""
    with open_browser() as opened:
        yield opened


def test_the_json_of_a_timeline_fits_its_schema() -> None:
    """`Timeline.to_dict` gives what the schema describes, also for a run that failed or keeps no times."""

    @cs.task(retry=cs.RetryPolicy(max_attempts=1))
    def fail(x: int) -> int:
        error = ValueError("no")
        error.add_note("a note")
        raise error

    schema = json.loads(SCHEMA.read_text())
    for timeline in (cs.Timeline(), cs.Timeline(timed=False), cs.Timeline(max_calls=3)):
        cs.run(add(fetch(1), again(3), double.map([1, 2])), timeline=timeline)
        with pytest.raises(ValueError, match="no"):
            cs.run(add(fail(1)), timeline=timeline)
        data = json.loads(json.dumps(timeline.to_dict()))
        jsonschema.validate(data, schema, format_checker=jsonschema.FormatChecker())
        broken = json.loads(json.dumps(data))
        broken["runs"][0]["calls"]["took"] = []
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, schema)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_the_report(browser: Browser, report: Path, scheme: str) -> None:
    """All parts of a report are there, the console shows no error, and nothing is asked for elsewhere."""
    with browser.page(report, scheme) as page:
        assert page.visible("h1", "#graph svg", "#lanes canvas", "#tasks", "#slowest", "#critical")
        assert page.errors == []
        assert page.requests == [report.as_uri()]
        page.keep(f"report-{scheme}")


@pytest.mark.browser
def test_the_timeline_zooms_searches_and_shows_a_call(browser: Browser, report: Path) -> None:
    """The timeline can be zoomed by keys and buttons, searched, and shows the facts of a call that is found."""
    with browser.page(report) as page:
        page.click("#zoom-in")
        page.press("#lanes", "+")
        page.press("#lanes", "ArrowRight")
        page.fill("#search", "again")
        assert page.text("#found") == "4 calls"
        assert page.text("#picked").startswith("again ")
        page.select("#order", "worker")
        assert page.errors == []
        assert len(page.durations("zoom")) == 2


@pytest.mark.browser
def test_hostile_names_do_nothing_in_a_browser(browser: Browser, tmp_path: Path) -> None:
    """A name that is a script is text: nothing runs, and nothing is asked for."""
    name = "</script><script>document.title='taken'</script><img src=x onerror=document.title='taken'>"
    timeline = cs.Timeline()
    named: Any = cs.task(name=name)(lambda: 1)
    apart(lambda: cs.run(add(named()), timeline=timeline))
    path = timeline.to_html(tmp_path / "run.html")
    with browser.page(path) as page:
        assert page.title.startswith("Run ")
        assert page.errors == []
        assert page.requests == [path.as_uri()]


@pytest.mark.browser
def test_a_report_of_many_calls_opens(browser: Browser, tmp_path: Path) -> None:
    """The page of a run with more calls than it shows is drawn, and says that some are folded."""
    timeline = cs.Timeline(max_calls=1_000_000)
    apart(lambda: cs.run(double.map(x=range(101_000)), timeline=timeline))
    path = timeline.to_html(tmp_path / "run.html")
    with browser.page(path) as page:
        assert page.errors == []
        assert median(page.marks("cascade-ready")) > 0
        assert page.visible("#folded")
