"""Why: for each node of a workflow, whether a run would find its value in a cache, and why not. No task is called.

What is known is followed as a run would: inputs are read, the values of hits make the keys of what takes them, known
selectors and conditions decide. Where a value is missing, what depends on it is unknown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from cascade.adapters import store_urls as urls
from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.values.value_store import ValueStore
from cascade.graph.build import build_graph
from cascade.runtime.explaining.cache_inspector import CacheInspector
from cascade.runtime.explaining.explanation import Explanation
from cascade.runtime.explaining.verdicts import Answer, Before, ItemCount, Judgement, Verdict
from cascade.runtime.programs.program import compile_program
from cascade.runtime.running.starting.admission import check_inputs
from cascade.runtime.stores import shared_options
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.inputs.workflow import WorkflowSpec
from cascade.spec.protocols import CacheBackend, Codec
from cascade.spec.targets import made_by
from cascade.spec.task import Task

__all__ = ["Answer", "Before", "ItemCount", "Judgement", "Verdict", "explain"]


async def explain(  # noqa: PLR0913 - what a user may say by keyword
    target: object,
    cache: CacheBackend | str,
    *,
    params: Mapping[str, object] | None = None,
    spec: WorkflowSpec | None = None,
    codec: Codec | str | None = None,
    values: ValueStore | str | None = None,
    clock: Callable[[], float] = time.time,
) -> list[Judgement]:
    """Return for each node of a target what a run would find in `cache`, and why not, in the plan's order; run nothing.

    `target`, `params` and `spec` are as for `Engine.run`. A cache given by its URL is opened, not made if it is not
    there, and closed; `codec` is that with which its values were put, and `values` where the large ones are. `clock` is
    that of the cache. Cached values are decoded to make the keys of what takes them.

    Raises:
        CascadeError: If the target can't be run, or an input is missing or wrong; as `Engine.run` would.
        StoreNotFoundError: If the URL is that of a file which is not there.
        StoreError: If the cache can't be read.
    """
    if callable(target) and not isinstance(target, (Task, StandsForValue)):
        target, spec = made_by(target)
    graph = build_graph(target)
    inputs = dict(params or {})
    program = compile_program(graph, NativeSolver().resolve(graph))
    assert graph.tree is not None
    check_inputs(graph.tree.lazies, spec, inputs)
    if not isinstance(cache, str):
        return await Explanation(graph, program, inputs, CacheInspector(cache, clock)).judgements()
    backend = urls.cache_factory(cache, create=False, **shared_options({"codec": codec, "values": values}))()
    try:
        return await Explanation(graph, program, inputs, CacheInspector(backend, clock)).judgements()
    finally:
        await backend.close()
