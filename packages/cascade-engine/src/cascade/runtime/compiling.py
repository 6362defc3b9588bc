"""Compiling: Python functions written for one structure.

`Matcher(target)` checks that a tree has the structure and gives its lazy results in the program's order; a
`StraightLine` does that and then makes the calls as well, one after the other and in the plan's order.

Neither holds a task or a literal of the tree that it was made from: tasks are told by their serial numbers, and a
function is taken from the tree that matches.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from keyword import iskeyword
from typing import Any, NamedTuple

from cascade.graph.structure import kind_of, policy_shape
from cascade.graph.tree import Choice, Injected, Source
from cascade.runtime.events import SkipReason
from cascade.runtime.mapping import call_map
from cascade.runtime.plain import LAZY_TYPES, Stopped, is_simple
from cascade.runtime.program import Program
from cascade.runtime.rehearsal import Turning, rehearse
from cascade.runtime.resolvers import choose_route
from cascade.spec.arguments import LOOKED_INTO, holds_marker
from cascade.spec.lazy_types import (
    LazyResult,
    MappedLazyResult,
    SequenceLazyResult,
)
from cascade.spec.missing import MISSING
from cascade.spec.policies import NO_POLICIES, Policies
from cascade.spec.resource import Inject
from cascade.spec.routing import Router

Matcher = Callable[[LazyResult[Any]], "list[LazyResult[Any]] | None"]
"""Gives the lazy results of a tree, or `None` if it has another structure."""

StraightLine = Callable[[LazyResult[Any]], Any]
"""Gives the value of a tree; `MISS` if it has another structure, a `StoppedLine` if it could not go on."""


class StoppedLine(NamedTuple):
    """Plain calls that could not go on, with the structure and the lazy results of their tree, and its number."""

    program: Program
    lazies: list[LazyResult[Any]]
    stopped: Stopped
    serial: int | None = None


def _stopper(program: Program) -> Callable[[int | None, dict[str, Any], BaseException | None], StoppedLine]:
    """Return what makes a `StoppedLine` of a line's variables: lazy results `n0`, `n1`, ... and values `v0`, ..."""
    size = len(program)

    def stopped(node: int | None, names: dict[str, Any], error: BaseException | None) -> StoppedLine:
        values = [MISSING if each == node else names.get(f"v{each}", MISSING) for each in range(size)]
        value = names.get(f"m{node}", names.get(f"v{node}"))
        return StoppedLine(
            program, [names[f"n{each}"] for each in range(size)], Stopped(node, values, error, value)
        )

    return stopped


MAX_TURNINGS = 8
"""Behind more turnings than this a line stops: there may be a branch for each way through them."""


class NotCompilableError(Exception):
    """A structure that is left to the interpreter. Never leaves the engine."""


class Miss:
    """The type of `MISS`: the tree has another structure, and nothing has been called."""


MISS = Miss()


def compile_matcher(program: Program, lazies: list[LazyResult[Any]]) -> Matcher:
    """Write the matcher of a structure, of which `lazies` are one tree.

    Raises:
        NotCompilableError: If the structure has a part that only the interpreter knows.
    """
    writer = _Writer(program, lazies, "None")
    writer.write_match()
    everything = ", ".join(f"n{position}" for position in range(len(lazies)))
    writer.line(f"return [{everything}]")
    matcher: Matcher = writer.function()
    return matcher


def compile_straight_line(program: Program, lazies: list[LazyResult[Any]]) -> StraightLine:
    """Write the straight line of a structure whose calls are all inline, with no policies but conditions and retries.

    Raises:
        NotCompilableError: If there is anything but such calls.
    """
    writer = _Writer(program, lazies, "MISS")
    if not all(is_simple(lazy.policies) for lazy in lazies):
        raise NotCompilableError
    writer.write_match()
    writer.write_calls()
    straight: StraightLine = writer.function()
    return straight


def _is_writable(keyword: str) -> bool:
    """Tell whether a name may stand before `=` in a call and is read as it is written."""
    return keyword.isidentifier() and keyword.isascii() and not iskeyword(keyword) and keyword != "__debug__"


