"""A plan as text: one line per node, in the order in which they would run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cascade.cli.text_table import text_table
from cascade.graph import Plan

_SHOWN = 6
"""Node ids that a line lists; a task that gathers thousands has their number in place of the others."""


def plan_table(plan: Plan) -> str:
    """Return a table of the stages, their nodes and what each waits for; what shares a stage may run at once."""
    return text_table([("STAGE", "NODE", "TASK", "KIND", "WAITS FOR"), *_rows(plan)])


def _rows(plan: Plan) -> Iterator[tuple[str, str, str, str, str]]:
    nodes = plan.graph.nodes
    ids = [node.id for node in nodes]
    positions = iter(plan.order)
    waits = plan.graph.dependencies()
    for number, stage in enumerate(plan, start=1):
        for node, position in zip(stage, positions, strict=False):
            sources = _listed([ids[source] for source in waits[position]])
            yield str(number), node.id, " ".join(node.name.split()), node.node_type.value, sources


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
