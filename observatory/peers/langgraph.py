"""The workloads on LangGraph: a state graph compiled once and invoked often; steps write to channels of the state."""

from __future__ import annotations

import asyncio
import operator
import sqlite3
import tempfile
from itertools import count
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver  # type: ignore[import-not-found,unused-ignore]
from langgraph.graph import END, START, StateGraph  # type: ignore[import-not-found,unused-ignore]
from langgraph.types import RetryPolicy, Send  # type: ignore[import-not-found,unused-ignore]

from observatory import work
from observatory.peers.protocol import Peer, Run, main

Step = dict[str, Any]


class Value(TypedDict):
    value: int


class Countdown(TypedDict):
    left: int
    value: int


class Collected(TypedDict):
    items: list[int]
    values: Annotated[list[Any], operator.add]
    answer: Any


def gathered(old: list[int], new: list[int] | None) -> list[int]:
    """Gather the squares of one round; `None` begins the next one."""
    return [] if new is None else old + new


class Mixed(TypedDict):
    left: int
    value: int
    routed: int
    bonus: int
    squares: Annotated[list[int], gathered]


def limit(steps: int) -> dict[str, int]:
    """LangGraph stops a run after 10,007 steps unless it is told a number: there is no way to say for ever."""
    return {"recursion_limit": steps + 10}


def simple_countdown(size: int) -> Run:
    graph = StateGraph(Countdown)
    graph.add_node("countdown", lambda state: {"left": state["left"] - 1})
    graph.add_edge(START, "countdown")
    graph.add_conditional_edges("countdown", lambda state: "countdown" if state["left"] else END)
    built = graph.compile()
    return lambda salt: built.invoke({"left": size, "value": salt}, limit(size))["value"]


def heavy_countdown(size: int) -> Run:
    graph = StateGraph(Countdown)
    names = [f"add{each}" for each in range(work.CHAIN_PER_ROUND)]
    for name in names:
        graph.add_node(name, lambda state: {"value": work.add_one(state["value"])})
    graph.add_node("heavy", lambda state: {"left": state["left"] - 1})
    for before, after in zip(["heavy", *names[:-1]], names, strict=True):
        graph.add_edge(before, after)
    graph.add_edge(START, "heavy")
    graph.add_conditional_edges(names[-1], lambda state: "heavy" if state["left"] else END)
    built = graph.compile()
    steps = size * (len(names) + 1)
    return lambda salt: built.invoke({"left": size, "value": salt}, limit(steps))["value"]


def mixed_loop(size: int) -> Run:
    def choose(state: Mixed) -> list[Any]:
        left = state["left"]
        squares = [Send("square", {"left": each}) for each in range(left, left + work.MAPPED_PER_ROUND)]
        route = {"even": "half", "odd": "triple"}[work.parity(left)]
        return [route, *(["bonus"] if work.is_odd(left) else []), *squares]

    def add_up(state: Mixed) -> Step:
        value = work.add_up(state["value"], state["routed"], state["bonus"], state["squares"])
        return {"value": value, "left": state["left"] - 1, "bonus": 0, "squares": None}

    graph = StateGraph(Mixed)
    graph.add_node("mixed", lambda state: {})
    graph.add_node("half", lambda state: {"routed": work.half(state["left"])})
    graph.add_node("triple", lambda state: {"routed": work.triple(state["left"])})
    graph.add_node("bonus", lambda state: {"bonus": work.square(state["left"])})
    graph.add_node("square", lambda state: {"squares": [work.square(state["left"])]})
    graph.add_node("add_up", add_up, retry_policy=RetryPolicy(max_attempts=3))
    graph.add_edge(START, "mixed")
    graph.add_conditional_edges("mixed", choose, ["half", "triple", "bonus", "square"])
    for name in ("half", "triple", "bonus", "square"):
        graph.add_edge(name, "add_up")
    graph.add_conditional_edges("add_up", lambda state: "mixed" if state["left"] else END)
    built = graph.compile()

    def run(salt: int) -> Any:
        first = {"left": size, "value": salt, "routed": 0, "bonus": 0, "squares": []}
        return built.invoke(first, limit(3 * size))["value"]

    return run


def chain_graph(size: int) -> Any:
    graph = StateGraph(Value)
    names = [f"add{each}" for each in range(size)]
    for name in names:
        graph.add_node(name, lambda state: {"value": work.add_one(state["value"])})
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph


def chain(size: int) -> Run:
    built = chain_graph(size).compile()
    return lambda salt: built.invoke({"value": salt}, limit(size))["value"]


