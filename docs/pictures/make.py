"""Make the pictures that the README shows.

    hatch run pictures

They are the same on every machine: the boxes are placed without Graphviz, and the run that is shown is made up.
"""

import inspect
import io
import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, Group
from rich.text import Text

import cascade as cs
from cascade.cli.progress_display.pace import Pace
from cascade.cli.progress_display.progress_lines import progress_lines
from cascade.runtime import SkipReason
from cascade.runtime.events import Status
from cascade.runtime.progress.run_progress import CallFailure, RunProgress, TaskProgress, Waiting
from cascade.runtime.timeline.entries import OneCall
from cascade.runtime.timeline.views import Place, Retry

HERE = Path(__file__).parent


@cs.task
def stations(country: str) -> list[str]:
    raise NotImplementedError


@cs.task(mode="thread", retry=cs.RetryPolicy(max_attempts=3))
def measure(station: str) -> float:
    raise NotImplementedError


@cs.task
def is_alarming(values: list[float]) -> bool:
    raise NotImplementedError


@cs.task
def warn(values: list[float]) -> str:
    raise NotImplementedError


@cs.task
def summarise(values: list[float]) -> str:
    raise NotImplementedError


@cs.task
def publish(text: str) -> None:
    raise NotImplementedError


def workflow() -> cs.LazyResult[None]:
    """Return a workflow that has some of everything; nothing of it is ever run."""
    values = measure.map(stations(cs.Param("country", "NO")))
    text = cs.Router(selector=is_alarming(values), routes={True: warn(values), False: summarise(values)})
    return publish(text)


def workflow_picture() -> str:
    """Return the picture of the workflow."""
    return cs.draw(workflow(), use_dot=False).svg


def timeline_picture() -> str:
    """Return the chart of a run of the workflow, whose calls took what stands here."""
    timeline = cs.Timeline()
    run = timeline.begin_run("weather", 0.0, ("country",))
    run.add(_call("stations", Place(0, 1), (0.0, 0.0, 0.21)))
    free = [0.21] * WORKERS
    for item in range(24):
        worker = free.index(min(free))
        began, seconds = free[worker], 0.2 + 0.07 * (item * 7 % 5)
        attempts = 2 if item in (5, 14) else 1
        if attempts > 1:
            run.add_retry(Retry(Place(0, 2, item), "measure", 1, began + 0.3, 0.05, "TimeoutError"))
            seconds += 0.35
        free[worker] = began + seconds
        run.add(_call("measure", Place(0, 2, item), (began, began, free[worker]), attempt=attempts))
    done = max(free)
    run.add(_call("measure", Place(0, 2), (0.21, 0.21, done), is_map=True))
    run.add_skip(Place(0, 5), "summarise", SkipReason.PRUNED)
    for number, (name, wait, seconds) in enumerate(
        (("is_alarming", 0.0, 0.08), ("warn", 0.0, 0.34), ("publish", 0.25, 0.29)), 3
    ):
        run.add(_call(name, Place(0, number), (done, done + wait, done + wait + seconds)))
        done += wait + seconds
    run.status, run.ended = Status.SUCCEEDED, done
    return timeline.draw().svg


def _call(
    task: str, place: Place, times: tuple[float, float, float], *, attempt: int = 1, is_map: bool = False
) -> OneCall:
    """Return a call that was queued, began and ended at these times."""
    return OneCall(place, (task, attempt, *times, Status.SUCCEEDED, "", None, is_map, ()))


WORKERS = 4


def progress_picture() -> str:
    """Return what a terminal shows of a run of the workflow that is in the middle of its map."""
    pace = Pace()
    for second in range(13):
        pace.note(_progress(second + 12))
    lines = progress_lines(_progress(24), pace, 100, 12)
    console = Console(file=io.StringIO(), record=True, width=100, force_terminal=True, highlight=False)
    console.print(Text("$ cascade run weather.py --country NO", "bold"), Group(*lines), sep="\n")
    return console.export_svg(title="cascade run", unique_id="progress", code_format=_PLAIN_FONTS)


def _progress(second: int) -> RunProgress:
    """Return how far the run had come after so many seconds."""
    done = 26 * second
    tasks = (
        TaskProgress("publish", total=1),
        TaskProgress("stations", done=1, total=1),
        TaskProgress("is_alarming", total=1),
        TaskProgress("measure", done, 1012, running=WORKERS, cached=118, retried=second // 4),
        TaskProgress("warn", total=1),
        TaskProgress("summarise", total=1),
    )
    waiting = (Waiting("measure", "waits for antenna=1", 8),)
    failure = CallFailure("measure", "n2[571]", "TimeoutError: no answer after 2 s", retried=True)
    return RunProgress("weather", float(second), tasks=tasks, waiting=waiting, last_failure=failure)


# Rich's own format loads a font from elsewhere: this picture asks for nothing.
_PLAIN_FONTS = re.sub(
    r"@font-face \{\{.*?\}\}",
    "",
    inspect.signature(Console.export_svg).parameters["code_format"].default,
    flags=re.DOTALL,
)


PICTURES: dict[str, Callable[[], str]] = {
    "workflow.svg": workflow_picture,
    "timeline.svg": timeline_picture,
    "progress.svg": progress_picture,
}
"""What makes each picture, by the name of its file."""


if __name__ == "__main__":
    for name, picture in PICTURES.items():
        (HERE / name).write_text(picture(), encoding="utf-8")
