"""Claims about tail calls: what a task's source shows, and how a graph shows it."""

from __future__ import annotations

import functools
import gc
import importlib
import linecache
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.graph import (
    Edge,
    EdgeType,
    Graph,
    GraphError,
    Node,
    NodeType,
    build_graph,
    critical_path,
    cycles,
    from_json,
    plan,
    stages,
    tail_calls,
    to_json,
    to_mermaid,
    to_networkx,
    visualize,
    with_tail_calls,
)

AnyTask = cs.Task[Any]


@cs.task
def leaf(*args: object, **kwargs: object) -> Any: ...


@cs.task
def other(*args: object, **kwargs: object) -> Any: ...


@cs.task
def third(*args: object, **kwargs: object) -> Any: ...


@cs.task
def countdown(n: int) -> Any:
    if n:
        return countdown(n - 1)
    return "done"


@cs.task
def ping(n: int) -> Any:
    return pong(n - 1) if n else "ping"


@cs.task
def pong(n: int) -> Any:
    return ping(n - 1) if n else "pong"


@cs.task
def start(x: object) -> Any:
    return ping(3)


def names(task: AnyTask) -> list[str]:
    return [each.name for each in tail_calls(task)]


def nodes_by_name(graph: Graph) -> dict[str, Node]:
    return {node.name: node for node in graph.nodes}


def potential(graph: Graph) -> list[tuple[str, str]]:
    """Return the potential edges by the names of their nodes."""
    name = {node.id: node.name for node in graph.nodes}
    return [(name[e.source], name[e.target]) for e in graph.edges if e.edge_type is EdgeType.POTENTIAL]


def plain(x: Any) -> Any:
    return x


NEXT = leaf(1)
FIXED = other.partial(cfg=1)


class Tools:
    """A holder of tasks, as a class and as an object."""

    leaf = leaf
    other = staticmethod(other)

    @property
    def trap(self) -> Any:
        raise AssertionError("a property ran")


TOOLS = Tools()


# Each function is one way of writing its next call; `EXPECTED` has the tasks that it may call.


def conditional(x: Any) -> Any:
    return leaf(x) if x else other(x)


def nested_conditional(x: Any) -> Any:
    return leaf(x) if x else (other(x) if x > 1 else third(x))


def either(x: Any) -> Any:
    return x or leaf(x)


def mapped(x: Any) -> Any:
    return leaf.map(x=[1, 2])


def partial_map(x: Any) -> Any:
    return leaf.partial(1).map([1, 2])


def partial_call(x: Any) -> Any:
    return leaf.partial(1)(2)


def fixed(x: Any) -> Any:
    return FIXED(x)


def fixed_map(x: Any) -> Any:
    return FIXED.map(x=[1])


def policies(x: Any) -> Any:
    lazy = leaf(x).with_retry(3).with_timeout(1).with_cache(cs.ByInputs())
    return lazy.with_constraints(gpu=1).run_if(other()).after(third())


def policies_of_a_map(x: Any) -> Any:
    return leaf.map([1]).with_retry(3)


def policies_of_a_choice(x: Any) -> Any:
    return (leaf(x) if x else other(x)).with_retry(3)


def chosen_callee(x: Any) -> Any:
    return (leaf if x else other)(x)


def walrus(x: Any) -> Any:
    return (lazy := leaf(x))  # noqa: F841 - the claim


def local(x: Any) -> Any:
    lazy = other(x)
    lazy = leaf(lazy)
    return lazy  # noqa: RET504 - the claim


def annotated_local(x: Any) -> Any:
    lazy: Any = leaf(x)
    return lazy.with_retry(1)


def local_callee(x: Any) -> Any:
    step = leaf if x else FIXED
    return step.map([x])


def circular_local(x: Any) -> Any:
    lazy = leaf(x)
    while x:
        lazy = lazy.after(lazy)
        x -= 1
    return lazy


def global_lazy(x: Any) -> Any:
    return NEXT


def attribute(x: Any) -> Any:
    return Tools.leaf(x) if x else TOOLS.other(x)


def untouched_property(x: Any) -> Any:
    return TOOLS.trap(x)


def matched(x: Any) -> Any:
    match x:
        case 1:
            return leaf(x)
        case [_, *rest]:
            return other(rest)
        case _:
            return third()


def statements(x: Any) -> Any:
    try:
        for each in x:
            with each:
                return leaf(x)
        else:
            return other(x)
    except ValueError:
        while x:
            return third(x)
    finally:
        print(x)  # noqa: T201 - never runs


