"""Fact labels: what a recorded fact is of, as text for people who look into a store."""

from __future__ import annotations

from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.programs.program import Program
from cascade.runtime.recording.places import places_of
from cascade.spec.durable import FactLabel


def label_of(job: Job) -> FactLabel:
    """Return the label of the facts of a call."""
    return FactLabel(job.name, _path_text(job.frame.program, job.position) + job.suffix)


def label_of_node(frame: Frame, node: int) -> FactLabel:
    """Return the label of the facts of a node that is called as it stands, and is no item of a map."""
    # Once per node of every recorded fan-out: watched by observatory/benchmarks/bench_durability.py.
    text = frame.program.texts.get(node)
    return FactLabel(frame.lazies[node].task.name, _path_text(frame.program, node) if text is None else text)


def _path_text(program: Program, node: int) -> str:
    """Return the path of a node as text, made once for all runs of a structure."""
    text = program.texts.get(node)
    if text is None:
        text = program.texts[node] = places_of(program.structure).text(node)
    return text
