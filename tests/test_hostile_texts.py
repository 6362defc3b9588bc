"""Whatever shows a workflow or a run shows hostile names and messages as text. A new output is a row of `OUTPUTS`."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest
from rich.text import Text
from support import canaries
from support.canaries import (
    EACH,
    ENVIRONMENT,
    PARAMS,
    PLACES,
    SECRETS,
    WORD,
    WRONG,
    canary_target,
    quiet_canary_target,
    store,
)
from support.hostile import HOSTILE, flaky_target, hostile_target, routed_target

import cascade as cs
from cascade.cli import main
from cascade.cli.progress.notebook import html_of
from cascade.cli.progress.pace import Pace
from cascade.cli.progress.progress_lines import progress_lines, progress_sentence
from cascade.cli.progress.summary_lines import summary_lines
from cascade.graph import Picture, build_graph, to_dot, to_json, to_mermaid
from cascade.runtime.progress.timeline_progress import progress_of

MARKS = tuple(f"h{number:03d}x" for number in range(200))
FORGED = re.compile(r"^\s*(ERROR|INFO|forged|two|three|four)\b", re.MULTILINE)


class Material(NamedTuple):
    """What outputs are made of: targets, the same as expressions for files, and what their runs need."""

    targets: tuple[Callable[[], cs.LazyResult[Any]], ...]
    imports: str
    target: str
    quiet: str
    settings: dict[str, Any] = {}  # noqa: RUF012 - never changed
    options: tuple[str, ...] = ()


def named(texts: tuple[str, ...]) -> Material:
    """Return workflows with tasks, arguments, routes and errors of these names."""
    return Material(
        tuple(partial(make, texts) for make in (hostile_target, flaky_target, routed_target)),
        "from support.hostile import hostile_target, quiet_target",
        f"hostile_target({texts!r})",
        f"quiet_target({texts!r})",
    )


CANARIES = Material(
    (canary_target, quiet_canary_target),
    "from support.canaries import canary_target, quiet_canary_target, store",
    "canary_target()",
    "quiet_canary_target()",
    {"params": {**PARAMS, **SECRETS, **WRONG}, "resources": [store]},
    tuple(
        word
        for name, value in {**PARAMS, **SECRETS, **WRONG}.items()
        for word in (f"--{name.replace('_', '-')}", value)
    ),
)


class Scene:
    """Where outputs are made: workflows, a folder, and a shell with a very wide terminal."""

    def __init__(self, material: Material, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.material = material
        self.folder = folder
        self._capsys = capsys
        folder.mkdir()

    def targets(self) -> list[cs.LazyResult[Any]]:
        return [make() for make in self.material.targets]

    def ran(self, target: cs.LazyResult[Any]) -> cs.Timeline:
        """Return the timeline of a run, whatever became of it."""
        timeline = cs.Timeline()
        with suppress(BaseExceptionGroup):
            cs.run(target, timeline=timeline, on_failure="finish", **self.material.settings)
        return timeline

    def command(self, *args: str) -> tuple[str, str]:
        """Call the `cascade` command, and return what it wrote to stdout and to stderr."""
        sys.modules.pop("flow", None)
        with pytest.raises(SystemExit):
            main([*args])
        return self._capsys.readouterr()

    def flow(self, *, quiet: bool = False) -> str:
        """Write a file with a workflow, and return its path."""
        target = self.material.quiet if quiet else self.material.target
        path = self.folder / "flow.py"
        path.write_text(
            f"{self.material.imports}\n\n\ndef workflow():\n    return {target}\n", encoding="utf-8"
        )
        return str(path)

    def run(self, *options: str, quiet: bool = False) -> str:
        """Run the workflow on the command line, and return what it wrote to stderr."""
        flow = self.flow(quiet=quiet)
        return self.command("run", *options, "--on-failure", "finish", flow, *self.material.options)[1]

    def url(self, name: str) -> str:
        return f"sqlite:///{self.folder / name}"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A terminal in which no line is broken, and an environment with values that nothing may show."""
    monkeypatch.chdir(tmp_path)
    settings = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100000", "TERMINAL_WIDTH": "200"}
    for name, value in {**settings, **ENVIRONMENT}.items():
        monkeypatch.setenv(name, value)
    path = [*sys.path]
    yield
    sys.path[:] = path
    sys.modules.pop("flow", None)


# What makes each output


Make = Callable[[Scene], Iterable[str]]


def pictures(scene: Scene) -> Iterator[Picture]:
    for target in scene.targets():
        timeline = scene.ran(target)
        yield cs.draw(target, timeline.marks(), use_dot=False)
        yield timeline.draw_graph()


def charts(scene: Scene) -> Iterator[Picture]:
    """Give charts in which each task has a row: one has no more than forty."""
    yield from (scene.ran(target).draw() for target in scene.targets())
    if scene.material is not CANARIES:
        texts = MARKS if scene.material.quiet == named(MARKS).quiet else HOSTILE
        for first in range(0, len(texts), 40):
            yield scene.ran(hostile_target(texts[first : first + 40])).draw()


def drawn(write: Callable[[cs.LazyResult[Any]], str]) -> Make:
    """Return what writes each target."""
    return lambda scene: map(write, scene.targets())


def told(write: Callable[[cs.Timeline], str]) -> Make:
    """Return what writes the run of each target."""
    return lambda scene: (write(scene.ran(target)) for target in scene.targets())


