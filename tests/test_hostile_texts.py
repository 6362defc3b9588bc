"""Whatever shows a workflow or a run shows hostile names and messages as text. A new output is a row of `OUTPUTS`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from support import canaries
from support.canaries import (
    EACH,
    ENVIRONMENT,
    PLACES,
    WORD,
)
from support.hostile import HOSTILE
from support.output_forms import (
    check_dot,
    check_inert,
    check_json,
    check_markup,
    check_mermaid,
    check_svg,
    check_terminal,
)
from support.scenes import (
    CANARIES,
    MARKS,
    WIDE,
    Make,
    Scene,
    charts,
    compared,
    drawn,
    explained,
    filed,
    followed,
    in_lines,
    logged,
    named,
    pictures,
    printed,
    progressed,
    recorded,
    reported_again,
    served,
    told,
    traced,
)

import cascade as cs
from cascade.cli.progress_display.notebook import html_of
from cascade.cli.progress_display.pace import Pace
from cascade.cli.progress_display.progress_lines import progress_lines
from cascade.cli.progress_display.summary_lines import summary_lines
from cascade.cli.ui.pages import fact_rows, run_page, runs_page
from cascade.graph import build_graph, to_dot, to_json, to_mermaid

pytestmark = pytest.mark.one_python


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal in which no line is broken, and an environment with values that nothing may show."""
    monkeypatch.chdir(tmp_path)
    settings = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": str(WIDE), "TERMINAL_WIDTH": "200"}
    for name, value in {**settings, **ENVIRONMENT}.items():
        monkeypatch.setenv(name, value)
    path = [*sys.path]
    yield
    sys.path[:] = path
    sys.modules.pop("flow", None)


class Output(NamedTuple):
    """Something that shows a workflow or a run: what it must keep, and what makes it."""

    name: str
    check: Callable[[Iterable[str], Iterable[str]], None]
    make: Make
    has_all: bool = True
    """Whether each name is in it; a traceback of many errors has some of them."""


OUTPUTS = (
    Output("svg", check_svg, lambda scene: (picture.svg for picture in pictures(scene))),
    Output("html", check_markup, lambda scene: (picture.html for picture in pictures(scene))),
    Output("chart", check_svg, lambda scene: (picture.svg for picture in charts(scene))),
    Output("mermaid", check_mermaid, drawn(cs.visualize)),
    Output("mermaid of a graph", check_mermaid, drawn(lambda target: to_mermaid(build_graph(target)))),
    Output("dot", check_dot, drawn(lambda target: to_dot(build_graph(target)))),
    Output("graph as JSON", check_json, drawn(lambda target: to_json(build_graph(target)))),
    Output("plan as text", check_terminal, drawn(lambda target: str(cs.plan(target)))),
    Output("report", check_markup, filed(lambda timeline, path: timeline.to_html(path))),
    Output("chrome trace", check_json, filed(lambda timeline, path: timeline.to_chrome_trace(path))),
    Output("timeline as JSON", check_json, told(lambda timeline: json.dumps(timeline.to_dict()))),
    Output("cascade plan", check_terminal, printed("plan")),
    Output("cascade graph", check_mermaid, printed("graph")),
    Output("cascade graph, dot", check_dot, printed("graph", "--format", "dot")),
    Output("cascade graph, svg", check_svg, printed("graph", "--format", "svg")),
    Output("cascade why", check_terminal, explained()),
    Output("cascade why, JSON", check_json, explained("--format", "json")),
    Output("cascade runs show", check_terminal, recorded("show", "hostile")),
    Output("cascade runs show, JSON", check_json, recorded("show", "hostile", "--format", "json")),
    Output("cascade timeline diff", check_terminal, compared()),
    Output("cascade timeline diff, JSON", check_json, compared("--format", "json")),
    Output("log", check_terminal, logged("--log-level", "debug")),
    Output("log, JSON", check_json, logged("--log-level", "debug", "--log-format", "json")),
    Output("progress", check_terminal, followed(in_lines), has_all=False),
    Output("progress in a notebook", check_markup, followed(html_of), has_all=False),
    Output(
        "progress in a terminal",
        check_terminal,
        progressed(lambda run: progress_lines(run, Pace(), WIDE, WIDE)),
    ),
    Output("summary in a terminal", check_terminal, progressed(lambda run: summary_lines(run, WIDE, WIDE))),
    Output("progress in plain lines", check_inert, logged("--progress"), has_all=False),
    Output("cascade runs report", check_markup, reported_again),
    Output(
        "page of runs",
        check_markup,
        served(lambda store: runs_page(store.runs(0), store.address)),
        has_all=False,
    ),
    Output(
        "page of a run",
        check_markup,
        served(
            lambda store: run_page(store.run("hostile"), store.address),
            lambda store: fact_rows(store.facts("hostile", None)),
        ),
    ),
    Output("spans", check_json, traced),
    Output("failure", check_inert, logged(), has_all=False),
)
every_output = pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)


@every_output
@pytest.mark.usefixtures("shell")
def test_hostile_texts_are_text(output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """200 hostile names and messages change nothing but the words, and each of them is there."""
    plain = [*output.make(Scene(named(MARKS), tmp_path / "plain", capsys))]
    made = [*output.make(Scene(named(HOSTILE), tmp_path / "hostile", capsys))]
    output.check(made, plain)
    for texts in (plain, made):
        whole = "\n".join(texts)
        assert [mark for mark in MARKS if mark not in whole and output.has_all] == []


@every_output
@pytest.mark.usefixtures("shell")
def test_values_are_in_no_output(output: Output, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """200 values, 10 in each of 20 places where a run has values, appear nowhere; secrets also not in errors."""
    made = "\n".join(output.make(Scene(CANARIES, tmp_path / "canaries", capsys)))
    assert re.findall(f"{WORD}-\\w+-\\d+", made) == []
    assert "take" in made or not output.has_all  # the workflow is shown


def test_there_are_as_many_as_is_said() -> None:
    """There are 200 hostile texts, no two alike, and 200 values in 20 places."""
    assert len({*HOSTILE}) == 200
    assert len(PLACES) * EACH == 200
    source = Path(canaries.__file__).read_text(encoding="utf-8")
    assert [place for place in PLACES if f'canary("{place}", ' not in source] == []
