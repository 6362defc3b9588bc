"""A plan as text: one line per node, in the order in which they would run."""

from __future__ import annotations

from cascade.cli.tables.text_table import fitted_table
from cascade.graph import Plan
from cascade.graph.planning import PLAN_HEADER


def plan_table(plan: Plan) -> str:
    """Return a table of the stages, their nodes and what each waits for; what shares a stage may run at once."""
    return fitted_table(PLAN_HEADER, [*plan.rows()], drop=("KIND",), broken=("TASK", "WAITS FOR"))