def fan_out_graph(size: int) -> Any:
    def double(each: int) -> Any:
        return lambda state: {"values": [work.double(state["items"][each])]}

    graph = StateGraph(Collected)
    names = [f"double{each}" for each in range(size)]
    for each, name in enumerate(names):
        graph.add_node(name, double(each))
        graph.add_edge(START, name)
    graph.add_node("total", lambda state: {"answer": work.total(state["values"])})
    graph.add_edge(names, "total")
    graph.add_edge("total", END)
    return graph


def fan_out(size: int) -> Run:
    built = fan_out_graph(size).compile()
    return lambda salt: built.invoke({"items": list(range(salt, salt + size))}, limit(3))["answer"]


def layered_dag(size: int) -> Run:
    def combine(name: str, below: list[str]) -> Any:
        return lambda state: {name: work.combine(*(state[each] for each in below))}

    keys = [[f"n{depth}_{each}" for each in range(size)] for depth in range(size)]
    channels = {key: int for layer in keys for key in layer}
    graph = StateGraph(TypedDict("State", {"answer": int, "first": int, **channels}))  # type: ignore[operator]
    for each, key in enumerate(keys[0]):
        graph.add_node(
            f"at_{key}", lambda state, each=each, key=key: {key: work.source(state["first"] + each)}
        )
        graph.add_edge(START, f"at_{key}")
    for depth, layer in enumerate(work.layers(size), 1):
        for each, inputs in enumerate(layer):
            below = [keys[depth - 1][one] for one in inputs]
            graph.add_node(f"at_{keys[depth][each]}", combine(keys[depth][each], below))
            graph.add_edge([f"at_{key}" for key in dict.fromkeys(below)], f"at_{keys[depth][each]}")
    graph.add_node("total", lambda state: {"answer": work.total([state[key] for key in keys[-1]])})
    graph.add_edge([f"at_{key}" for key in keys[-1]], "total")
    built = graph.compile()
    return lambda salt: built.invoke({"first": salt}, limit(size))["answer"]


def mapped(size: int) -> Run:
    graph = StateGraph(Collected)
    graph.add_node("square", lambda x: {"values": [work.square(x)]})
    graph.add_node("collect", lambda state: {"answer": list(state["values"])})
    graph.add_conditional_edges(START, lambda state: [Send("square", x) for x in state["items"]], ["square"])
    graph.add_edge("square", "collect")
    built = graph.compile()
    return lambda salt: built.invoke({"items": list(range(salt, salt + size))}, limit(3))["answer"]


def sleepers(size: int) -> Run:
    async def sleeper(value: Any) -> Step:
        return {"values": [await work.nap(value)]}

    graph = StateGraph(Collected)
    graph.add_node("sleeper", sleeper)
    graph.add_conditional_edges(
        START, lambda state: [Send("sleeper", x) for x in state["items"]], ["sleeper"]
    )
    built = graph.compile()

    async def run(salt: int) -> Any:
        return (await built.ainvoke({"items": list(range(salt, salt + size))}, limit(3)))["values"]

    return lambda salt: asyncio.run(run(salt))


def saver() -> SqliteSaver:
    """Return a saver with a file of its own."""
    connection = sqlite3.connect(f"{tempfile.mkdtemp()}/runs.db", check_same_thread=False)
    return SqliteSaver(connection)


def saved(built: Any, limits: dict[str, int]) -> Any:
    """Return what invokes a graph in a thread of states of its own, and saves each step before the next one."""
    threads = count(1)

    def invoke(state: Any) -> Any:
        config = {"configurable": {"thread_id": str(next(threads))}, **limits}
        return built.invoke(state, config, durability="sync")

    return invoke


def durable_chain(size: int) -> Run:
    invoke = saved(chain_graph(size).compile(checkpointer=saver()), limit(size))
    return lambda salt: invoke({"value": salt})["value"]


def durable_fan_out(size: int) -> Run:
    invoke = saved(fan_out_graph(size).compile(checkpointer=saver()), limit(3))
    return lambda salt: invoke({"items": list(range(salt, salt + size))})["answer"]


PEER = Peer(
    "langgraph",
    "langgraph",
    {
        "simple_countdown": simple_countdown,
        "heavy_countdown": heavy_countdown,
        "mixed_loop": mixed_loop,
        "chain": chain,
        "fan_out": fan_out,
        "layered_dag": layered_dag,
        "map": mapped,
        "sleepers": sleepers,
        "durable_chain": durable_chain,
        "durable_fan_out": durable_fan_out,
    },
    besides={
        "": "merges what steps write into channels of a state, step by step; may be interrupted and watched as it goes",
        "durable_chain": "saves the whole state after each step, and a run can go on from any of them",
        "durable_fan_out": "saves the whole state after each step, and what each task of a step has written",
    },
    only="steps run in one pool of threads of its own; there is no map in processes",
)

if __name__ == "__main__":
    main(PEER)