class _Writer:
    """Writes one function, line by line; constants go into its globals."""

    def __init__(self, program: Program, lazies: list[LazyResult[Any]], miss: str) -> None:
        self._program = program
        self._lazies = lazies
        self._miss = miss
        self._lines: list[str] = []
        self._met: set[int] = set()
        self._pending: list[int] = []
        # How each argument is written in a call: by node, the source of each argument in its order.
        self._expressions: dict[int, list[str]] = {}
        # The routers among them: the name of each one's value, by node.
        self._routers: dict[int, list[tuple[str, Choice]]] = {}
        self._node = 0
        self._indent = 0
        self._budget = 0
        self._globals: dict[str, Any] = {
            "L": LazyResult,
            "MISS": MISS,
            "NO": NO_POLICIES,
            "holds": holds_marker,
            "inside": LOOKED_INTO,
            "lazy_types": LAZY_TYPES,
            "call_map": call_map,
            "stopped": _stopper(program),
        }

    def line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    def function(self) -> Any:
        body = "\n        ".join(self._lines)
        source = (
            "def run(n0):\n"
            "    at = -1\n"
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
        exec(compile(source, "<cascade plan>", "exec"), self._globals)
        return self._globals.pop("run")

    # Matching

    def write_match(self) -> None:
        """Check the tree from its target down; an exception on the way is a miss too."""
        if self._program.sequenced:
            raise NotCompilableError  # a sequence orders nodes from outside
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
        checks = [f"type(n{node}) is {'L' if plain else self._constant(type(lazy))}"]
        checks.append(f"n{node}.task.serial == {lazy.task.serial}")
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

    def _match_policies(self, node: int, policies: Policies) -> None:
        if policies is NO_POLICIES:
            self._require(f"n{node}.policies is NO")
            return
        call = self._program.calls[node]
        self.line(f"p{node} = n{node}.policies")
        shape, same = self._constant(policy_shape(policies)), self._constant(policy_shape)
        self._require(f"{same}(p{node}) == {shape}")
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
            # Their order is part of the structure: `**kwargs` shows it.
            self._require(f"(*n{node}.kwargs,) == {self._constant(tuple(lazy.kwargs))}")
            self.line(f"{', '.join(names)}, = n{node}.kwargs.values()")
            for name, (keyword, value) in zip(names, lazy.kwargs.items(), strict=True):
                expression = self._match_value(name, value, sources.get(keyword, {}), ())
                if not _is_writable(keyword):
                    raise NotCompilableError
                written.append(f"{keyword}={expression}")
        self._expressions[node] = written

    def _match_value(
        self, name: str, value: Any, sources: dict[tuple[int, ...], Source], steps: tuple[int, ...]
    ) -> str:
        """Check one value; return how it is written in the call."""
        if not sources:
            known = type(value)
            likely = f"type({name}) is not {known.__name__} and " if known in (int, str, float, bool) else ""
            self.line(f"if {likely}type({name}) in inside and holds({name}): return {self._miss}")
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

    # Calling

    def write_calls(self) -> None:
        """Make the calls in the order that a rehearsal shows, with a branch at each turning.

        What a rehearsal does not foresee stops the line: another key, a skip of the target, an exception.
        """
        # What rehearsals may cost in all, in acts: so that many turnings don't hold up the event loop.
        self._budget = 8 * len(self._program) + 64
        self._write_acts({}, 0, 0)

    def _write_acts(self, decisions: dict[Turning, Any], begin: int, depth: int) -> None:
        acts, turning = rehearse(self._program, self._lazies, decisions)
        self._budget -= len(acts) + 1
        if self._budget < 0 or depth > MAX_TURNINGS:
            self._write_stop()
            return
        for act in acts[begin:]:
            if act.skipped is None:
                if not self._has_routes(act.node, decisions):
                    self._write_stop()
                    return
                self._write_call(act.node, decisions)
            elif act.skipped is SkipReason.CONDITION_FALSE and self._has_otherwise(act.node):
                self.line(f"v{act.node} = p{act.node}.otherwise")
        if turning is None:
            last = acts[-1]
            given = last.skipped is None or (
                last.skipped is SkipReason.CONDITION_FALSE and self._has_otherwise(last.node)
            )
            self.line(f"return v{self._program.target}") if given else self._write_stop()
            return
        self.line("at = None")  # the truth and the hash of a value are the user's code, but no call's
        if turning.is_key:
            self._write_keys(turning, decisions, len(acts), depth)
        else:
            self.line(f"if v{turning.node}:")
            self._write_branch({**decisions, turning: True}, len(acts), depth)
            self.line("else:")
            self._write_branch({**decisions, turning: False}, len(acts), depth)

    def _write_keys(self, turning: Turning, decisions: dict[Turning, Any], begin: int, depth: int) -> None:
        choices = [choice for call in self._program.calls for choice in call.choices()]
        keys = list(
            dict.fromkeys(key for each in choices if each.selector == turning.node for key in each.keys)
        )
        table = self._constant({key: index for index, key in enumerate(keys)})
        self.line(f"r{turning.node} = {table}.get(v{turning.node})")
        for index, key in enumerate(keys):
            self.line(f"{'if' if index == 0 else 'elif'} r{turning.node} == {index}:")
            self._write_branch({**decisions, turning: key}, begin, depth)
        self.line("else:")
        self._indent += 1
        self._write_stop()
        self._indent -= 1

    def _write_branch(self, decisions: dict[Turning, Any], begin: int, depth: int) -> None:
        self._indent += 1
        self._write_acts(decisions, begin, depth + 1)
        self._indent -= 1

    def _write_stop(self) -> None:
        self.line("return stopped(None, locals(), None)")

    def _has_routes(self, node: int, decisions: dict[Turning, Any]) -> bool:
        """Tell whether each router of a call has a route for its key; others on one selector may have another."""
        return all(
            choose_route(choice, decisions[Turning(choice.selector, True)]) is not None
            for _, choice in self._routers.get(node, ())
        )

    def _has_otherwise(self, node: int) -> bool:
        return self._lazies[node].policies.otherwise is not MISSING

    def _write_call(self, node: int, decisions: dict[Turning, Any]) -> None:
        lazy, call = self._lazies[node], self._program.calls[node]
        if call.defaults or any(isinstance(source, Injected) for source in call.sources):
            raise NotCompilableError
        for name, choice in self._routers.get(node, ()):
            self.line(f"{name} = v{choose_route(choice, decisions[Turning(choice.selector, True)])}")
        arguments = ", ".join(self._expressions[node])
        self.line(f"at = {node}")
        if isinstance(lazy, MappedLazyResult):
            positional = "".join(f"{each}, " for each in self._expressions[node] if "=" not in each)
            named = ", ".join(self._expressions[node][len(lazy.args) :])
            self.line(f"m{node} = call_map(n{node}, ({positional}), dict({named}))")
            self.line(f"if m{node}.values is None: return stopped({node}, locals(), None)")
            self.line(f"v{node} = m{node}.values")
            return
        self.line(f"v{node} = n{node}.task.func({arguments})")
        if node != self._program.target:
            self.line(f"if type(v{node}) in lazy_types: return stopped({node}, locals(), None)")
