"""Compiling: Python functions written for one structure.

`Matcher(target)` checks that a tree has the structure and gives its lazy results in the program's order; a
`CompiledLoop` does that and then makes the calls as well, one after the other and in the plan's order.

Neither holds a task or a literal of the tree that it was made from: tasks are told by their serial numbers, and a
function is taken from the tree that matches.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from cascade.graph.tree import Injected
from cascade.runtime.events import SkipReason
from cascade.runtime.fast.matcher_source import MatchWriter, NotCompilableError
from cascade.runtime.fast.symbolic import Action, Branch, explore
from cascade.runtime.frames.holding import SETTLED, Holding
from cascade.runtime.frames.reporting.watching import Noting
from cascade.runtime.programs.items import call_map
from cascade.runtime.programs.plain_values import (
    GIVEN,
    LAZY_TYPES,
    PLAIN,
    Awaited,
    Interruption,
    given,
    is_simple,
)
from cascade.runtime.programs.program import Program
from cascade.runtime.resolvers import choose_route
from cascade.runtime.timeline.stretch_entries import Step
from cascade.runtime.timeline.views import NodeNames
from cascade.spec.calls.missing import MISSING
from cascade.spec.lazy_types import (
    LazyResult,
    MappedLazyResult,
)

Matcher = Callable[[LazyResult[Any]], "list[LazyResult[Any]] | None"]
"""Gives the lazy results of a tree, or `None` if it has another structure."""

CompiledLoop = Callable[[LazyResult[Any], Iterator[None]], Any]
"""Runs a tree and those that come in its place, as many as the iterator has rounds for.

Gives what the last one gave; `MISS` if the first has another structure, an `OtherStructure` if a later one has, and a
`PartialRound` if one could not go on.
"""


class PartialRound(NamedTuple):
    """Plain calls that could not go on, with the structure and the lazy results of their tree, and its number.

    `way` is that of the round, if somebody watches it.
    """

    program: Program
    lazies: list[LazyResult[Any]]
    stopped: Interruption
    serial: int | None = None
    way: int = -1


class OtherStructure(NamedTuple):
    """The next target of a compiled loop, after at least one round, if it has another structure."""

    target: LazyResult[Any]


def _stopper(program: Program) -> Callable[[int | None, dict[str, Any], BaseException | None], PartialRound]:
    """Return what makes a `PartialRound` of the variables of a compiled loop.

    These are lazy results `n0`, `n1`, ... and values `v0`, `v1`, ... by position. A value that is not there yet is
    `MISSING`: those of the round before are forgotten when a round begins.
    """
    size = len(program)

    def stopped(node: int | None, names: dict[str, Any], error: BaseException | None) -> PartialRound:
        values = [MISSING if each == node else names.get(f"v{each}", MISSING) for each in range(size)]
        value = None if error is not None else names.get(f"v{node}")
        lazies = [names[f"n{each}"] for each in range(size)]
        way = names.get("way", -1)
        names.clear()  # the function's frame keeps this dictionary, and the error's traceback that frame
        return PartialRound(program, lazies, Interruption(node, values, error, value), way=way)

    return stopped


class WatchedLoop(NamedTuple):
    """A compiled loop that notes what its rounds do: `call(target, rounds, note_way, note_time, note_value)`.

    Where it notes counts alone, it may have `maps` at some nodes, and gives `note_value` their sizes in their order.
    `ways` are the steps of each way through a round, by its number, and `calls` how many of them are calls. A round
    that could not go on tells on which way it was, as far as that was clear. `names` are those of the nodes.
    """

    call: Callable[..., Any]
    noting: Noting
    names: NodeNames
    ways: Sequence[tuple[Step, ...]]
    calls: Sequence[int]
    maps: frozenset[int] = frozenset()

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to note: the number of the rounds says how often each node was called."""
        return self.noting is Noting.COUNTS and len(self.ways) == 1 and not self.maps


MAX_TURNINGS = 8
"""Behind more branches than this a compiled loop stops: it could have a piece of code for each way through them."""


class Miss:
    """The type of `MISS`: the tree has another structure, and nothing has been called."""


MISS = Miss()


def compile_matcher(program: Program, lazies: list[LazyResult[Any]]) -> Matcher:
    """Write the matcher of a structure, of which `lazies` are one tree.

    Raises:
        NotCompilableError: If the structure has a part that only the interpreter knows.
    """
    writer = MatchWriter(program, lazies, "None")
    writer.write_root()
    writer.write_match()
    everything = ", ".join(f"n{position}" for position in range(len(lazies)))
    writer.line(f"return [{everything}]")
    matcher: Matcher = writer.function("n0")
    return matcher


def compile_loop(program: Program, lazies: list[LazyResult[Any]]) -> CompiledLoop:
    """Write the loop of a structure whose calls are all inline, with no policies but conditions and retries.

    Raises:
        NotCompilableError: If there is anything but such calls.
    """
    writer = _LineWriter(program, lazies)
    if not all(is_simple(lazy.policies) for lazy in lazies):
        raise NotCompilableError
    writer.write_root()
    writer.write_round()
    compiled: CompiledLoop = writer.function("n0, rounds")
    return compiled


