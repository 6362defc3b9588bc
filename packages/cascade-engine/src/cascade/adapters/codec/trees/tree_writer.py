"""Records a target: a lazy tree becomes rows of plain data, and the rows become bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

from cascade.adapters.codec.trees.recorded_policies import PolicyWriter, lazies_in
from cascade.adapters.codec.trees.task_references import (
    Reference,
    may_convert,
    reference_of_function,
    reference_of_task,
)
from cascade.adapters.codec.trees.tree_layout import MARK, VERSION, Contract, Fill, Row
from cascade.adapters.codec.trees.types_of_inputs import classes_of, describe_type
from cascade.adapters.codec.untyped import Decoded
from cascade.graph.graph_errors import CycleError
from cascade.spec.calls.arguments import Found, Slot, fill, find_markers
from cascade.spec.calls.missing import MISSING
from cascade.spec.calls.quoting import Quoted
from cascade.spec.common import EnvContract, ParamContract
from cascade.spec.errors import CodecError
from cascade.spec.lazy_types import (
    ConfiguredLazyResult,
    Lazy,
    LazyResult,
    MappedLazyResult,
    ParamLazyResult,
    SequenceLazyResult,
)
from cascade.spec.policies.declared import NO_POLICIES, POLICIES
from cascade.spec.protocols import Codec
from cascade.spec.resource import Inject
from cascade.spec.routing import Router
from cascade.spec.source.references import name_of
from cascade.spec.task import AnyTask, PartialTask, Task


def encode_target(target: Lazy, codec: Codec, *, key: bytes) -> bytes:
    """Return the bytes of a lazy tree under a store key: structure, policies and literals; tasks by reference.

    Each lazy result is written once, however many places it stands in. Takes O(size of the tree), and no recursion.

    Raises:
        TaskReferenceError: If a task is not found by its name, as one inside a function.
        CodecError: If the codec refuses a literal; it names the task and the argument.
        CycleError: If a lazy result is inside itself.
    """
    recorder = _Recorder()
    recorder.record(target)
    try:
        return codec.encode([MARK, VERSION, recorder.references, recorder.rows], key=key)
    except CodecError:
        for literal, where in recorder.literals():
            _try_literal(literal, where, codec, key)
        raise


def _try_literal(literal: object, where: str, codec: Codec, key: bytes) -> None:
    try:
        codec.encode(literal, key=key)
    except CodecError as problem:
        remedy = problem.remedy
        if type(literal) is FunctionType:
            remedy = "define it at the top of a module that has tasks, or make it a task"
        raise CodecError(problem.kind, f"{problem.path} of {where}", remedy) from problem


class _Recorder:
    """Writes the rows of one tree, each after those that it refers to."""

    def __init__(self) -> None:
        self.references: list[Reference] = []
        self.rows: list[list[Decoded]] = []
        self._lazies: list[
            Lazy
        ] = []  # of each row; and what is made on the way stays alive, and its id its own
        self._numbers: dict[int, int] = {}  # of rows, by the lazy result's id
        self._tasks: dict[int, int] = {}  # of tasks, by id
        self._fillers: dict[
            int, list[Found]
        ] = {}  # what is not literal in the arguments, by the lazy result's id

    def record(self, target: Lazy) -> None:
        path = [(target, self._below(target))]
        inside = {id(target)}
        while path:
            lazy, rest = path[-1]
            for below in rest:
                if id(below) in self._numbers:
                    continue
                if id(below) in inside:
                    names = [each.task.name for each, _ in path]
                    raise CycleError(tuple(names))
                inside.add(id(below))
                path.append((below, self._below(below)))
                break
            else:
                path.pop()
                inside.discard(id(lazy))
                self._numbers[id(lazy)] = len(self.rows)
                self._lazies.append(lazy)
                self.rows.append(self._row(lazy))

    def literals(self) -> Iterator[tuple[object, str]]:
        """Yield each literal of the record, and where it is, for an error."""
        for row, lazy in zip(self.rows, self._lazies, strict=True):
            task = lazy.task
            if isinstance(lazy, ParamLazyResult):
                yield lazy.contract.default, f"the default of the input '{lazy.contract.name}'"
            elif not isinstance(lazy, SequenceLazyResult):
                for argument, literal in (*enumerate(row[2]), *row[3].items()):
                    yield literal, f"argument '{task.parameter_at(argument)}' of task '{task.name}'"
                for found in self._fillers[id(lazy)]:
                    if isinstance(found.marker, Quoted):
                        yield found.marker.value, f"what is quoted in task '{task.name}'"
                    elif isinstance(found.marker, Router):
                        for key in found.marker.routes:
                            yield key, f"a router's keys in task '{task.name}'"
            if not isinstance(lazy, SequenceLazyResult) and lazy.policies is not NO_POLICIES:
                for policy, value in zip(POLICIES, lazy.policies, strict=True):
                    if policy.form.holds and value is not policy.default:
                        yield value, f"{policy.form.holds} of task '{task.name}'"

    def _below(self, lazy: Lazy) -> Iterator[Any]:
        """Return the lazy results that a row refers to."""
        if isinstance(lazy, SequenceLazyResult):
            return iter(lazy.members)
        below: list[object] = []
        if not isinstance(lazy, ParamLazyResult):
            fillers = self._fillers[id(lazy)] = [*find_markers(lazy.args, lazy.kwargs), *_code(lazy)]
            for _, marker in fillers:
                if isinstance(marker, Router):
                    below += (marker.selector, *marker.routes.values())
                elif isinstance(marker, LazyResult):
                    below.append(marker)
        if isinstance(lazy, ConfiguredLazyResult):
            below += lazies_in(lazy.policies)
        return iter(below)

    def _number(self, lazy: object) -> int:
        return self._numbers[id(lazy)]

    def _task(self, task: AnyTask) -> int:
        number = self._tasks.get(id(task))
        if number is None:
            self.references.append(reference_of_task(task))
            number = self._tasks[id(task)] = len(self.references) - 1
        return number

    def _row(self, lazy: Lazy) -> list[object]:
        if isinstance(lazy, SequenceLazyResult):
            return [Row.SEQUENCE.value, [self._number(member) for member in lazy.members]]
        if isinstance(lazy, ParamLazyResult):
            return [Row.PARAM.value, self._policies(lazy), _contract(lazy.contract)]
        fillers = self._fillers[id(lazy)]
        args, kwargs = lazy.args, lazy.kwargs
        if fillers:
            args, kwargs = fill(args, kwargs, [slot for slot, _ in fillers], [None] * len(fillers))
        call = [self._task(lazy.task), [*args], kwargs, [self._fill(*found) for found in fillers]]
        if type(lazy) in (LazyResult, _Partial):
            return [Row.CALL.value, *call]
        if type(lazy) is ConfiguredLazyResult:
            return [Row.CONFIGURED.value, *call, self._policies(lazy)]
        if isinstance(lazy, MappedLazyResult):
            return [
                Row.MAP.value,
                *call,
                self._policies(lazy),
                [*lazy.mapped],
                lazy.max_concurrency,
            ]
        raise CodecError(name_of(type(lazy)), f"the call of task '{lazy.task.name}'", "use LazyResult itself")

    def _policies(self, lazy: Lazy) -> object:
        return PolicyWriter(lazy, self._numbers).written()

    def _fill(self, slot: Slot, marker: object) -> list[object]:
        slot_row: list[object] = [slot.argument, [*slot.steps]]
        if isinstance(marker, _Partial):
            return [*slot_row, Fill.PARTIAL.value, self._number(marker)]
        if isinstance(marker, LazyResult):
            return [*slot_row, Fill.LAZY.value, self._number(marker)]
        if isinstance(marker, Router):
            routes = {key: self._number(route) for key, route in marker.routes.items()}
            return [*slot_row, Fill.ROUTER.value, [self._number(marker.selector), routes]]
        if isinstance(marker, Inject):
            return [*slot_row, Fill.INJECT.value, marker.name]
        if isinstance(marker, Quoted):
            return [*slot_row, Fill.QUOTED.value, marker.value]
        if isinstance(marker, Task):
            return [*slot_row, Fill.TASK.value, self._task(marker)]
        return [*slot_row, Fill.FUNCTION.value, reference_of_function(marker)]


class _Partial(Lazy):
    """A `PartialTask` as a lazy result: its task, called with the fixed arguments alone."""

    __slots__ = ()

    def __init__(self, partial: PartialTask[object]) -> None:
        self.task = partial.task
        self.args = partial.args
        self.kwargs = partial.kwargs


def _code(lazy: Lazy) -> Iterable[Found]:
    """Yield the tasks and functions among the arguments, which are recorded by reference."""
    arguments: list[tuple[int | str, object]] = [*enumerate(lazy.args), *lazy.kwargs.items()]
    for argument, value in arguments:
        if isinstance(value, PartialTask):
            yield Found(Slot(argument), _Partial(value))
        elif isinstance(value, Task) or (
            type(value) is FunctionType and reference_of_function(value) is not None
        ):
            yield Found(Slot(argument), value)


def _contract(contract: ParamContract | EnvContract) -> list[object]:
    default = [] if contract.required else [contract.default]
    common: list[object] = [
        contract.name,
        describe_type(contract.type, contract.name),
        default,
        contract.description,
    ]
    if contract.secret and contract.default not in (MISSING, None):
        raise CodecError(
            "SecretValue",
            f"the default of the secret '{contract.name}'",
            "secrets are never stored: give the secret no default, and pass it when the run begins",
        )
    if isinstance(contract, EnvContract):
        refused = [reference for reference in classes_of(common[1]) if not may_convert(reference)]
        if refused:
            raise CodecError(
                ".".join(refused[0]),
                f"the type of the environment variable '{contract.name}'",
                "define it in a module that has tasks, or use plain data types",
            )
        return [Contract.ENV.value, *common, contract.secret, contract.identity]
    return [Contract.PARAM.value, *common, contract.secret]
