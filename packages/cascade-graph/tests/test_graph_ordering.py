"""Claims about the order of a plan: it holds few values at a time where that of the stages holds many."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

import cascade as cs
from cascade.graph import Edge, Graph, Node, Plan, build_graph, critical_path, plan, stages


@cs.task
def make(*given: object) -> int:
    return 1


def pairs(number: int) -> cs.LazyResult[int]:
    return make(*[make(make(each)) for each in range(number)])


def comes_after_all_it_waits_for(made: Plan) -> bool:
    rank = {position: place for place, position in enumerate(made.order)}
    waits = made.graph.dependencies()
    return all(rank[source] < rank[position] for position in rank for source in waits[position])


def _waits(graph: Graph) -> list[tuple[Node, Sequence[int]]]:
    return list(zip(graph.nodes, graph.dependencies(), strict=True))


def most_held(made: Plan) -> int:
    """How many values of the first stage are held at one time."""
    waits, left = made.graph.dependencies(), set(made.order)
    held: set[int] = set()
    most = 0
    for position in made.order:
        left.discard(position)
        held = {each for each in held if any(each in waits[other] for other in left)}
        held |= {position} if not waits[position] else set()
        most = max(most, len(held))
    return most


@pytest.mark.parametrize("number", [10, 50, 63])
def test_pairs_are_ordered_depth_first(number: int) -> None:
    """A reduction follows its load; the stages are what they were."""
    made = plan(pairs(number))
    assert made.window == 1
    assert [len(stage) for stage in made] == [number, number, 1]
    assert comes_after_all_it_waits_for(made)
    assert most_held(made) == 1
    assert sorted(made.order) == sorted(made.by_stages) == list(range(2 * number + 1))


def test_many_pairs_are_ordered_by_windows() -> None:
    """In a large graph calls that are alike stand together, a few of them at a time."""
    made = plan(pairs(500))
    assert made.window == 32
    assert comes_after_all_it_waits_for(made)
    assert most_held(made) == 16


def test_other_graphs_keep_the_order_of_their_stages() -> None:
    """Chains, fan-outs, a few pairs, dense layers: no order of theirs holds half as many values."""
    chain = make()
    for _ in range(100):
        chain = make(chain)
    source = make()
    draw = random.Random(0)
    layer = [make(each) for each in range(20)]
    for _ in range(20):
        layer = [make(*draw.sample(layer, 3)) for _ in layer]
    crossed = [make(each) for each in range(10)]
    for target in (
        chain,
        make(*[make(each) for each in range(100)]),
        make(*[make(source) for _ in range(100)]),
        pairs(8),
        make(*layer),
        make(*[make(*crossed) for _ in range(10)]),
    ):
        made = plan(target)
        assert made.order == made.by_stages
        assert made.window == 0


@pytest.mark.parametrize("seed", range(40))
def test_each_node_comes_after_all_that_it_waits_for(seed: int) -> None:
    """Whatever the order, it holds all nodes once, and each behind all that it waits for."""
    draw = random.Random(seed)
    size = draw.randrange(20, 400)
    ids = [str(each) for each in range(size)]
    edges = [
        Edge(ids[draw.randrange(max(0, at - draw.choice([2, 60, 400])), at)], ids[at])
        for at in range(1, size)
        for _ in range(draw.choice([0, 1, 1, 2]))
    ]
    made = stages(Graph([Node(each, each) for each in ids], list(dict.fromkeys(edges))))
    assert sorted(made.order) == list(range(size))
    assert comes_after_all_it_waits_for(made)


@cs.task
def other(*given: object, **named: object) -> int:
    return 1


def random_tree(seed: int) -> cs.LazyResult[int]:
    """Return a tree with long lists and chains, shared nodes, keywords and containers."""
    draw = random.Random(seed)
    nodes = [make(1)]
    for _ in range(draw.randrange(1, draw.choice([5, 40, 200]))):
        recent = nodes[-draw.choice([1, 3, 50, 500]) :]
        args = [draw.choice(recent) for _ in range(draw.choice([0, 1, 1, 1, 2, 3, 30]))]
        task = draw.choice([make, make, other])
        lazy = task(*args)
        form = draw.randrange(7)
        if form == 0:
            lazy = task(args)
        elif form == 1:
            lazy = other(*args, key=3, x=args[:1])
        elif form == 2:
            for _ in range(draw.choice([3, 30, 600])):
                lazy = task(lazy)
        elif form == 3:
            often = draw.choice([3, 1_000])
            count = draw.choice([3, 20, 600])
            lazy = task([task(at) if at % often else other([at], "a") for at in range(count)])
        elif form == 4:
            lazy = task(*[task(at) for at in range(draw.choice([3, 20, 600]))], 1, {"a": args})
        elif form == 5:
            lazy = task(*args, [1, 2]).with_retry(draw.choice([2, 3]))
        nodes.append(lazy)
    return make(nodes[-draw.choice([1, 5, 300]) :])


@pytest.mark.parametrize("seed", range(20))
def test_calls_that_are_read_together_are_read_as_one_by_one(seed: int) -> None:
    """Chains, long lists and calls that are alike are read as a whole; they are the same nodes in the same places.

    What is quoted at the end is read call by call.
    """
    target = random_tree(seed)
    assert build_graph(make(target)) == build_graph(make(target, cs.quote(1)))


@pytest.mark.parametrize("seed", range(20))
def test_the_stages_of_a_tree_are_those_of_its_nodes_and_edges(seed: int) -> None:
    """A tree is staged from what fills its calls, and any other graph by its edges; both give the same stages."""
    made = plan(random_tree(seed))
    graph = made.graph
    by_hand = stages(Graph(graph.nodes, graph.edges, graph.target.id))
    assert made == by_hand
    assert hash(made) == hash(by_hand)
    assert made.by_stages == by_hand.by_stages
    assert len(made) == len(by_hand)
    assert comes_after_all_it_waits_for(made)


def test_a_plan_of_ones_own_has_the_order_of_its_stages() -> None:
    """A solver gives stages, and an order of its own only if it likes."""
    graph = plan(pairs(1)).graph
    assert Plan(graph, [[2], [1], [0]]).order == (2, 1, 0)
    assert Plan(graph, [[2], [1], [0]], [2, 1, 0], 1).window == 1


def test_tables_and_paths_go_by_stages() -> None:
    """The table of a plan lists stage after stage with what each node waits for, and ties of a path go to the first."""
    made = plan(pairs(10))
    rows = list(made.rows())
    assert [row[0] for row in rows] == ["1"] * 10 + ["2"] * 10 + ["3"]
    waits = {node.id: [made.graph.nodes[each].id for each in sources] for node, sources in _waits(made.graph)}
    assert all(row[4] == ", ".join(waits[row[1]]) for row in rows[:20])
    assert [node.id for node in critical_path(made.graph)] == [made[0][0].id, made[1][0].id, made[2][0].id]


def test_a_deep_graph_of_wide_stages_is_ordered() -> None:
    """Many long chains side by side are ordered one after the other, and nothing recurses."""
    target = make(*[_chain(2000) for _ in range(10)])
    made = plan(target)
    assert made.window == 32
    assert comes_after_all_it_waits_for(made)


def _chain(length: int) -> cs.LazyResult[int]:
    lazy = make()
    for _ in range(length):
        lazy = make(lazy)
    return lazy


def test_a_node_that_is_taken_twice_is_waited_for_once() -> None:
    """A plan lists each node that another one waits for once, also where its value goes to two arguments."""
    part = make()
    assert [row[4] for row in plan(make(part, part)).rows()] == ["", "n1"]
