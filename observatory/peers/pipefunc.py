"""The workloads on pipefunc: functions wired by the names of their outputs, a pipeline built once and run often."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pipefunc import PipeFunc, Pipeline  # type: ignore[import-not-found,unused-ignore]

from observatory import work
from observatory.peers.protocol import Peer, Run, main


def pipeline(functions: list[Any]) -> Any:
    return Pipeline(functions, validate_type_annotations=False)


def taking(names: list[str], function: Callable[[list[int]], Any]) -> Callable[..., Any]:
    """Return `function` with a parameter for each of these names in place of its list: pipefunc wires by name."""

    def call(**values: int) -> Any:
        return function(list(values.values()))

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def chain(size: int) -> Run:
    steps = [
        PipeFunc(work.add_one, output_name=f"n{each}", renames={"value": f"n{each - 1}"})
        for each in range(1, size + 1)
    ]
    built = pipeline(steps)
    return lambda salt: built.run(f"n{size}", kwargs={"n0": salt})


def fan_out(size: int) -> Run:
    doubles = [
        PipeFunc(work.double, output_name=f"double{each}", renames={"value": f"start{each}"})
        for each in range(size)
    ]
    names = [f"double{each}" for each in range(size)]
    built = pipeline([*doubles, PipeFunc(taking(names, work.total), output_name="answer")])
    return lambda salt: built.run("answer", kwargs={f"start{each}": salt + each for each in range(size)})


def layered_dag(size: int) -> Run:
    nodes = [
        PipeFunc(
            work.combine,
            output_name=f"n{depth}_{each}",
            renames={key: f"n{depth - 1}_{below}" for key, below in zip("abc", inputs, strict=True)},
        )
        for depth, layer in enumerate(work.layers(size), 1)
        for each, inputs in enumerate(layer)
        if len(set(inputs)) == 3
    ]
    nodes += [
        _with_repeated_inputs(depth, each, inputs)
        for depth, layer in enumerate(work.layers(size), 1)
        for each, inputs in enumerate(layer)
        if len(set(inputs)) < 3
    ]
    names = [f"n{size - 1}_{each}" for each in range(size)]
    built = pipeline([*nodes, PipeFunc(taking(names, work.total), output_name="answer")])
    return lambda salt: built.run("answer", kwargs={f"n0_{each}": salt + each for each in range(size)})


def _with_repeated_inputs(depth: int, each: int, inputs: tuple[int, ...]) -> Any:
    """Two parameters can't be renamed to one name, so a node that takes an input twice unpacks it itself."""
    names = list(dict.fromkeys(inputs))

    def combine(values: list[int]) -> int:
        by_name = dict(zip(names, values, strict=True))
        a, b, c = inputs
        return work.combine(by_name[a], by_name[b], by_name[c])

    below = [f"n{depth - 1}_{name}" for name in names]
    return PipeFunc(taking(below, combine), output_name=f"n{depth}_{each}")


def mapped(size: int) -> Run:
    built = pipeline([PipeFunc(work.square, output_name="y", mapspec="x[i] -> y[i]")])

    def run(salt: int) -> Any:
        items = list(range(salt, salt + size))
        results = built.map({"x": items}, parallel=False, storage="dict")
        return list(results["y"].output)

    return run


NO_LOOPS = "no loops: a DAG of named outputs in which each is computed once"

PEER = Peer(
    "pipefunc",
    "pipefunc",
    {"chain": chain, "fan_out": fan_out, "layered_dag": layered_dag, "map": mapped},
    {
        "simple_countdown": NO_LOOPS,
        "heavy_countdown": NO_LOOPS,
        "mixed_loop": f"{NO_LOOPS}; no conditions, no retry policy",
        "sleepers": "no async tasks: functions run in executors, nobody awaits a coroutine",
    },
    besides={"": "maps over axes of arrays, with the names of values"},
    only="measured in memory and in the calling thread alone; it keeps no record of a run",
)

if __name__ == "__main__":
    main(PEER)
