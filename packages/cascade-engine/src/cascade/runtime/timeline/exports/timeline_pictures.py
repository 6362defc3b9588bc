"""Pictures of a run: its chart, and its graph in colours."""

from __future__ import annotations

import time

from cascade.graph.drawing.draw import draw
from cascade.graph.drawing.picture import Picture
from cascade.graph.drawing.sketches import Mark
from cascade.runtime.timeline.call_marks import marks_of
from cascade.runtime.timeline.charts.chart import chart_of, empty_chart
from cascade.runtime.timeline.ended_calls import EndedCalls
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.timeline_graphs import marked_graph
from cascade.spec.errors import SpecError


def chart_picture(run: RunTimeline | None) -> Picture:
    """Return the chart of a run as it is now; without a run, one that says so."""
    if run is None:
        return Picture(empty_chart(), "no run yet")
    return Picture(chart_of(run, time.monotonic()), f"run {run.run_id}")


def graph_picture(run: RunTimeline) -> Picture:
    """Return the graph of the target of a run, with what became of its calls.

    Raises:
        SpecError: If the timeline keeps no trees.
    """
    marked = marked_graph(run, EndedCalls(run))
    if marked is None:
        raise SpecError(
            f"the timeline keeps no tree of run {run.run_id!r}", "use a Timeline with times and max_calls > 0"
        )
    return draw(*marked)


def run_marks(run: RunTimeline) -> dict[str, Mark]:
    """Return what became of the calls of the target of a run, by node id."""
    return marks_of(run, EndedCalls(run))
