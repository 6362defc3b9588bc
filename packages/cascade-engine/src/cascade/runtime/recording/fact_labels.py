"""Fact labels: what a recorded fact is of, as text for people who look into a store."""

from __future__ import annotations

from collections.abc import Sequence

from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.recording.places import places_of
from cascade.spec.durable import FactLabel


def label_of(job: Job) -> FactLabel:
    """Return the label of the facts of a call."""
    return _label(job.name, label_of_node(job.frame, job.position).place + job.suffix)


def label_of_node(frame: Frame, node: int) -> FactLabel:
    """Return the label of the facts of a node that is called as it stands, and is no item of a map."""
    return labels_of(frame, (node,))[0]


def labels_of(frame: Frame, nodes: Sequence[int]) -> list[FactLabel]:
    """Return the labels of the facts of such nodes, which are made once for all runs of a structure."""
    # Once per node of every recorded fan-out: watched by observatory/benchmarks/bench_durability.py.
    known, lazies = frame.program.labels, frame.lazies
    text = places_of(frame.program.structure).text
    for node in nodes:
        if node not in known:
            known[node] = _label(lazies[node].task.name, text(node))
    return [known[node] for node in nodes]


def _label(task: str, place: str) -> FactLabel:
    """Return a label; halves of surrogate pairs, which no store could keep as text, are spelt out."""
    if task.isascii() and place.isascii():
        return FactLabel(task, place)
    return FactLabel(*(text.encode("utf-8", "backslashreplace").decode() for text in (task, place)))
