"""Make the pictures that the README shows.

    hatch run pictures

They are the same on every machine: the boxes are placed without Graphviz, and the run that is shown is made up.
"""

from collections.abc import Callable
from pathlib import Path

import cascade as cs
from cascade.runtime import SkipReason
from cascade.runtime.events import Status
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

PICTURES: dict[str, Callable[[], str]] = {
    "workflow.svg": workflow_picture,
    "timeline.svg": timeline_picture,
}
"""What makes each picture, by the name of its file."""


if __name__ == "__main__":
    for name, picture in PICTURES.items():
        (HERE / name).write_text(picture(), encoding="utf-8")
