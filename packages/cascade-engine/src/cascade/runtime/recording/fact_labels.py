"""Fact labels: what a recorded fact is of, as text for people who look into a store."""

from __future__ import annotations

from cascade.graph.path import StructurePath
from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.programs.program import Program
from cascade.spec.durable import FactLabel

_STEPS_SHOWN = 6
"""The last steps of a path that a label shows. As text, the full paths of a deep chain would fill the store."""


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
        text = program.texts[node] = _shortened(program.paths[node])
    return text


def _shortened(path: StructurePath) -> str:
    """Return a path as text: in full, or its last steps if it is deep."""
    steps: list[str] = []
    each: StructurePath | None = path
    while each is not None and each.segment is not None and len(steps) < _STEPS_SHOWN:
        steps.append(str(each.segment))
        each = each.parent
    begin = "root" if each is None or each.segment is None else "..."
    return begin + "".join(reversed(steps))