def nested_functions(x: Any) -> Any:
    def inner() -> Any:
        return other(x)

    class Inner:
        def method(self) -> Any:
            return other(x)

    inner(), Inner(), (lambda: other(x))()
    return leaf(x)


def arguments_are_no_returns(x: Any) -> Any:
    return leaf(other(x), [third(x)])


def in_containers(x: Any) -> Any:
    return [leaf(x), other(x)]


def dropped(x: Any) -> Any:
    other(x)
    return x


def shadowed_by_a_parameter(x: Any, leaf: Any = None) -> Any:
    return leaf(x)


def shadowed_by_a_local(x: Any) -> Any:
    for other in x:
        return other(x)
    return plain(x)


def uncalled(x: Any) -> Any:
    return leaf


def unknown(x: Any) -> Any:
    return no_such_name(x) or x.leaf(x) or x[0](x)  # type: ignore[name-defined]  # noqa: F821 - the claim


def sequence(x: Any) -> Any:
    return cs.sequence([other(x), leaf(x)])


def pipeline(x: Any) -> Any:
    return cs.pipeline(x, [other, leaf])


def composed_map(x: Any) -> Any:
    return cs.map(leaf, x=[1])


def composed_unknown(x: Any) -> Any:
    return cs.sequence(x) or cs.pipeline(*x) or cs.map(*x) or cs.sequence([])


def imported(x: Any) -> Any:
    import importlib.abc
    from json import dumps as dumped  # not a task

    return dumped(x) or importlib.abc.Loader() or leaf(x)


async def awaiting(x: Any) -> Any:
    await x
    return leaf(x)


def nothing(x: Any) -> None:
    return


EXPECTED: list[tuple[Callable[..., Any], list[str]]] = [
    (conditional, ["leaf", "other"]),
    (nested_conditional, ["leaf", "other", "third"]),
    (either, ["leaf"]),
    (mapped, ["leaf"]),
    (partial_map, ["leaf"]),
    (partial_call, ["leaf"]),
    (fixed, ["other"]),
    (fixed_map, ["other"]),
    (policies, ["leaf"]),
    (policies_of_a_map, ["leaf"]),
    (policies_of_a_choice, ["leaf", "other"]),
    (chosen_callee, ["leaf", "other"]),
    (walrus, ["leaf"]),
    (local, ["other", "leaf"]),
    (annotated_local, ["leaf"]),
    (local_callee, ["leaf", "other"]),
    (circular_local, ["leaf"]),
    (global_lazy, ["leaf"]),
    (attribute, ["leaf", "other"]),
    (untouched_property, []),
    (matched, ["leaf", "other", "third"]),
    (statements, ["leaf", "other", "third"]),
    (nested_functions, ["leaf"]),
    (arguments_are_no_returns, ["leaf"]),
    (in_containers, ["leaf", "other"]),
    (dropped, []),
    (shadowed_by_a_parameter, []),
    (shadowed_by_a_local, []),
    (uncalled, []),
    (unknown, []),
    (sequence, ["leaf"]),
    (pipeline, ["leaf"]),
    (composed_map, ["leaf"]),
    (composed_unknown, []),
    (imported, ["leaf"]),
    (awaiting, ["leaf"]),
    (nothing, []),
]


@pytest.mark.parametrize(("function", "expected"), EXPECTED, ids=[case[0].__name__ for case in EXPECTED])
def test_tail_calls(function: Callable[..., Any], expected: list[str]) -> None:
    """The tail calls of a task are the tasks whose calls its own returns may give, in the order of the text."""
    assert names(cs.task(function)) == expected


def test_every_method_of_a_lazy_result_that_gives_one_is_followed() -> None:
    """Each `with_*`, `run_if` and `after` leads to the call that it is chained on."""
    own = {name for name in dir(cs.LazyResult) if name.startswith("with_") or name in ("run_if", "after")}
    assert own == {"with_retry", "with_timeout", "with_cache", "with_constraints", "run_if", "after"}


def test_a_task_may_call_itself() -> None:
    """A task that returns its own next call has itself as tail call."""
    assert tail_calls(countdown) == (countdown,)


def test_a_task_defined_later_is_found() -> None:
    """Names are looked up at each call: a name bound later, or anew, is found."""

    @cs.task
    def early() -> Any:
        return late()

    assert tail_calls(early) == ()
    late = leaf
    assert tail_calls(early) == (leaf,)
    late = other
    assert tail_calls(early) == (other,)


