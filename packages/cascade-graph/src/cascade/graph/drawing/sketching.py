"""Sketching: what a picture of a graph shows. Routers get a box of their own, and so does what each item of a map runs.

Many nodes that are alike become one box, so that a picture of a large graph can be read.
"""

from __future__ import annotations

from collections.abc import Iterator

from cascade.graph.analysis.inner_calls import inner_calls
from cascade.graph.analysis.tail_call_edges import with_tail_calls
from cascade.graph.drawing.folding import folded
from cascade.graph.drawing.sketches import Arrow, Box, Line, Marks, Shape, Sketch
from cascade.graph.model import Graph
from cascade.graph.nodes import EdgeType, Node, NodeType
from cascade.graph.tree import Choice, Tree
from cascade.spec.internal_tasks import CALL_FACTORY, CHOOSE, COLLECT, INTERNAL_TASKS
from cascade.spec.lazy_types import Lazy, MappedLazyResult
from cascade.spec.policies.pictures import NodePolicies

MOST_READ = 2_000
"""In a larger graph the source of tasks is not read for tail calls: what is drawn is folded anyway."""


def sketch_of(graph: Graph, marks: Marks) -> Sketch:
    """Return what a picture of a graph shows; `marks` tell what became of its nodes. Takes O(nodes + edges)."""
    full = with_tail_calls(graph) if graph.tree is not None and len(graph) <= MOST_READ else graph
    boxes = [_box(node, marks) for node in full.nodes]
    arrows: list[Arrow]
    if graph.tree is None:
        positions = full.positions()
        arrows = [
            Arrow(positions[edge.source], positions[edge.target], _LINES[edge.edge_type], edge.label)
            for edge in full.edges
        ]
    else:
        _fill_in(boxes, graph.tree)
        arrows = list(_arrows_of(graph.tree, boxes))
        arrows += _tail_calls(full)
    return folded(Sketch(tuple(boxes), tuple(arrows)))


def _box(node: Node, marks: Marks) -> Box:
    shape = _SHAPES[node.node_type]
    if node.task in INTERNAL_TASKS and shape is Shape.TASK:
        shape = Shape.ROUTER if node.task is CHOOSE else Shape.INTERNAL
    mark = marks.get(node.id)
    notes = [] if node.mode is None else [node.mode.value]
    return Box(shape, node.name, (*notes, *_notes(node.policies)), marks=() if mark is None else (mark,))


def _notes(policies: NodePolicies) -> Iterator[str]:
    """Give the policies of a node in few words."""
    if policies.retry is not None:
        yield f"retry {policies.retry.max_attempts}"
    if policies.timeout is not None:
        yield f"timeout {policies.timeout:g} s"
    if policies.cache is not None:
        yield "cache"
    if policies.constraints:
        yield ", ".join(policies.constraints)
    if policies.max_concurrency is not None:
        yield f"at most {policies.max_concurrency}"


def _fill_in(boxes: list[Box], tree: Tree) -> None:
    """Put into the boxes of maps how many items they have, and what each of those runs."""
    for position, lazy in enumerate(tree.lazies):
        if isinstance(lazy, MappedLazyResult):
            box = boxes[position]
            size = _size_of(lazy)
            notes = box.notes if size is None else (f"{size:,} items", *box.notes)
            inner = _inner_of(lazy) if lazy.task is CALL_FACTORY else None
            boxes[position] = Box(box.shape, box.label, notes, box.count, box.marks, inner)


def _size_of(lazy: MappedLazyResult[object]) -> int | None:
    """Return how many items a map has; `None` if only the run can tell."""
    first = lazy.mapped[0]
    items = lazy.args[first] if isinstance(first, int) else lazy.kwargs[first]
    return len(items) if isinstance(items, (list, tuple)) else None


def _inner_of(lazy: Lazy) -> Sketch | None:
    found = inner_calls(lazy.args[0])
    boxes = tuple(Box(Shape.TASK, task.name) for task in found.tasks)
    return Sketch(boxes, tuple(Arrow(*ends) for ends in found.arrows)) if boxes else None


def _arrows_of(tree: Tree, boxes: list[Box]) -> Iterator[Arrow]:
    """Give the arrows of a tree; a box is added for each router that is an argument."""
    structure = tree.structure
    for target, call in enumerate(structure.calls):
        for before in structure.predecessors(target):
            yield Arrow(before, target, Line.ORDER)
        for condition in call.conditions:
            yield Arrow(condition, target, Line.CONDITION)
        for name, amount in call.amounts:
            yield Arrow(amount, target, Line.AMOUNT, name)
        task = tree.lazies[target].task
        for slot, source in zip(call.slots, call.sources, strict=True):
            label = task.describe_slot(slot)
            if isinstance(source, int):
                yield Arrow(source, target, Line.DATA, "" if task is COLLECT else label)
            elif isinstance(source, Choice):
                yield from _arrows_of_router(source, target, label, boxes)


def _arrows_of_router(choice: Choice, target: int, label: str, boxes: list[Box]) -> Iterator[Arrow]:
    router = target
    if boxes[target].shape is not Shape.ROUTER:
        router = len(boxes)
        boxes.append(Box(Shape.ROUTER, "router"))
        yield Arrow(router, target, Line.DATA, label)
    yield Arrow(choice.selector, router, Line.DATA, "selector")
    for key, route in zip(choice.keys, choice.routes, strict=True):
        yield Arrow(route, router, Line.ROUTE, repr(key))


def _tail_calls(full: Graph) -> Iterator[Arrow]:
    if any(edge.edge_type is EdgeType.POTENTIAL for edge in full.edges):
        positions = full.positions()
        for edge in full.edges:
            if edge.edge_type is EdgeType.POTENTIAL:
                yield Arrow(positions[edge.source], positions[edge.target], Line.TAIL_CALL)


_SHAPES = {
    NodeType.TASK: Shape.TASK,
    NodeType.MAP: Shape.MAP,
    NodeType.PARAM: Shape.INPUT,
    NodeType.POTENTIAL: Shape.POTENTIAL,
}

_LINES = {
    EdgeType.DATA: Line.DATA,
    EdgeType.CONDITION: Line.CONDITION,
    EdgeType.CONSTRAINT: Line.AMOUNT,
    EdgeType.SEQUENCE: Line.ORDER,
    EdgeType.ROUTER_ROUTE: Line.ROUTE,
    EdgeType.POTENTIAL: Line.TAIL_CALL,
}
