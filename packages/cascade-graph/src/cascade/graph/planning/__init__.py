"""Planning: the stages of a graph, and the order in which a run makes its calls."""

from cascade.graph.planning.plans import PLAN_HEADER, Plan
from cascade.graph.planning.staging import plan, stages

__all__ = ["PLAN_HEADER", "Plan", "plan", "stages"]
