"""What is left of a request whose worker has gone: asked for on the machines of the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cascade.adapters.executors.remote_calls.worker_journal import Remains, find_remains

_find = ray.remote(num_cpus=0)(find_remains)


async def remains_of(request: bytes) -> Remains | None:
    """Return what the worker that had a request has left, after it has ended; `None` if no machine knows of one.

    Then the request has not come to a worker, or its machine has gone too.
    """
    machines: Callable[[], list[dict[str, Any]]] = ray.nodes
    asked = [
        _find.options(scheduling_strategy=NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)).remote(
            request
        )
        for each in machines()
        if each["Alive"]
    ]
    answers = await asyncio.gather(*map(_answer, asked))
    return next((each for each in answers if each is not None), None)


async def _answer(reference: Any) -> Remains | None:
    try:
        found: Remains | None = await asyncio.wrap_future(reference.future())
    except RayError:  # that machine has gone too
        return None
    return found
