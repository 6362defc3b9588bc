"""The table of `cascade plan`: a line for each node, stage by stage."""

from __future__ import annotations

from cascade.cli.tables.text_table import fitted_table
from cascade.graph import Plan
from cascade.graph.planning import PLAN_HEADER


def plan_table(plan: Plan) -> str:
    """Return a plan as a table that fits the terminal."""
    return fitted_table(PLAN_HEADER, [*plan.rows()], drop=("KIND",), broken=("TASK", "WAITS FOR"))
