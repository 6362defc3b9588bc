"""Errors: one root, and one class for each thing that a caller might handle.

The facts of an error are its fields. Its text names the task or the thing and says what to do next. Errors survive
pickling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cascade.spec.late_dataclasses import dataclass


class CascadeError(Exception):
    """The root of all errors that Cascade itself raises.

    Subclasses are dataclasses: their facts live in the instance's `__dict__`, which is pickled, as `args` is.
    """

    def __reduce__(self) -> tuple[Callable[..., CascadeError], tuple[object, ...]]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[CascadeError], args: tuple[object, ...], facts: dict[str, object]) -> CascadeError:
    native: Any = (
        cls  # the builtin class that it is laid out as: the first `__new__` in order may be another's
    )
    while native.__flags__ & _HEAP_TYPE:
        native = native.__base__
    error: CascadeError = native.__new__(cls, *args)
    error.__dict__.update(facts)
    return error


_HEAP_TYPE = 1 << 9
"""The flag of classes that were made by a `class` statement."""


class CascadeRuntimeError(CascadeError, RuntimeError):
    """The root of the engine's errors. Also a `CascadeError`, which is the root of all of Cascade's."""


@dataclass(eq=False)
class MissingWheelError(CascadeError, ImportError):
    """A name of `cascade` was used whose wheel is not installed."""

    used: str
    wheel: str

    def __str__(self) -> str:
        return f"cs.{self.used} needs {self.wheel}: pip install {self.wheel}"


@dataclass(eq=False)
class SpecError(CascadeError, TypeError):
    """Something written down has no meaning; `problem` says what is wrong, `remedy` what to write instead."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


class LazyUseError(SpecError):
    """A lazy result was used as if it were its value."""


class LazyAttributeError(LazyUseError, AttributeError):
    """A lazy result was asked for an attribute of its value."""


class NotLazyError(SpecError):
    """A plain value stands where a lazy result belongs."""


class PolicyError(SpecError, ValueError):
    """A policy has a value that makes no sense."""


@dataclass(eq=False)
class UnknownSettingError(CascadeError, TypeError):
    """A keyword is no setting of what was called.

    `nearest` is the known setting most like it, or empty. `belongs_to` is the call that takes the keyword, or empty.
    """

    call: str
    name: str
    known: tuple[str, ...]
    nearest: str = ""
    belongs_to: str = ""

    def __str__(self) -> str:
        if self.belongs_to:
            remedy = f"it belongs to {self.belongs_to}"
        elif self.nearest:
            remedy = f"did you mean {self.nearest!r}?"
        else:
            remedy = f"it has {', '.join(self.known)}"
            if "params" in self.known:
                remedy += f"; the value of a cs.Param goes into params={{{self.name!r}: ...}}"
        return f"{self.call} has no setting {self.name!r}; {remedy}"


@dataclass(eq=False)
class CallError(CascadeError, TypeError):
    """A task is called with arguments that its signature does not take; `place` is the call's path in the tree."""

    task: str
    signature: str
    problem: str
    place: str = ""

    def __str__(self) -> str:
        where = f" in the call at {self.place}" if self.place else ""
        return f"task '{self.task}': {self.problem}{where}; its signature is {self.task}{self.signature}"


class MapError(SpecError, ValueError):
    """A map goes over something that has no items, or over inputs that don't fit together."""


@dataclass(eq=False)
class MapLengthError(CascadeError, ValueError):
    """The inputs of a map have unequal lengths."""

    task: str
    lengths: dict[str, int]

    def __str__(self) -> str:
        listed = ", ".join(f"{name}: {length}" for name, length in self.lengths.items())
        return f"task '{self.task}' is mapped over inputs of unequal lengths ({listed}); give each one as many items"


@dataclass(eq=False)
class UnpackError(CascadeError, ValueError):
    """`cs.unpack` got a value with fewer or more parts; `found` counts to one more than `wanted` at most."""

    wanted: int
    found: int

    def __str__(self) -> str:
        more = self.found > self.wanted
        found = f"more than {self.wanted}" if more else f"{self.found}"
        return f"cs.unpack(lazy, {self.wanted}) got {found} values; give the number that the task returns"


@dataclass(eq=False)
class InputError(CascadeError, ValueError):
    """A parameter or an environment variable is missing, or its value does not fit the contract."""

    contract: str
    problem: str

    def __str__(self) -> str:
        return f"{self.contract}: {self.problem}"


@dataclass(eq=False)
class MissingSecretError(InputError):
    """A secret is required, and no value is given. `name` is its name."""

    name: str


@dataclass(eq=False)
class KeptInputError(CascadeError, ValueError):
    """A run is to keep its inputs, and can't: `what` names the input or the workflow."""

    what: str
    problem: str

    def __str__(self) -> str:
        return f"keep_inputs=True can't keep {self.what}: {self.problem}"


@dataclass(eq=False)
class ContractConflictError(CascadeError, ValueError):
    """Two contracts of one name differ."""

    first: str
    second: str

    def __str__(self) -> str:
        return f"two contracts for one name: {self.first} and {self.second}; make them equal or rename one"


@dataclass(eq=False)
class TaskReferenceError(CascadeError, TypeError):
    """A task can't be found by its module and name, as another process would look for it."""

    task: str
    reference: str
    problem: str = "it is not that task; define it at the top of a module"

    def __str__(self) -> str:
        return f"task '{self.task}' can't be found by another process as {self.reference}: {self.problem}"


@dataclass(eq=False)
class ResourceReferenceError(CascadeError, TypeError):
    """A resource can't be found by its module and name, as another process would look for it."""

    resource: str
    reference: str

    def __str__(self) -> str:
        return (
            f"resource '{self.resource}' can't be found by another process as {self.reference}: it is not that "
            f"resource; define it at the top of a module"
        )


