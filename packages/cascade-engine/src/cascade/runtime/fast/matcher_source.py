"""Writing matchers: Python code that checks whether a tree has a known structure, and names what is in it.

Lazy results are `n0`, `n1`, ... by position, the tasks met `t` with their serial number, arguments `a` and `b`.
"""

from __future__ import annotations

from itertools import pairwise
from keyword import iskeyword
from typing import Any

from cascade.graph.tree import Choice, Injected, Quotation, Source
from cascade.runtime.programs.call_sites import PLAN_SOURCE
from cascade.runtime.programs.program import Program
from cascade.spec.calls.arguments import LOOKED_INTO, holds_marker
from cascade.spec.calls.missing import MISSING
from cascade.spec.calls.quoting import Quoted
from cascade.spec.lazy_types import LazyResult, MappedLazyResult, SequenceLazyResult, kind_of
from cascade.spec.policies.declared import NO_POLICIES, POLICIES, Policies
from cascade.spec.resource import Inject
from cascade.spec.routing import Router
from cascade.spec.task import Task

MANY = 10_000
"""A longer container is searched once in the rounds that follow each other, and not in each of them."""


class NotCompilableError(Exception):
    """A structure that is left to the interpreter. Never leaves the engine."""


class MatchWriter:
    """Writes one function that checks a tree, line by line; constants go into its globals.

    `miss` is what the function returns for a tree of another structure.
    """

    def __init__(self, program: Program, lazies: list[LazyResult[Any]], miss: str) -> None:
        self._program = program
        self._lazies = lazies
        self._miss = miss
        self._lines: list[str] = []
        self._met: set[int] = set()
        self._met_tasks: set[int] = set()  # by their serial numbers; each is in a variable
        self._pending: list[int] = []
        # How each argument is written in a call: by node, the source of each argument in its order.
        self._expressions: dict[int, list[str]] = {}
        # The routers among them: the name of each one's value, by node.
        self._routers: dict[int, list[tuple[str, Choice]]] = {}
        self._node = 0
        self._indent = 0
        self._globals: dict[str, Any] = {
            "L": LazyResult,
            "NO": NO_POLICIES,
            "holds": holds_marker,
            "inside": LOOKED_INTO,
            "MISSING": MISSING,
        }

    def line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    def function(self, parameters: str) -> Any:
        body = "\n        ".join(self._lines)
        source = (
            f"def run({parameters}):\n"
            "    at = -1\n"
            "    done = False\n"
            "    seen, size = None, 0\n"
            "    try:\n"
            f"        {body}\n"
            "    except Exception as error:\n"
            "        if at is None: return stopped(None, locals(), None)\n"
            f"        if at < 0: return {self._miss}\n"
            "        return stopped(at, locals(), error)\n"
            "    except BaseException as error:\n"
            "        if at is None or at < 0: raise\n"
            "        return stopped(at, locals(), error)\n"
        )
        exec(compile(source, PLAN_SOURCE, "exec"), self._globals)
        return self._globals.pop("run")

    def write_root(self) -> None:
        """Check of the target what no round changes: its type and its task."""
        if self._program.sequenced:
            raise NotCompilableError  # a sequence orders nodes from outside
        self._require(f"{self._is_of_its_type(0)} and {self._is_of_its_task(0)}")

    def write_match(self) -> None:
        """Check the tree from its target down; an exception on the way is a miss too."""
        self._meet(0)
        while self._pending:
            self._match_node(self._pending.pop())
        self._match_distinct()

    def _meet(self, node: int) -> None:
        self._met.add(node)
        self._pending.append(node)

    def _require(self, condition: str) -> None:
        self.line(f"if not ({condition}): return {self._miss}")

    def _constant(self, value: object) -> str:
        name = f"k{len(self._globals)}"
        self._globals[name] = value
        return name

    def _match_node(self, node: int) -> None:
        lazy = self._lazies[node]
        plain = type(lazy) is LazyResult
        checks = [] if node == 0 else [self._is_of_its_type(node)]
        checks.append(self._is_of_its_task(node))
        if isinstance(lazy, MappedLazyResult):
            checks.append(f"n{node}.mapped == {self._constant(lazy.mapped)}")
            checks.append(f"n{node}.max_concurrency == {lazy.max_concurrency!r}")
        if not lazy.args:
            checks.append(f"not n{node}.args")
        if not lazy.kwargs:
            checks.append(f"not n{node}.kwargs")
        self._require(" and ".join(checks))
        if not plain:
            self._match_policies(node, lazy.policies)
        self._match_arguments(node, lazy)

    def _is_of_its_type(self, node: int) -> str:
        kind = type(self._lazies[node])
        return f"type(n{node}) is {'L' if kind is LazyResult else self._constant(kind)}"

    def _is_of_its_task(self, node: int) -> str:
        """Write the check of a node's task: by its serial number, or where that was met before by identity."""
        serial = self._lazies[node].task.serial
        if serial in self._met_tasks:
            return f"n{node}.task is t{serial}"
        self._met_tasks.add(serial)
        return f"(t{serial} := n{node}.task).serial == {serial}"

    def _match_policies(self, node: int, policies: Policies) -> None:
        if policies is NO_POLICIES:
            self._require(f"n{node}.policies is NO")
            return
        call = self._program.calls[node]
        names = [f"p{node}_{row.name}" for row in POLICIES]
        self.line(f"p{node} = n{node}.policies")
        self.line(f"{', '.join(names)} = p{node}")
        rows = zip(POLICIES, names, policies, strict=True)
        self._require(" and ".join(row.match(name, value, self._constant) for row, name, value in rows))
        self._match_all(f"p{node}.conditions", call.conditions)
        self._match_all(f"p{node}.after", call.after)
        for name, amount in call.amounts:
            self._match_lazy(f"dict(p{node}.constraints.amounts)[{name!r}]", amount)

    def _match_all(self, expression: str, nodes: tuple[int, ...]) -> None:
        for index, node in enumerate(nodes):
            self._match_lazy(f"{expression}[{index}]", node)

    def _match_lazy(self, expression: str, node: int) -> None:
        """Take a lazy result for a node, or check that it is the one taken before."""
        if node in self._met:
            self._require(f"{expression} is n{node}")
        else:
            self.line(f"n{node} = {expression}")
            self._meet(node)

    def _match_arguments(self, node: int, lazy: LazyResult[Any]) -> None:
        self._node = node
        call = self._program.calls[node]
        sources: dict[int | str, dict[tuple[int, ...], Source]] = {}
        for slot, source in zip(call.slots, call.sources, strict=True):
            sources.setdefault(slot.argument, {})[slot.steps] = source
        written: list[str] = []
        if lazy.args:
            names = [f"a{node}_{index}" for index in range(len(lazy.args))]
            self.line(f"{', '.join(names)}, = n{node}.args")
            for index, name in enumerate(names):
                written.append(self._match_value(name, lazy.args[index], sources.get(index, {}), ()))
        if lazy.kwargs:
            names = [f"b{node}_{index}" for index in range(len(lazy.kwargs))]
            self._match_names(node, lazy, names)
            for name, (keyword, value) in zip(names, lazy.kwargs.items(), strict=True):
                expression = self._match_value(name, value, sources.get(keyword, {}), ())
                if not _is_writable(keyword):
                    raise NotCompilableError
                written.append(f"{keyword}={expression}")
        self._expressions[node] = written

    def _match_names(self, node: int, lazy: LazyResult[Any], names: list[str]) -> None:
        """Check the names of a call's keyword arguments and take the values; another order of them is the same."""
        self.line(f"b{node} = n{node}.kwargs")
        if len(names) > 1 and _shows_order(lazy.task):
            # A call is written once, for one order. Trees with another one are left to the builder.
            self._require(f"(*b{node},) == {self._constant(tuple(lazy.kwargs))}")
            self.line(f"{', '.join(names)} = b{node}.values()")
            return
        # A name that is missing is a miss as any exception here; a look-up takes a third of comparing all names.
        self._require(f"len(b{node}) == {len(names)}")
        for name, keyword in zip(names, lazy.kwargs, strict=True):
            self.line(f"{name} = b{node}[{keyword!r}]")

    def _match_value(
        self, name: str, value: Any, sources: dict[tuple[int, ...], Source], steps: tuple[int, ...]
    ) -> str:
        """Check one value; return how it is written in the call."""
        if not sources:
            known = type(value)
            likely = f"type({name}) is not {known.__name__} and " if known in (int, str, float, bool) else ""
            self.line(f"if {likely}type({name}) in inside:")
            self.line(f"    if not ({name} is seen and size == len({name}) > {MANY}):")
            self.line(f"        if holds({name}): return {self._miss}")
            self.line(f"        if len({name}) > {MANY}: seen, size = {name}, len({name})")
            return name
        if steps in sources:
            return self._match_marker(name, value, sources[steps])
        kind = type(value)
        if len(steps) > 20:
            raise NotCompilableError
        self._require(f"type({name}) is {kind.__name__} and len({name}) == {len(value)}")
        items = list(value.values()) if kind is dict else list(value)
        names = [f"{name}_{index}" for index in range(len(items))]
        self.line(f"{', '.join(names)}, = {name}{'.values()' if kind is dict else ''}")
        if kind is dict:
            self._require(f"inside.isdisjoint(map(type, {name}))")
        written = []
        for index, item in enumerate(items):
            below = (*steps, index)
            inner = {path: source for path, source in sources.items() if path[: len(below)] == below}
            written.append(self._match_value(names[index], item, inner, below))
        listed = ", ".join(written)
        if kind is dict:
            return f"dict(zip({name}, ({listed},)))"
        return f"[{listed}]" if kind is list else f"({listed},)"

    def _match_marker(self, name: str, value: Any, source: Source) -> str:
        if isinstance(source, Choice):
            assert isinstance(value, Router)
            self._require(f"type({name}) is {self._constant(Router)}")
            self._require(f"tuple({name}.routes) == {self._constant(source.keys)}")
            self._match_lazy(f"{name}.selector", source.selector)
            self.line(f"{name}_r = tuple({name}.routes.values())")
            self._match_all(f"{name}_r", source.routes)
            self._routers.setdefault(self._node, []).append((f"{name}_c", source))
            return f"{name}_c"
        if isinstance(source, Injected):
            self._require(f"type({name}) is {self._constant(Inject)} and {name}.name == {source.resource!r}")
            return name
        if isinstance(source, Quotation):
            self._require(f"type({name}) is {self._constant(Quoted)}")
            return f"{name}.value"
        if type(value) is SequenceLazyResult:
            raise NotCompilableError
        self._match_lazy(name, source)
        return f"v{source}"

    def _match_distinct(self) -> None:
        """Nodes that might be one and the same object are not: sharing is part of the structure."""
        by_task: dict[tuple[type, int], list[int]] = {}
        for node, lazy in enumerate(self._lazies):
            by_task.setdefault((kind_of(lazy), lazy.task.serial), []).append(node)
        for nodes in by_task.values():
            if len(nodes) > 1 and not self._is_chain(nodes):
                listed = ", ".join(f"id(n{node})" for node in nodes)
                self._require(f"len({{{listed}}}) == {len(nodes)}")

    def _is_chain(self, nodes: list[int]) -> bool:
        """Tell whether each node is the only input of the one before: a call can't be its own argument."""
        return all(after in self._program.inputs[before] for before, after in pairwise(nodes))


def _shows_order(task: Task[Any]) -> bool:
    """Tell whether a function may see the order of its keyword arguments: in `**kwargs`."""
    return any(each.kind is each.VAR_KEYWORD for each in task.signature.parameters.values())


def _is_writable(keyword: str) -> bool:
    """Tell whether a name may stand before `=` in a call and is read as it is written."""
    return keyword.isidentifier() and keyword.isascii() and not iskeyword(keyword) and keyword != "__debug__"