def compile_watched(program: Program, lazies: list[LazyResult[Any]], noting: Noting) -> WatchedLoop:
    """Write the loop of a structure, as `compile_loop` does, for somebody who watches it.

    Raises:
        NotCompilableError: If there is a map, or anything that `compile_loop` does not know.
    """
    maps = frozenset(place for place, lazy in enumerate(lazies) if isinstance(lazy, MappedLazyResult))
    if (maps and noting is not Noting.COUNTS) or not all(is_simple(lazy.policies) for lazy in lazies):
        raise NotCompilableError
    writer = _LineWriter(program, lazies, noting)
    writer.write_root()
    writer.write_round()
    call = writer.function("n0, rounds, note_way, note_time, note_value")
    calls = [sum(step.skipped is None for step in way) for way in writer.ways]
    return WatchedLoop(call, noting, program.names(lazies), writer.ways, calls, maps)


class _LineWriter(MatchWriter):
    """Writes one function that checks trees and makes their calls, round after round."""

    def __init__(self, program: Program, lazies: list[LazyResult[Any]], noting: Noting | None = None) -> None:
        super().__init__(program, lazies, "left(n0) if done else MISS")
        self.ways: list[tuple[Step, ...]] = []
        self._noting = noting
        self._functions: dict[int, str] = {}  # how the function of a task is written, by its serial number
        self._budget = 0
        selectors = {choice.selector for choices in program.choices.values() for choice in choices}
        self._conditions = {each for call in program.calls for each in call.conditions}
        self._deciding = self._conditions | selectors
        self._conditions -= selectors.union(*program.inputs)
        self._globals.update(
            given=given, are_given=GIVEN, lazy_types=LAZY_TYPES, plain=PLAIN, Awaited=Awaited
        )
        self._globals.update(MISS=MISS, call_map=call_map, left=OtherStructure, stopped=_stopper(program))
        self._globals["clock"] = time.monotonic

    def write_round(self) -> None:
        """Match and call, again and again for as long as a plain call comes in the target's place."""
        self.line("for _ in rounds:")
        self._indent += 1
        size = len(self._program)
        if size > 1:
            self.line(f"{' = '.join(f'v{node}' for node in range(size))} = MISSING")
        self.write_match()
        self._write_functions()
        self._write_calls()
        self._indent -= 1
        self.line("return n0")

    def _write_functions(self) -> None:
        """Take the function of each task that is called more than once."""
        serials = [lazy.task.serial for lazy in self._lazies if not isinstance(lazy, MappedLazyResult)]
        for serial, times in Counter(serials).items():
            if times > 1:
                self._functions[serial] = f"f{serial}"
                self.line(f"f{serial} = t{serial}.func")

    def _write_calls(self) -> None:
        """Make the calls in the order that a exploration shows, with a branch at each branch.

        What the exploration did not foresee stops the loop: another key, a skip of the target, an exception.
        """
        # What explorations may cost in all, in actions: so that many branches don't hold up the event loop.
        self._budget = 8 * len(self._program) + 64
        self._write_actions({}, 0, 0)

    def _write_actions(self, assumptions: dict[Branch, Any], begin: int, depth: int) -> None:
        actions, branch, left_out = explore(self._program, self._lazies, assumptions)
        self._budget -= len(actions) + 1
        if self._budget < 0 or depth > MAX_TURNINGS:
            self._write_stop()
            return
        self._write_way(actions, left_out if branch is None else [])
        unneeded = self._unneeded_after(actions)
        for action, gone in zip(actions[begin:], unneeded[begin:], strict=True):
            if action.skipped is None:
                if not self._has_routes(action.node, assumptions):
                    self._write_stop()
                    return
                self._write_call(action.node, assumptions)
            elif action.skipped is SkipReason.CONDITION_FALSE and self._has_otherwise(action.node):
                self.line(f"v{action.node} = p{action.node}.otherwise")
            if gone:
                self.line(f"{' = '.join(f'v{each}' for each in gone)} = None")
        if branch is None:
            last = actions[-1]
            self._write_end() if self._gives(last) else self._write_stop()
            return
        self.line("at = None")  # the truth and the hash of a value are the user's code, but no call's
        if branch.is_key:
            self._write_keys(branch, assumptions, len(actions), depth)
        else:
            self.line(f"if v{branch.node}:")
            self._write_branch({**assumptions, branch: True}, len(actions), depth)
            self.line("else:")
            self._write_branch({**assumptions, branch: False}, len(actions), depth)

    def _write_way(self, actions: list[Action], left_out: list[Action] | None) -> None:
        """Note on which way the round is: from here on these are its actions, up to the next branch or to its end."""
        if self._noting is None:
            return
        if left_out is None:
            raise NotCompilableError
        self.line(f"way = {len(self.ways)}")
        self.ways.append(tuple(Step(*action) for action in (*actions, *left_out)))

    def _gives(self, action: Action) -> bool:
        """Tell whether a node has a value."""
        otherwise = action.skipped is SkipReason.CONDITION_FALSE and self._has_otherwise(action.node)
        return action.skipped is None or otherwise

    def _unneeded_after(self, actions: list[Action]) -> list[list[int]]:
        """Return, for each action, the values that nothing behind it needs.

        What decides what is called stays: a frame that goes on from here may look at it once more.
        """
        stages = bytearray(len(self._program))
        gone: list[int] = []
        holding = Holding(self._program, stages, gone.append)
        known: set[int] = set()
        found = []
        for action in actions:
            if self._gives(action):
                known.add(action.node)
            stages[action.node] = SETTLED
            holding.settled(action.node)
            found.append([each for each in gone if each in known and each not in self._deciding])
            gone.clear()
        return found

    def _write_keys(self, branch: Branch, assumptions: dict[Branch, Any], begin: int, depth: int) -> None:
        choices = [choice for call in self._program.calls for choice in call.choices()]
        keys = list(
            dict.fromkeys(key for each in choices if each.selector == branch.node for key in each.keys)
        )
        table = self._constant({key: index for index, key in enumerate(keys)})
        self.line(f"r{branch.node} = {table}.get(v{branch.node})")
        for index, key in enumerate(keys):
            self.line(f"{'if' if index == 0 else 'elif'} r{branch.node} == {index}:")
            self._write_branch({**assumptions, branch: key}, begin, depth)
        self.line("else:")
        self._indent += 1
        self._write_stop()
        self._indent -= 1

    def _write_branch(self, assumptions: dict[Branch, Any], begin: int, depth: int) -> None:
        self._indent += 1
        branch, decided = list(assumptions.items())[-1]
        if branch.node in self._conditions:
            self.line(f"v{branch.node} = {decided}")  # nothing else of the value is needed
        self._write_actions(assumptions, begin, depth + 1)
        self._indent -= 1

    def _write_end(self) -> None:
        """End a round: the target is node 0, as nothing is sequenced."""
        if type(self._lazies[0]) is LazyResult:
            self.line("if type(v0) is L:")
            self._write_notes("    ")
            self.line("    n0, at, done = v0, -1, True")
            self.line("    continue")
        if not isinstance(self._lazies[0], MappedLazyResult):
            self.line("if type(v0) not in plain and are_given[type(v0)]:")
            self.line("    v0 = given(v0)")
            self.line("    if type(v0) is Awaited: return stopped(0, locals(), None)")
        self._write_notes("")
        self.line("return v0")

    def _write_notes(self, indent: str) -> None:
        """Note, where somebody watches, what the target gave and which way the round took."""
        if self._noting is Noting.VALUES:
            self.line(f"{indent}note_value(v0)")
        if self._noting is not None:
            self.line(f"{indent}note_way(way)")

    def _write_stop(self) -> None:
        self.line("return stopped(None, locals(), None)")

    def _has_routes(self, node: int, assumptions: dict[Branch, Any]) -> bool:
        """Tell whether each router of a call has a route for its key; others on one selector may have another."""
        return all(
            choose_route(choice, assumptions[Branch(choice.selector, True)]) is not None
            for _, choice in self._routers.get(node, ())
        )

    def _has_otherwise(self, node: int) -> bool:
        return self._lazies[node].policies.otherwise is not MISSING

    def _write_call(self, node: int, assumptions: dict[Branch, Any]) -> None:
        lazy, call = self._lazies[node], self._program.calls[node]
        if call.defaults or any(isinstance(source, Injected) for source in call.sources):
            raise NotCompilableError
        for name, choice in self._routers.get(node, ()):
            self.line(f"{name} = v{choose_route(choice, assumptions[Branch(choice.selector, True)])}")
        arguments = ", ".join(self._expressions[node])
        self.line(f"at = {node}")
        if isinstance(lazy, MappedLazyResult):
            given = f"n{node}.args, n{node}.kwargs"
            if call.sources:
                positional = "".join(f"{each}, " for each in self._expressions[node] if "=" not in each)
                named = ", ".join(self._expressions[node][len(lazy.args) :])
                given = f"({positional}), dict({named})"
            self.line(f"v{node} = call_map(n{node}, {given})")
            self.line(f"if type(v{node}) is not list: return stopped({node}, locals(), None)")
            if self._noting is not None:
                self.line(f"note_value(len(v{node}))")
            return
        function = self._functions.get(lazy.task.serial, f"t{lazy.task.serial}.func")
        self.line(f"v{node} = {function}({arguments})")
        if self._noting in (Noting.TIMES, Noting.VALUES):
            self.line("note_time(clock())")
        if node != self._program.target:
            self.line(f"if type(v{node}) not in plain and are_given[type(v{node})]:")
            self.line(f"    v{node} = given(v{node})")
            self.line(f"    if type(v{node}) in lazy_types: return stopped({node}, locals(), None)")
            if self._noting is Noting.VALUES:
                self.line(f"note_value(v{node})")
