"""An executor that treats results as a worker does: what it gives was put into the value store, and came from there."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

from cascade.adapters.executors.arrivals import arrived
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.values.large_results import results_in_context
from cascade.adapters.values.made_values import told_result
from cascade.adapters.values.stored_arguments import StoredArgument, read_argument
from cascade.graph import Node
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.internal_tasks import INTERNAL_TASKS

_AT_HOME = bytes(100)


class PuttingExecutor(LocalExecutor):
    """Makes calls here. `put` counts the results that went through a value store. Handles may come of them."""

    reads_value_stores = True

    def __init__(self) -> None:
        super().__init__()
        self.put = 0

    async def execute(self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        args, kwargs = await asyncio.to_thread(_read, (args, kwargs))  # as a worker has them
        value = await super().execute(node, args, kwargs)
        results = results_in_context.get()
        if results is None or node.task in INTERNAL_TASKS or isinstance(value, StandsForValue):
            return value
        told = await asyncio.to_thread(told_result, results.packed, value, lambda _: _AT_HOME)
        if told == _AT_HOME:
            return value
        self.put += 1
        return await arrived(pickle.loads(told), self)


def _read(given: Any) -> Any:
    """Return arguments with values from the value store in the places of what stands for them."""
    kind = type(given)
    if kind is StoredArgument:
        return read_argument(given.place, given.pointer)
    if kind is dict:
        return {key: _read(each) for key, each in given.items()}
    return kind(map(_read, given)) if kind in (list, tuple) else given