@dataclass(eq=False)
class SourceMissingError(CascadeError, TypeError):
    """The text of a task's code is not there, so that a change could not be seen; `code` is the function's name."""

    task: str
    code: str

    def __str__(self) -> str:
        what = "its text" if self.code.endswith(self.task) else f"the text of '{self.code}', which it calls,"
        return (
            f"task '{self.task}' can't be cached or recorded: {what} is not there, so a change would not be seen; "
            f"define it in a file, or give @cs.task(version='1') and change that by hand"
        )


@dataclass(eq=False)
class UncacheableError(CascadeError, TypeError):
    """A value has no canonical form, so it can't be part of a cache key; the call is made without the cache.

    `argument` is the parameter that got the value, or empty where that is not known.
    """

    kind: str
    argument: str = ""

    def __str__(self) -> str:
        where = f"argument '{self.argument}': " if self.argument else ""
        return (
            f"{where}a {self.kind} has no canonical form; pass plain data, say what stands for it with "
            f"register_encoder, or cache by a policy of your own"
        )


@dataclass(eq=False)
class CodecError(CascadeError, TypeError):
    """A codec can't turn a value into bytes; `path` leads to it inside the value that was given."""

    kind: str
    path: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path} is of type {self.kind}, which can't be stored; {self.remedy}"


@dataclass(eq=False)
class DamagedDataError(CascadeError, ValueError):
    """Bytes are not what a codec wrote under this key: changed, cut, swapped, or written by another codec."""

    problem: str

    def __str__(self) -> str:
        return f"stored data is damaged: {self.problem}; delete the entry, or restore the store from a copy"


@dataclass(eq=False)
class DataVersionError(CascadeError, ValueError):
    """Intact bytes have a format that this release does not know."""

    version: int
    known: int

    def __str__(self) -> str:
        return f"stored data has format {self.version}, this release knows up to {self.known}; use a newer release"


@dataclass(eq=False)
class FileUnreadableError(CascadeError, OSError):
    """The content of a `File` can't be read."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"the file {self.path!r} can't be read: {self.problem}; give the path of a file that is there"


@dataclass(eq=False)
class FileChangedError(CascadeError):
    """A `File` changed while a call with it was running: the value may come from either content."""

    task: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        listed = ", ".join(map(repr, self.arguments)) or "an argument"
        return f"the content of {listed} has changed while task '{self.task}' was called; its value is not cached"


@dataclass(eq=False)
class StoredReferenceError(CascadeError, LookupError):
    """Stored data names a class or a task that is not there, or is no longer what it was."""

    reference: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"stored data names {self.reference}, but {self.problem}; {self.remedy}"


@dataclass(eq=False)
class StoreError(CascadeError, OSError):
    """A store can't be read or written; `store` is its path or address, without a password."""

    store: str
    problem: str

    def __str__(self) -> str:
        return f"store {self.store}: {self.problem}"


class StoreNotFoundError(StoreError, FileNotFoundError):
    """A store that is only read from does not exist."""


@dataclass(eq=False)
class RunLostError(StoreError):
    """Another process has taken over a run while this one drove it; `driver` names it, as far as it is known.

    What this process has done since its last commit is not recorded.
    """

    run_id: str
    driver: str

    def __str__(self) -> str:
        return f"{super().__str__()}; what was done here since the last commit is not recorded"


@dataclass(eq=False)
class RunDamagedError(StoreError):
    """The facts of a run in a store can't be read: they were changed, or some are gone. Other runs are not affected."""

    run_id: str


@dataclass(eq=False)
class StoreFormatError(CascadeError, ValueError):
    """A store is of another kind or of a newer version than the code that opens it."""

    store: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"store {self.store} {self.problem}; {self.remedy}"


@dataclass(eq=False)
class RunActiveError(CascadeError, OSError):
    """Another process, or another run of this one, drives the run at this moment."""

    run_id: str
    store: str
    driver: str

    def __str__(self) -> str:
        by = f" by {self.driver}" if self.driver else ""
        return (
            f"run '{self.run_id}' in store {self.store} is being driven{by}; "
            f"wait for its end, or give another run_id"
        )


@dataclass(eq=False)
class RunValuesError(CascadeError, ValueError):
    """A recorded run keeps large values in a value store, and is to go on without one."""

    run_id: str

    def __str__(self) -> str:
        return (
            f"run '{self.run_id}' keeps its large values in a value store: give values= with the URL of that store "
            f"(--values on the command line), or restart=True to begin anew"
        )


@dataclass(eq=False)
class RunRulesError(CascadeError, ValueError):
    """Another version of Cascade has recorded the run, with digests that this one can't compare with its own."""

    run_id: str
    recorded_by: str

    def __str__(self) -> str:
        return (
            f"run '{self.run_id}' was recorded by {self.recorded_by}, and this version makes its digests by other "
            f"rules: it can't go on. Give restart=True to begin anew, or another run_id; `cascade runs show` still "
            f"shows it"
        )


@dataclass(eq=False)
class RunNotFoundError(CascadeError, LookupError):
    """A store has no run of this id."""

    run_id: str
    store: str

    def __str__(self) -> str:
        return f"store {self.store} has no run '{self.run_id}'; `cascade runs list` shows those that it has"


@dataclass(eq=False)
class MissingExtraError(CascadeError, ImportError):
    """A part of the engine was used whose extra is not installed."""

    used: str
    extra: str

    def __str__(self) -> str:
        return f"{self.used} needs an extra: pip install 'cascade-engine[{self.extra}]'"
