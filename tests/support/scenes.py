"""Scenes: where outputs about workflows and runs are made, and what makes each."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from rich.console import Console
from rich.text import Text

import cascade as cs
from cascade.cli import main
from cascade.cli.progress_display.pace import Pace
from cascade.cli.progress_display.progress_lines import progress_lines, progress_sentence
from cascade.cli.progress_display.summary_lines import summary_lines
from cascade.cli.ui.store_reading import StoreReader
from cascade.graph import Picture
from cascade.runtime.otel import instrument
from cascade.runtime.progress.run_progress import RunProgress
from cascade.runtime.progress.timeline_progress import progress_of
from support.canaries import (
    PARAMS,
    SECRETS,
    WRONG,
    canary_target,
    quiet_canary_target,
    store,
)
from support.hostile import HOSTILE, flaky_target, hostile_target, routed_target

MARKS = tuple(f"h{number:03d}x" for number in range(200))
WIDE = 100_000
"""So many characters has a line of the terminal: none is broken."""


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


def progressed(lines: Callable[[RunProgress], Iterable[Text]]) -> Make:
    """Return what gives lines about the progress of a run, as a very wide and high terminal shows them."""

    def text_of(scene: Scene, target: cs.LazyResult[Any]) -> str:
        (run,) = scene.ran(target).runs
        written = StringIO()
        console = Console(file=written, width=WIDE, color_system=None)
        for line in lines(progress_of(run)):
            console.print(line)
        return written.getvalue()

    return lambda scene: (text_of(scene, target) for target in scene.targets())


def served(*parts: Callable[[StoreReader], str]) -> Make:
    """Return what gives pages of `cascade ui` on a store with a run."""

    def texts_of(scene: Scene) -> Iterator[str]:
        scene.run("--state", scene.url("runs.db"), "--run-id", "hostile", quiet=True)
        reader = StoreReader(scene.url("runs.db"))
        yield from (part(reader) for part in parts)

    return texts_of


def reported_again(scene: Scene) -> Iterator[str]:
    """Give the reports of recorded runs."""
    for quiet in (True, False):
        store = scene.url(f"{quiet}.db")
        scene.run("--state", store, "--run-id", "hostile", quiet=quiet)
        path = scene.folder / "recorded.html"
        scene.command("runs", "report", "hostile", "--state", store, "-o", str(path))
        yield path.read_text(encoding="utf-8")


def traced(scene: Scene) -> Iterator[str]:
    """Give the spans of runs, as JSON."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trace, "get_tracer", provider.get_tracer)
        instrumented = instrument()
        try:
            for target in scene.targets():
                scene.ran(target)
        finally:
            instrumented.uninstrument()
    yield json.dumps([json.loads(span.to_json()) for span in exporter.get_finished_spans()])
