"""The default solver."""

from __future__ import annotations

from cascade.graph.model import Graph
from cascade.graph.planning import Plan, stages


class NativeSolver:
    """Plans by stages: each node in the earliest stage after all that it may wait for."""

    def resolve(self, graph: Graph) -> Plan:
        """Return the stages of `graph`.

        Raises:
            CycleError: If tasks wait for each other; it names them.
        """
        return stages(graph)
