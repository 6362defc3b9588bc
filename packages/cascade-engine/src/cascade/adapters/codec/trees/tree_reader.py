"""Reading a recorded target: bytes become rows, rows become lazy results. Nothing is imported and nothing is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from cascade.adapters.codec.trees.task_references import (
    find_exception,
    find_function,
    find_task,
    is_cache_policy,
    may_convert,
)
from cascade.adapters.codec.trees.tree_layout import MARK, VERSION, Contract, Fill, Row, Whose
from cascade.adapters.codec.trees.types_of_inputs import classes_of, read_type
from cascade.adapters.codec.untyped import Decoded
from cascade.spec.calls.arguments import Slot, fill
from cascade.spec.calls.missing import MISSING
from cascade.spec.calls.quoting import Quoted
from cascade.spec.common import INPUTS, EnvContract, ParamContract
from cascade.spec.constraint import Constraints
from cascade.spec.errors import CascadeError, DamagedDataError, DataVersionError, StoredReferenceError
from cascade.spec.internal_tasks import READ_INPUT
from cascade.spec.lazy_types import (
    ConfiguredLazyResult,
    Lazy,
    MappedLazyResult,
    ParamLazyResult,
    SequenceLazyResult,
)
from cascade.spec.policies.declared import NO_POLICIES, Policies
from cascade.spec.policies.mode import Mode
from cascade.spec.policies.retry import RetryPolicy
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

    def _call(self, *call: Decoded) -> Lazy:
        task, args, kwargs = self._arguments(*call)
        lazy: Lazy = task(*args, **kwargs)
        return lazy

    def _configured(self, *row: Decoded) -> Lazy:
        *call, policies = row
        called = self._arguments(*call)
        return ConfiguredLazyResult(*called, self._policies(policies, called[0]))

    def _map(self, *row: Decoded) -> Lazy:
        *call, policies, mapped, max_concurrency = row
        called = self._arguments(*call)
        return MappedLazyResult(*called, self._policies(policies, called[0]), tuple(mapped), max_concurrency)

    def _param(self, policies: Decoded, described: Decoded) -> Lazy:
        arguments = (_contract(described), Inject(INPUTS))
        return ParamLazyResult(READ_INPUT, arguments, {}, self._policies(policies, READ_INPUT))

    def _sequence(self, members: list[int]) -> Lazy:
        return SequenceLazyResult([self._lazy(member) for member in members])

    read: ClassVar[dict[str, Callable[..., Lazy]]] = {
        Row.CALL: _call,
        Row.CONFIGURED: _configured,
        Row.MAP: _map,
        Row.PARAM: _param,
        Row.SEQUENCE: _sequence,
    }

    def _lazy(self, row: int) -> Lazy:
        if row < 0:
            raise ValueError("a row before the first")
        return self.lazies[row]

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
                return Router(self._lazy(selector), {key: self._lazy(route) for key, route in routes.items()})
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

    def _policies(self, recorded: Decoded, task: AnyTask) -> Policies:
        if recorded == Whose.NONE:
            return NO_POLICIES
        if recorded == Whose.TASK:
            return task.policies
        retry, timeout, cache, mode, amounts, conditions, otherwise, after = recorded
        if cache is not None and not is_cache_policy(cache):
            raise ValueError("a cache policy that is none")
        return Policies(
            None if retry is None else _retry(retry),
            timeout,
            cache,
            None if mode is None else Mode(mode),
            None if amounts is None else Constraints(tuple(self._amount(*amount) for amount in amounts)),
            tuple(self._lazy(condition) for condition in conditions),
            otherwise[0] if otherwise else MISSING,
            tuple(self._lazy(other) for other in after),
        )

    def _amount(self, name: str, literal: object, row: int | None) -> tuple[str, object]:
        return name, literal if row is None else self._lazy(row)


def _retry(recorded: Decoded) -> RetryPolicy:
    max_attempts, delay, backoff, jitter, max_delay, references, many = recorded
    kinds = tuple(find_exception(reference) for reference in references)
    return RetryPolicy(max_attempts, delay, backoff, jitter, max_delay, kinds if many else kinds[0])


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
