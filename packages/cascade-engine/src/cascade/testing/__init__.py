"""Testing: what a state backend, a cache backend or an executor must do, as tests that anybody can run.

Each suite is a class of plain tests: subclass it, say how to make the thing, and let pytest collect the subclass.

    class TestMyStateBackend(StateBackendConformance):
        def make_backend(self) -> StateBackend:
            return MyStateBackend(run_id="run")
"""

from cascade.testing.cache import CacheBackendConformance
from cascade.testing.durable import DurableStateBackendConformance
from cascade.testing.executor import ExecutorConformance
from cascade.testing.state import StateBackendConformance

__all__ = [
    "CacheBackendConformance",
    "DurableStateBackendConformance",
    "ExecutorConformance",
    "StateBackendConformance",
]
