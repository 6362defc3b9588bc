"""Tools to test workflows with, and conformance suites for backends and executors.

A suite says what a state backend, a cache backend or an executor must do. It is a class of plain tests: subclass it,
say how to make the object, and let pytest collect the subclass.

    class TestMyStateBackend(StateBackendConformance):
        def make_backend(self) -> StateBackend:
            return MyStateBackend(run_id="run")
"""

from cascade.testing.conformance.cache_conformance import CacheBackendConformance
from cascade.testing.conformance.durable_conformance import DurableStateBackendConformance
from cascade.testing.conformance.executor_conformance import ExecutorConformance
from cascade.testing.conformance.state_conformance import StateBackendConformance
from cascade.testing.conformance.value_store_conformance import ValueStoreConformance
from cascade.testing.failing import FailingCache, Failure, failing_state
from cascade.testing.virtual_time import VirtualTimeError, VirtualTimeLoop, run_in_virtual_time

__all__ = [
    "CacheBackendConformance",
    "DurableStateBackendConformance",
    "ExecutorConformance",
    "FailingCache",
    "Failure",
    "StateBackendConformance",
    "ValueStoreConformance",
    "VirtualTimeError",
    "VirtualTimeLoop",
    "failing_state",
    "run_in_virtual_time",
]
