"""The workloads on Hamilton: functions named after their values, one driver built once and executed often."""

from __future__ import annotations

import asyncio
import inspect
from types import ModuleType
from typing import Any

from hamilton import ad_hoc_utils, async_driver, driver  # type: ignore[import-not-found,unused-ignore]
from hamilton.execution.executors import (  # type: ignore[import-not-found,unused-ignore]
    SynchronousLocalTaskExecutor,
)
from hamilton.function_modifiers import (  # type: ignore[import-not-found,unused-ignore]
    group,
    inject,
    parameterize,
    source,
)
from hamilton.htypes import Collect, Parallelizable  # type: ignore[import-not-found,unused-ignore]

from observatory import work
from observatory.peers.protocol import Peer, Run, main


def module_of(*functions: Any) -> ModuleType:
    module: ModuleType = ad_hoc_utils.create_temporary_module(*functions)
    return module


def build(*functions: Any) -> Any:
    return driver.Builder().with_modules(module_of(*functions)).build()


def total_of(names: list[str]) -> Any:
    def answer(values: list[int]) -> int:
        return work.total(values)

    answer.__annotations__ = {"values": list[int], "return": int}
    return inject(values=group(*map(source, names)))(answer)


def chain(size: int) -> Run:
    def add_one(value: int) -> int:
        return work.add_one(value)

    add_one.__annotations__ = {"value": int, "return": int}
    steps = {f"n{each}": {"value": source(f"n{each - 1}")} for each in range(1, size + 1)}
    built = build(parameterize(**steps)(add_one))
    last = f"n{size}"
    return lambda salt: built.execute([last], inputs={"n0": salt})[last]


def fan_out(size: int) -> Run:
    def double(value: int) -> int:
        return work.double(value)

    double.__annotations__ = {"value": int, "return": int}
    doubles = {f"double{each}": {"value": source(f"start{each}")} for each in range(size)}
    built = build(parameterize(**doubles)(double), total_of(list(doubles)))

    def run(salt: int) -> Any:
        inputs = {f"start{each}": salt + each for each in range(size)}
        return built.execute(["answer"], inputs=inputs)["answer"]

    return run


def layered_dag(size: int) -> Run:
    def combine(a: int, b: int, c: int) -> int:
        return work.combine(a, b, c)

    combine.__annotations__ = {"a": int, "b": int, "c": int, "return": int}
    nodes = {
        f"n{depth}_{each}": {
            key: source(f"n{depth - 1}_{below}") for key, below in zip("abc", inputs, strict=True)
        }
        for depth, layer in enumerate(work.layers(size), 1)
        for each, inputs in enumerate(layer)
    }
    built = build(parameterize(**nodes)(combine), total_of([f"n{size - 1}_{each}" for each in range(size)]))

    def run(salt: int) -> Any:
        inputs = {f"n0_{each}": salt + each for each in range(size)}
        return built.execute(["answer"], inputs=inputs)["answer"]

    return run


def mapped(size: int) -> Run:
    def item(start: int, size: int) -> Any:
        yield from range(start, start + size)

    def squared(item: int) -> int:
        return work.square(item)

    def answer(squared: Any) -> list[int]:
        return list(squared)

    item.__annotations__ = {"start": int, "size": int, "return": Parallelizable[int]}
    squared.__annotations__ = {"item": int, "return": int}
    answer.__annotations__ = {"squared": Collect[int], "return": list[int]}
    built = (
        driver.Builder()
        .with_modules(module_of(item, squared, answer))
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_local_executor(SynchronousLocalTaskExecutor())
        .with_remote_executor(SynchronousLocalTaskExecutor())
        .build()
    )
    return lambda salt: built.execute(["answer"], inputs={"start": salt, "size": size})["answer"]


def nap_at(each: int) -> Any:
    """Return a coroutine function of its own for each: one that decorators have multiplied is not awaited."""

    async def nap(**values: int) -> int:
        return await work.nap(values[start])

    start = f"start{each}"
    parameter = inspect.Parameter(start, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int)
    nap.__name__ = f"nap{each}"
    nap.__signature__ = inspect.Signature([parameter], return_annotation=int)  # type: ignore[attr-defined]
    nap.__annotations__ = {start: int, "return": int}
    return nap


def sleepers(size: int) -> Run:
    naps = [f"nap{each}" for each in range(size)]
    module = module_of(*map(nap_at, range(size)))

    async def execute(salt: int) -> Any:
        built = await async_driver.Builder().with_modules(module).build()
        inputs = {f"start{each}": salt + each for each in range(size)}
        done = await built.execute(naps, inputs=inputs)
        return [done[each] for each in naps]

    return lambda salt: asyncio.run(execute(salt))


NO_LOOPS = "no loops: a DAG of named values in which each is computed once"

PEER = Peer(
    "sf-hamilton",
    "sf-hamilton",
    {
        "chain": chain,
        "fan_out": fan_out,
        "layered_dag": layered_dag,
        "map": mapped,
        "sleepers": sleepers,
    },
    {
        "simple_countdown": NO_LOOPS,
        "heavy_countdown": NO_LOOPS,
        "mixed_loop": f"{NO_LOOPS}; routes are chosen when the DAG is built, no retry policy",
    },
    besides={"": "names each value, checks the types of what goes from function to function"},
    only="measured in memory and in the calling thread alone; it keeps no record of a run",
)

if __name__ == "__main__":
    main(PEER)
