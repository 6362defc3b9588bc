"""Reads a recorded target: bytes become rows, and rows become lazy results. It imports nothing and calls nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from cascade.adapters.codec.trees.recorded_policies import PolicyReader
from cascade.adapters.codec.trees.task_references import (
    find_function,
    find_task,
    may_convert,
)
from cascade.adapters.codec.trees.tree_layout import MARK, VERSION, Contract, Fill, Row
from cascade.adapters.codec.trees.types_of_inputs import classes_of, read_type
from cascade.adapters.codec.untyped import Decoded
from cascade.spec.calls.arguments import Slot, fill
from cascade.spec.calls.missing import MISSING
from cascade.spec.calls.quoting import Quoted
from cascade.spec.common import INPUTS, EnvContract, ParamContract
from cascade.spec.errors import CascadeError, DamagedDataError, DataVersionError, StoredReferenceError
from cascade.spec.internal_tasks import READ_INPUT
from cascade.spec.lazy_types import (
    ConfiguredLazyResult,
    Lazy,
    MappedArguments,
    MappedLazyResult,
    ParamLazyResult,
    SequenceLazyResult,
)
from cascade.spec.protocols import Codec
from cascade.spec.resource import Inject
from cascade.spec.routing import Router
from cascade.spec.task import AnyTask, PartialTask


def decode_target(data: bytes, codec: Codec, *, key: bytes) -> Lazy:
    """Return the lazy tree that `encode_target` recorded under this key: the same structure, new lazy results.

    Raises:
        StoredReferenceError: If a task, an exception or a type is not there; it says which module to import.
        DamagedDataError: If these are not the bytes of a target under this key.
        DataVersionError: If a later release recorded it.
    """
    record = codec.decode(data, key=key)
    try:
        return _read(record)
    except CascadeError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        raise DamagedDataError(f"it is not a recorded target ({problem})") from problem


def _read(record: Decoded) -> Lazy:
    mark, version, *content = record
    if mark != MARK:
        raise ValueError("it has another mark")
    if version > VERSION:
        raise DataVersionError(version, VERSION)
    references, rows = content
    reader = _Reader([find_task(reference) for reference in references])
    for kind, *row in rows:
        reader.lazies.append(reader.read[kind](reader, *row))
    return reader.lazies[-1]


class _Reader:
    """Makes the lazy result of each row, in their order."""

    def __init__(self, tasks: list[AnyTask]) -> None:
        self._tasks = tasks
        self.lazies: list[Lazy] = []
        self._policies = PolicyReader(self.lazies)
        self._lazy = self._policies.lazy

    def _call(self, *call: Decoded) -> Lazy:
        task, args, kwargs = self._arguments(*call)
        lazy: Lazy = task(*args, **kwargs)
        return lazy

    def _configured(self, *row: Decoded) -> Lazy:
        *call, policies = row
        called = self._arguments(*call)
        return ConfiguredLazyResult(*called, self._policies.read(policies, called[0]))

    def _map(self, *row: Decoded) -> Lazy:
        *call, policies, mapped, max_concurrency = row
        called = self._arguments(*call)
        mapping = MappedArguments(tuple(mapped), max_concurrency)
        return MappedLazyResult(*called, self._policies.read(policies, called[0]), mapping)

    def _param(self, policies: Decoded, described: Decoded) -> Lazy:
        arguments = (_contract(described), Inject(INPUTS))
        return ParamLazyResult(READ_INPUT, arguments, {}, self._policies.read(policies, READ_INPUT))

    def _sequence(self, members: list[int]) -> Lazy:
        return SequenceLazyResult([self._lazy(member) for member in members])

    read: ClassVar[dict[str, Callable[..., Lazy]]] = {
        Row.CALL: _call,
        Row.CONFIGURED: _configured,
        Row.MAP: _map,
        Row.PARAM: _param,
        Row.SEQUENCE: _sequence,
    }

    def _arguments(
        self, task: int, args: Decoded, kwargs: Decoded, fills: Decoded
    ) -> tuple[AnyTask, tuple[Decoded, ...], dict[str, Decoded]]:
        slots = [Slot(argument, tuple(steps)) for argument, steps, _, _ in fills]
        values = [self._filler(kind, content) for _, _, kind, content in fills]
        if fills:
            return self._tasks[task], *fill(tuple(args), kwargs, slots, values)
        return self._tasks[task], tuple(args), kwargs

    def _filler(self, kind: str, content: Decoded) -> object:
        match kind:
            case Fill.LAZY:
                return self._lazy(content)
            case Fill.ROUTER:
                selector, routes = content
                return Router(
                    self._lazy(selector),
                    {key: self._lazy(route) for key, route in routes.items()},
                )
            case Fill.INJECT:
                return Inject(content)
            case Fill.QUOTED:
                return Quoted(content)
            case Fill.TASK:
                return self._tasks[content]
            case Fill.PARTIAL:
                call = self._lazy(content)
                return PartialTask(call.task, call.args, call.kwargs)
            case Fill.FUNCTION:
                return find_function(content)
        raise ValueError(f"a filler of kind {kind!r}")


def _contract(recorded: Decoded) -> ParamContract | EnvContract:
    kind, name, described, default, description, *more = recorded  # an older record may have less of `more`
    value = default[0] if default else MISSING
    if kind == Contract.PARAM:
        return ParamContract(name, read_type(described), value, description, *more)
    for reference in classes_of(described):
        if not may_convert(reference):
            raise StoredReferenceError(
                ".".join(reference),
                f"it is the type of the environment variable {name}, and its module has no tasks",
                "define it in a module that has tasks, or use plain data types",
            )
    return EnvContract(name, read_type(described), value, description, *more)
