"""The workloads on pydantic-graph: a graph of async steps, built once and run often; what meets, meets in a join."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic_graph import (  # type: ignore[import-not-found,unused-ignore]
    GraphBuilder,
    reduce_dict_update,
    reduce_null,
)

from observatory import work
from observatory.peers.protocol import Peer, Run, main

Step = Callable[[Any], Any]


@dataclass
class State:
    """What steps read and write beside their inputs."""

    left: int = 0
    values: dict[Any, int] = field(default_factory=dict)


def step(builder: Any, name: str, function: Step) -> Any:
    """Add a step that calls `function` with its context."""

    async def call(ctx: Any) -> Any:
        return function(ctx)

    return builder.step(call=call, node_id=name)


def runner(builder: Any, state: Callable[[], State | None] = lambda: None) -> Run:
    graph = builder.build()
    return lambda salt: asyncio.run(graph.run(state=state(), inputs=salt))


def new_builder() -> Any:
    return GraphBuilder(state_type=object, input_type=object, output_type=object)


def loop_back(builder: Any, last: Any, first: Any) -> None:
    """From `last`, which gives `(left, value)`: to `first` again while something is left, and else to the end."""
    decision = builder.decision()
    decision = decision.branch(builder.match(tuple, matches=lambda given: given[0] > 0).to(first))
    out = builder.match(tuple).transform(lambda ctx: ctx.inputs[1]).to(builder.end_node)
    builder.add(builder.edge_from(last).to(decision.branch(out)))


def simple_countdown(size: int) -> Run:
    builder = new_builder()
    start = step(builder, "start", lambda ctx: (size, ctx.inputs))
    countdown = step(builder, "countdown", lambda ctx: (ctx.inputs[0] - 1, ctx.inputs[1]))
    builder.add_edge(builder.start_node, start)
    builder.add_edge(start, countdown)
    loop_back(builder, countdown, countdown)
    return runner(builder)


def heavy_countdown(size: int) -> Run:
    builder = new_builder()
    start = step(builder, "start", lambda ctx: (size, ctx.inputs))
    heavy = step(builder, "heavy", lambda ctx: (ctx.inputs[0] - 1, ctx.inputs[1]))
    builder.add_edge(builder.start_node, start)
    builder.add_edge(start, heavy)
    last = heavy
    for each in range(work.CHAIN_PER_ROUND):
        adding = step(builder, f"add{each}", lambda ctx: (ctx.inputs[0], work.add_one(ctx.inputs[1])))
        builder.add_edge(last, adding)
        last = adding
    loop_back(builder, last, heavy)
    return runner(builder)


def chain(size: int) -> Run:
    builder = new_builder()
    last = builder.start_node
    for each in range(size):
        adding = step(builder, f"add{each}", lambda ctx: work.add_one(ctx.inputs))
        builder.add_edge(last, adding)
        last = adding
    builder.add_edge(last, builder.end_node)
    return runner(builder)


def fan_out(size: int) -> Run:
    builder = new_builder()

    def double(each: int) -> Step:
        return lambda ctx: {each: work.double(ctx.inputs + each)}

    doubles = [step(builder, f"double{each}", double(each)) for each in range(size)]
    join = builder.join(reduce_dict_update, initial_factory=dict)
    total = step(builder, "total", lambda ctx: work.total(list(ctx.inputs.values())))
    builder.add(
        builder.edge_from(builder.start_node).to(*doubles),
        builder.edge_from(*doubles).to(join),
        builder.edge_from(join).to(total),
        builder.edge_from(total).to(builder.end_node),
    )
    return runner(builder)


def layered_dag(size: int) -> Run:
    """Nodes hand their values on through the state and layers meet in joins: a join takes one fork's branches only."""
    builder = new_builder()

    def source(each: int) -> Step:
        def call(ctx: Any) -> None:
            ctx.state.values[0, each] = work.source(ctx.inputs + each)

        return call

    def combine(depth: int, each: int, inputs: tuple[int, int, int]) -> Step:
        def call(ctx: Any) -> None:
            values = ctx.state.values
            ctx.state.values[depth, each] = work.combine(*(values[depth - 1, one] for one in inputs))

        return call

    steps = [[step(builder, f"n0_{each}", source(each)) for each in range(size)]]
    for depth, layer in enumerate(work.layers(size), 1):
        steps.append(
            [
                step(builder, f"n{depth}_{each}", combine(depth, each, inputs))
                for each, inputs in enumerate(layer)
            ]
        )
    last = builder.start_node
    for layer in steps:
        join = builder.join(reduce_null, initial=None)
        builder.add(builder.edge_from(last).to(*layer), builder.edge_from(*layer).to(join))
        last = join
    total = step(
        builder,
        "total",
        lambda ctx: work.total([ctx.state.values[size - 1, each] for each in range(size)]),
    )
    builder.add(builder.edge_from(last).to(total), builder.edge_from(total).to(builder.end_node))
    return runner(builder, State)


def over_items(size: int, function: Callable[[int], Any]) -> Run:
    """A map: a join forgets the order of what it joins, so each item brings its place."""
    builder = new_builder()

    async def call(ctx: Any) -> dict[int, Any]:
        value = function(ctx.inputs)
        return {ctx.inputs: await value if asyncio.iscoroutine(value) else value}

    items = step(builder, "items", lambda ctx: range(ctx.inputs, ctx.inputs + size))
    each = builder.step(call=call, node_id="each")
    join = builder.join(reduce_dict_update, initial_factory=dict)
    ordered = step(builder, "ordered", lambda ctx: [ctx.inputs[key] for key in sorted(ctx.inputs)])
    builder.add(
        builder.edge_from(builder.start_node).to(items),
        builder.edge_from(items).map().to(each),
        builder.edge_from(each).to(join),
        builder.edge_from(join).to(ordered),
        builder.edge_from(ordered).to(builder.end_node),
    )
    return runner(builder)


def mapped(size: int) -> Run:
    return over_items(size, work.square)


def sleepers(size: int) -> Run:
    return over_items(size, work.nap)


PEER = Peer(
    "pydantic-graph",
    "pydantic-graph",
    {
        "simple_countdown": simple_countdown,
        "heavy_countdown": heavy_countdown,
        "chain": chain,
        "fan_out": fan_out,
        "layered_dag": layered_dag,
        "map": mapped,
        "sleepers": sleepers,
    },
    {"mixed_loop": "no retry policy"},
    besides={"": "typed nodes with a state"},
    only="measured in memory and in the calling thread alone; it keeps no record of a run",
)

if __name__ == "__main__":
    main(PEER)