def test_closures() -> None:
    """A name of an enclosing function leads to what it is bound to, for each closure of one function."""

    def make(following: AnyTask) -> AnyTask:
        @cs.task
        def step(n: int) -> Any:
            return following(n) if n else step(n)

        return step

    first, second = make(leaf), make(other)
    assert tail_calls(first) == (leaf, first)
    assert tail_calls(second) == (other, second)


def test_lambdas() -> None:
    """A lambda's body is what it returns; several in one line, or in the middle of a call, are told apart."""
    one, two = cs.task(lambda n: leaf(n)), cs.task(lambda n: other(n))
    many: list[AnyTask] = [
        cs.task(lambda n: leaf(n)), cs.task(lambda n: (lambda m: other(m))), cs.task(lambda n: n and third(n)),
    ]  # fmt: skip
    inside = cs.task(name="inside")(
        lambda n: leaf(n) if n else other(n),
    )
    assert [names(each) for each in (one, two, *many)] == [["leaf"], ["other"], ["leaf"], [], ["third"]]
    assert names(inside) == ["leaf", "other"]


def double(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        return func(*args)

    return wrapper


def hide(func: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any) -> Any:
        return func(*args)

    return wrapper


def test_decorated_functions() -> None:
    """Decorators that say what they wrap, partials and caches are looked through; others show their own source."""

    @cs.task
    @double
    @double
    def decorated(n: int) -> Any:
        return leaf(n)

    @cs.task(retry=3)
    @hide
    def hidden(n: int) -> Any:
        return leaf(n)

    partial: AnyTask = cs.task(functools.partial(conditional, 3))
    cached: AnyTask = cs.task(functools.lru_cache(conditional))
    assert names(decorated) == ["leaf"]
    assert names(hidden) == []
    assert names(partial) == names(cached) == ["leaf", "other"]


class Agent:
    """An agent whose steps are methods."""

    @cs.task
    def think(self, n: int) -> Any:
        return self.act(n) if n else self.rest()

    @cs.task
    def act(self, n: int) -> Any:
        return self.think(n - 1).with_retry(3)

    @staticmethod
    @cs.task
    def rest() -> Any:
        return Agent.think(TOOLS, 1)

    @classmethod
    @cs.task
    def new(cls: Any) -> Any:
        return cls.rest()

    class Inner:
        """A class in a class."""

        @cs.task
        def step(self) -> Any:
            return self.step()

    def bound(self, n: int) -> Any:
        return self.think(n)

    def __call__(self, n: int) -> Any:
        return self.act(n)


def test_methods() -> None:
    """`self` and `cls` lead to the tasks of the class, static and class methods among them."""
    assert names(Agent.think) == ["act", "rest"]
    assert names(Agent.act) == ["think"]
    assert names(Agent.rest) == ["think"]
    assert names(vars(Agent)["new"].__func__) == ["rest"]
    assert tail_calls(Agent.Inner.step) == (Agent.Inner.step,)


def test_bound_methods_and_callable_objects() -> None:
    """A task of a bound method, or of an object that can be called, knows its `self`."""

    class Local(Agent):
        think = leaf
        act = other

    bound: AnyTask = cs.task(Local().bound)
    called: AnyTask = cs.task(Local())
    assert tail_calls(bound) == (leaf,)
    assert tail_calls(called) == (other,)


PING = """
import cascade as cs
import {package}.b

@cs.task
def ping(n):
    return {package}.b.pong(n)
"""
PONG = '''
import cascade as cs

@cs.task
def pong(n):
    """Take a step, "\\d"."""
    from . import a
    from .a import ping as following
    from ... import too_far
    return a.ping(n) if n > 3 else following(n) if n else too_far.pong(n)

@cs.task
def whole(n):
    import {package}.a
    return {package}.a.ping(n)

@cs.task
def renamed(n):
    import {package}.a as module
    return module.ping(n)

@cs.task
def by_its_name(n):
    from {package}.a import ping
    return ping(n)

@cs.task
def by_another_name(n):
    from {package}.a import ping as following
    return following(n)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = "cascade_tail_calls_package"
    (tmp_path / name).mkdir()
    for module, text in {"__init__": "", "a": PING, "b": PONG}.items():
        (tmp_path / name / f"{module}.py").write_text(text.format(package=name))
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(f"{name}.a")
    yield name
    for module in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[module]


def test_mutual_recursion_across_modules(package: str) -> None:
    """Modules and imports inside functions, relative ones among them, lead to tasks in other modules."""
    a, b = sys.modules[f"{package}.a"], sys.modules[f"{package}.b"]
    assert tail_calls(a.ping) == (b.pong,)
    assert tail_calls(b.pong) == (a.ping,)
    graph = with_tail_calls(build_graph(a.ping(3)))
    assert [(node.name, node.tco_cycle_id) for node in graph.nodes] == [("ping", "c0"), ("pong", "c0")]


@pytest.mark.parametrize("name", ["whole", "renamed", "by_its_name", "by_another_name"])
def test_each_way_to_import_inside_a_function(package: str, name: str) -> None:
    """Each kind of import inside a function, with another name or without, leads to the task that it names."""
    assert tail_calls(getattr(sys.modules[f"{package}.b"], name)) == (sys.modules[f"{package}.a"].ping,)


def test_analysis_imports_nothing(package: str) -> None:
    """An import inside a function is not made: what is not there yet is not found."""
    b = sys.modules[f"{package}.b"]
    del sys.modules[f"{package}.a"], sys.modules[package].a
    assert tail_calls(b.pong) == ()
    assert f"{package}.a" not in sys.modules


def made_by_exec(filename: str, text: str) -> AnyTask:
    space: dict[str, Any] = {"cs": cs, "leaf": leaf, "__name__": __name__}
    exec(compile(text, filename, "exec"), space)
    task: AnyTask = space["f"]
    return task


UNREADABLE: dict[str, Callable[[], AnyTask]] = {
    "exec": lambda: made_by_exec("<string>", "f = cs.task(lambda n: leaf(n))"),
    "no such file": lambda: made_by_exec("/no/such/file.py", "f = cs.task(lambda n: leaf(n))"),
    "another file": lambda: made_by_exec(__file__, "def f(n): return leaf(n)\nf = cs.task(f)"),
    "builtin": lambda: cs.task(len),
    "method of a builtin": lambda: cs.task("".join),
    "partial of a builtin": lambda: cs.task(functools.partial(max, 1)),
    "wraps itself": lambda: cs.task(wrapping_itself()),
}


def wrapping_itself() -> Callable[..., Any]:
    def f(*args: Any) -> None: ...

    f.__wrapped__ = f  # type: ignore[attr-defined]
    return f


@pytest.mark.parametrize("kind", UNREADABLE)
def test_source_that_cannot_be_read_is_no_error(kind: str) -> None:
    """Code without a file, in C, or in a file that says something else shows nothing and can be drawn."""
    task = UNREADABLE[kind]()
    assert tail_calls(task) == ()
    assert len(with_tail_calls(build_graph(leaf(task([1]))))) == 2


@pytest.mark.parametrize(
    "text", ["f = (", "\0", "f = " + "(" * 100_000, "f = " + "-" * 100_000 + "1", "f" + "()" * 100_000]
)
def test_source_that_is_no_python_is_no_error(text: str, tmp_path: Path) -> None:
    """A file that was changed to what can't be parsed, or only too deeply, shows nothing."""
    path = tmp_path / "changed.py"
    path.write_text("f = cs.task(lambda n: leaf(n))")
    assert tail_calls(made_by_exec(str(path), path.read_text())) == (leaf,)
    path.write_text(text + " # longer than before")
    linecache.checkcache(str(path))
    assert tail_calls(made_by_exec(str(path), "\nf = cs.task(lambda n: leaf(n, 2))")) == ()


def test_reading_gives_no_warnings(tmp_path: Path) -> None:
    """A warning that the compiler had about a file is not given again, nor made an error, when it is read."""
    path = tmp_path / "warned.py"
    path.write_text('@cs.task\ndef f(n):\n    "\\d"\n    return leaf(n)\n')
    with pytest.warns(Warning, match="invalid escape sequence"):
        task = made_by_exec(str(path), path.read_text())
    assert tail_calls(task) == (leaf,)


def test_deep_expressions(tmp_path: Path) -> None:
    """A chain of policies, conditions and local variables as deep as Python takes is followed without recursion."""
    path = tmp_path / "deep.py"
    for deep in (
        "leaf(n)" + ".after()" * 400,
        "n if n else " * 150 + "leaf(n)",
        "leaf" + ".partial()" * 400 + "(n)",
    ):
        path.write_text(f"@cs.task\ndef f(n):\n    return {deep}\n")
        assert tail_calls(made_by_exec(str(path), path.read_text())) == (leaf,)
    lines = "".join(f"    x{index + 1} = x{index}\n" for index in range(10_000))
    path.write_text(f"@cs.task\ndef f(n):\n    x0 = leaf(n)\n{lines}    return x10000\n")
    assert tail_calls(made_by_exec(str(path), path.read_text())) == (leaf,)


def test_a_long_way_of_tail_calls() -> None:
    """A circle of 20,000 tasks is found and drawn without recursion, in seconds."""

    class Step:
        """A function that leads to the task in its attribute."""

        following: AnyTask

        def __call__(self, n: int) -> Any:
            return self.following(n)

    steps = [Step() for _ in range(20_000)]
    tasks: list[AnyTask] = [cs.task(step) for step in steps]
    for index, step in enumerate(steps):
        step.following = tasks[index - 1]
    graph = with_tail_calls(build_graph(leaf(tasks[0](1))))
    assert len(graph) == 20_001
    assert {node.tco_cycle_id for node in graph.nodes[1:]} == {"c0"}
    assert to_mermaid(graph).count("may call") == 20_000


def test_nothing_is_kept_alive() -> None:
    """Neither a task, nor its function, nor what it leads to is held by what is remembered of it."""

    def make() -> AnyTask:
        marker = cs.task(lambda: None)

        @cs.task
        def step(n: int) -> Any:
            return marker() if n else step(n)

        return step

    step = make()
    graph = with_tail_calls(build_graph(step(1)))
    found = [weakref.ref(each) for each in (*tail_calls(step), step.func)]
    assert len(found) == 3
    visualize(step(1))
    del step, graph
    gc.collect()
    assert [each() for each in found] == [None] * 3


def test_a_self_loop() -> None:
    """A task that returns its own next call has a potential edge to itself and a cycle id."""
    graph = with_tail_calls(build_graph(countdown(3)))
    assert len(graph) == 1
    assert potential(graph) == [("countdown", "countdown")]
    assert graph.target.tco_cycle_id == "c0"


def test_each_node_of_a_task_has_its_own_loop() -> None:
    """Two calls of one task both loop, each by itself, and both have its cycle id."""
    lazy = countdown(countdown(3))
    graph = with_tail_calls(build_graph(lazy))
    assert [(e.source, e.target) for e in graph.edges if e.edge_type is EdgeType.POTENTIAL] == [
        ("n0", "n0"),
        ("n1", "n1"),
    ]
    assert [node.tco_cycle_id for node in graph.nodes] == ["c0", "c0"]


def test_tasks_that_only_tail_calls_lead_to() -> None:
    """They get potential nodes after all others; the tasks of one cycle share an id, and the others have none."""
    graph = with_tail_calls(build_graph(start(leaf())))
    assert [(node.id, node.name, node.node_type, node.tco_cycle_id) for node in graph.nodes] == [
        ("n0", "start", NodeType.TASK, None),
        ("n1", "leaf", NodeType.TASK, None),
        ("n2", "ping", NodeType.POTENTIAL, "c0"),
        ("n3", "pong", NodeType.POTENTIAL, "c0"),
    ]
    assert potential(graph) == [("start", "ping"), ("ping", "pong"), ("pong", "ping")]
    assert graph.target.id == "n0"
    found = nodes_by_name(graph)["pong"]
    assert (found.task, found.callable_obj, found.structure_path) == (pong, pong.func, None)


def test_a_call_leads_to_the_first_node_of_its_task() -> None:
    """A tail call of a task that the tree calls too leads to its node, also where it is a map."""
    graph = with_tail_calls(build_graph(start(ping.map([1, 2]))))
    assert potential(graph) == [("start", "ping"), ("ping", "pong"), ("pong", "ping")]
    assert nodes_by_name(graph)["ping"].node_type is NodeType.MAP


def test_cycles_are_numbered_by_their_first_nodes() -> None:
    """Each cycle has an id of its own, the same for equal trees."""
    graph = with_tail_calls(build_graph([countdown(1), ping(1), Agent.think(TOOLS, 1)]))
    assert [node.tco_cycle_id for node in graph.nodes] == [None, "c0", "c1", "c2", "c1", "c2", "c2"]
    again = with_tail_calls(build_graph([countdown(2), ping(2), Agent.think(TOOLS, 2)]))
    assert again.picture() == graph.picture()


def test_a_graph_without_tail_calls_is_given_back() -> None:
    """Where no source shows a tail call the graph itself comes back; the same where nothing can be looked at."""
    graph = build_graph(leaf(cs.Param("p"), other.map([1]), [third()]))
    assert with_tail_calls(graph) is graph
    assert with_tail_calls(Graph([])) is not None
    picture = build_graph(countdown(1)).picture()
    assert with_tail_calls(picture) is picture


def test_the_graph_itself_stays_as_it_was() -> None:
    """`with_tail_calls` gives a new graph; done twice it gives the same again."""
    graph = build_graph(start(leaf()))
    before = graph.picture()
    shown = with_tail_calls(graph)
    assert graph.picture() == before
    assert with_tail_calls(shown) == shown


def test_ids_in_a_graph_by_hand_are_not_taken_again() -> None:
    """A potential node's id is one that no node of the graph has."""
    graph = with_tail_calls(Graph([Node("n1", "ping", task=ping)]))
    assert [node.id for node in graph.nodes] == ["n1", "n2"]


def test_plans_and_paths_are_those_of_the_tree() -> None:
    """Stages, the critical path and cycles leave potential edges and nodes out."""
    lazy = start(leaf())
    graph, shown = build_graph(lazy), with_tail_calls(build_graph(lazy))
    assert len(shown) > len(graph)
    assert stages(shown) == stages(graph) == plan(lazy)
    assert [node.id for node in critical_path(shown)] == ["n1", "n0"]
    assert cycles(shown) == []


def test_a_potential_node_is_called_by_nobody() -> None:
    """A graph by hand in which a potential node is the target, or has an edge of another type, is refused."""
    nodes = [Node("a", "a", NodeType.POTENTIAL), Node("b", "b")]
    assert len(stages(Graph(nodes, [Edge("b", "a", EdgeType.POTENTIAL)]))) == 1
    for edges, target in (([Edge("a", "b")], None), ([], "a")):
        with pytest.raises(GraphError, match="node 'a' is potential, so it takes potential edges only"):
            Graph(nodes, edges, target)


def test_json_keeps_it() -> None:
    """Potential nodes, edges and cycle ids come back from JSON; networkx has them too."""
    graph = with_tail_calls(build_graph(start(leaf())))
    loaded = from_json(to_json(graph))
    assert loaded == graph.picture()
    assert [node.tco_cycle_id for node in loaded.nodes] == [None, None, "c0", "c0"]
    assert stages(loaded) == stages(graph)
    assert to_networkx(graph).nodes["n2"]["tco_cycle_id"] == "c0"


def test_building_reads_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """`build_graph` and `plan` look at no source and show no potential edge; a graph is drawn as it is."""

    def refused(*args: object) -> Any:
        raise AssertionError("a source was read")

    monkeypatch.setattr(linecache, "getlines", refused)
    made = cs.task(lambda n: leaf(n))
    assert potential(build_graph(made(1))) == []
    assert len(plan(made(1))) == 1
    assert "may call" not in visualize(build_graph(made(1)))


def test_drawings_show_the_state_machine() -> None:
    """`visualize` of a lazy result draws the tail calls of its tasks."""
    assert visualize(start(1)) == (
        'flowchart TD\n    n0["start"]\n    n1{{"ping"}}\n    n2{{"pong"}}\n'
        '    n0 -.-x|"may call"| n1\n    n1 -.-x|"may call"| n2\n    n2 -.-x|"may call"| n1\n'
    )
    assert 'n1 [label="ping", shape=hexagon];' in visualize(start(1), "dot")


def test_tasks_inside_what_is_returned_are_found() -> None:
    """Calls inside returned containers, routers, gatherings and items may run in the place of the call."""

    @cs.task
    def contained(x: object) -> object:
        return [one(x), {"k": (two(x),)}]

    @cs.task
    def item(x: object) -> object:
        return one(x)["k"]

    @cs.task
    def routed(x: object) -> object:
        return cs.Router(one(x), routes={1: two(x), 2: 3})

    @cs.task
    def gathered(x: object) -> object:
        return cs.gather(one(x), *[two(x)])

    @cs.task
    def unpacked(x: object) -> object:
        return cs.unpack(one(x), 2)[0]

    for task, names in (
        (contained, {"one", "two"}),
        (item, {"one"}),
        (routed, {"one", "two"}),
        (gathered, {"one", "two"}),
        (unpacked, {"one"}),
    ):
        graph = with_tail_calls(build_graph(task(1)))
        assert {node.name for node in graph.nodes} == {task.name, *names}


@cs.task
def one(x: object) -> object:
    return x


@cs.task
def two(x: object) -> object:
    return x