def filed(write: Callable[[cs.Timeline, Path], Path]) -> Make:
    """Return what gives the text of a file about the run of each target."""

    def texts_of(scene: Scene) -> Iterator[str]:
        for target in scene.targets():
            yield write(scene.ran(target), scene.folder / "run.out").read_text(encoding="utf-8")

    return texts_of


def printed(command: str, *options: str) -> Make:
    """Return what gives the output of a command on the file of a workflow."""
    return lambda scene: [scene.command(command, scene.flow(), *options)[0]]


def logged(*options: str) -> Make:
    """Return what gives the log of a run."""
    return lambda scene: [scene.run(*options)]


def recorded(*args: str) -> Make:
    """Return what gives the output of a command on a store with a run."""

    def texts_of(scene: Scene) -> Iterator[str]:
        scene.run("--state", scene.url("runs.db"), "--run-id", "hostile", quiet=True)
        yield scene.command("runs", *args, "--state", scene.url("runs.db"))[0]

    return texts_of


def explained(*options: str) -> Make:
    """Return what gives the output of `cascade why`."""

    def texts_of(scene: Scene) -> Iterator[str]:
        scene.run("--cache", scene.url("cache.db"), quiet=True)
        flow = scene.flow(quiet=True)
        yield scene.command("why", "--cache", scene.url("cache.db"), *options, flow, *scene.material.options)[
            0
        ]

    return texts_of


def followed(form: Callable[[list[Text]], str]) -> Make:
    """Return what shows the progress of runs and sums them up, in this form."""

    def text_of(timeline: cs.Timeline) -> str:
        progress, pace = progress_of(timeline.runs[-1]), Pace()
        lines = progress_lines(progress, pace, 10_000, 10_000) + summary_lines(progress, 10_000, 10_000)
        return form([*lines, Text(progress_sentence(progress, pace))])

    return told(text_of)


def in_lines(lines: list[Text]) -> str:
    return "\n".join(line.plain for line in lines)


def compared(*options: str) -> Make:
    """Return what gives the differences of two runs."""

    def texts_of(scene: Scene) -> Iterator[str]:
        paths = [str(scene.folder / name) for name in ("a.json", "b.json")]
        for path in paths:
            scene.run("--calls", path)
        yield scene.command("timeline", "diff", *paths, *options)[0]

    return texts_of


# What each form of output must keep


class Tags(HTMLParser):
    """Collects the elements of a page, with the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.found.add((tag, *sorted(name for name, _ in attrs)))

    def handle_comment(self, data: str) -> None:
        self.found.add(("a comment",))


def tags_of(markup: str) -> set[tuple[str, ...]]:
    tags = Tags()
    tags.feed(markup)
    return tags.found


ACTING = re.compile(
    "[{}]".format(
        "".join(
            re.escape(each)
            for each in map(chr, range(sys.maxunicode + 1))
            if unicodedata.category(each) in ("Cc", "Cf", "Cs") and each != "\n"
        )
    )
)
"""Characters that would do something to a terminal or a reader, or cannot be seen."""


def check_markup(made: Iterable[str], plain: Iterable[str]) -> None:
    """The elements are those that plain names give, and no character has a meaning of its own."""
    known = set().union(*map(tags_of, plain))
    for text in made:
        assert tags_of(text) <= known
        assert not re.search(
            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ud800-\udfff]", text
        )
        assert "evil.example" not in re.findall(r"(?:src|href)=\S+", text)


def check_svg(made: Iterable[str], plain: Iterable[str]) -> None:
    """It is XML, and as markup it is sound."""
    made = [*made]
    for text in made:
        ET.fromstring(text)
    check_markup(made, plain)


def check_terminal(made: Iterable[str], plain: Iterable[str]) -> None:
    """Nothing in it moves the cursor, turns the direction of text or begins a line of its own."""
    for text in made:
        assert {*ACTING.findall(text)} == set()
        assert not FORGED.search(text)


def check_inert(made: Iterable[str], plain: Iterable[str]) -> None:
    """Nothing in it moves the cursor or turns the direction of text; it may have lines, as tracebacks do."""
    for text in made:
        assert {*ACTING.findall(text)} == set()


def check_json(made: Iterable[str], plain: Iterable[str]) -> None:
    """It is JSON of ASCII alone, however many lines it has."""
    for text in made:
        assert text.isascii()
        for each in (
            [text] if text.lstrip()[:2] in ("{\n", "[\n") or text.count("\n") < 2 else text.splitlines()
        ):
            json.loads(each)


def check_mermaid(made: Iterable[str], plain: Iterable[str]) -> None:
    """Each line is a node or an edge, with a quoted label of harmless characters."""
    label = r'"(?:[^\W]|[ ,]|#\d+;|<br/>)*"'
    line = re.compile(
        rf"flowchart TD|    n\d+[\[(\{{]+{label}[\])\}}]+|    n\d+ [-.=>ox]+(?:\|{label}\|)? n\d+"
    )
    for text in made:
        assert all(line.fullmatch(each) for each in text.splitlines())


def check_dot(made: Iterable[str], plain: Iterable[str]) -> None:
    """Each line is a node or an edge, with a quoted label in which quotes are escaped."""
    label = r'"(?:[^"\\\x00-\x1f]|\\.)*"'
    line = re.compile(rf"digraph cascade \{{|\}}|    n\d+(?: -> n\d+)? \[label={label}, [\w=, ]+\];")
    for text in made:
        assert all(line.fullmatch(each) for each in text.split("\n")[:-1])


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
