"""What is left of a request whose worker has gone: asked for on the machines of the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cascade.adapters.executors.ray_cluster.session import Session
from cascade.adapters.executors.remote_calls.worker_journal import Remains, find_remains

_find = ray.remote(num_cpus=0)(find_remains)


async def remains_of(session: Session, request: bytes) -> Remains | None:
    """Return what the worker that had a request has left, after it has ended; `None` if no machine knows of one.

    Then the request has not come to a worker, or its machine has gone too.

    Raises:
        ClusterGoneError: If Ray has gone, or goes meanwhile.
    """
    machines: Callable[[], list[dict[str, Any]]] = ray.nodes
    asked = [
        _find.options(scheduling_strategy=NodeAffinitySchedulingStrategy(each["NodeID"], soft=False)).remote(
            request
        )
        for each in await session.ask(machines)
        if each["Alive"]
    ]
    answers = await asyncio.gather(*(_answer(session, each) for each in asked))
    return next((each for each in answers if each is not None), None)


async def _answer(session: Session, reference: Any) -> Remains | None:
    try:
        answer = asyncio.wrap_future(reference.future())
        await session.until_done(answer)
        found: Remains | None = answer.result()
    except RayError:  # that machine has gone too
        return None
    return found
