"""Placement: on which executor a call is made, where it runs there, and whether the engine may make it by itself.

It is decided from the lazy result and the engine alone, and so may be decided once for a structure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from enum import Enum, IntEnum
from typing import NamedTuple, TypeGuard, cast

from cascade.adapters.executors.call_places import UNKNOWN, CallPlace
from cascade.adapters.executors.chunks import ChunkCall, Progress
from cascade.adapters.executors.executor_words import MadeExecutor, executor_from_word
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.executors.processes import ProcessExecutor
from cascade.graph.nodes import Node
from cascade.runtime.exceptions import UnknownExecutorError
from cascade.runtime.protocols import ChainExecutor, ChunkExecutor, Executor, PlacedExecutor, RemoteExecutor
from cascade.spec.errors import SpecError
from cascade.spec.internal_tasks import INTERNAL_TASKS
from cascade.spec.lazy_types import Lazy, MappedLazyResult
from cascade.spec.policies.declared import POLICIES
from cascade.spec.policies.generated import none_given
from cascade.spec.policies.mode import Mode
from cascade.spec.task import AnyTask

LOOP_WORKER = "loop"
"""The worker of calls that are made in the thread of the event loop."""


_BUILT_IN = (LocalExecutor, ProcessExecutor)
"""The executors of this machine: what they do is known here."""


class Way(Enum):
    """The ways in which a tree may be run.

    `INLINE`: all its calls are made in the event loop's thread, one after the other. `ON_LOOP`: there are coroutines
    among them, and nothing that needs an executor. `SCHEDULED`: whatever it has, by the general scheduler.
    """

    INLINE = "inline"
    ON_LOOP = "on the event loop"
    SCHEDULED = "scheduled"


is_just_called = none_given(row for row in POLICIES if not row.just_called)
"""Tells whether a call with these policies, once it may start, is made by calling its function and nothing else."""

in_stretches = none_given(row for row in POLICIES if not row.in_stretches)
"""Tells whether plain calls with these policies are made in stretches."""

is_called_here = none_given(row for row in POLICIES if not row.in_stretches and not row.just_called)
"""Tells whether an inline call with these policies is made by its run, once what it takes is there."""


class MadeHere(IntEnum):
    """Whether a run makes a call by itself, one after another of its frame.

    `PLAIN`: it needs only its turn. `ASKED`: if what it takes is there, and the cache answers without waiting.
    """

    NO = 0
    PLAIN = 1
    ASKED = 2


class Target(NamedTuple):
    """An executor, and what it has of the optional parts of the protocol."""

    executor: Executor
    chunked: ChunkExecutor | None
    remote: RemoteExecutor | None
    placed: PlacedExecutor | None
    tells_what_ends: bool

    @classmethod
    def of(cls, executor: Executor) -> Target:
        """Look at an executor."""
        chunked = executor if _takes_chunks(executor) else None
        remote = executor if _is_remote(executor) else None
        placed = executor if _tells_places(executor) else None
        # A class that makes calls in a way of its own still makes them there; what ends them, only it could say.
        return cls(
            executor, chunked, remote, placed, _first_of(executor, "place_of", "execute") == "place_of"
        )

    def admission(self, node: Node) -> AbstractAsyncContextManager[object]:
        """Wait for the worker that a call needs, where the executor says so apart from the call."""
        admission = getattr(self.executor, "admission", None)
        made: AbstractAsyncContextManager[object] = nullcontext() if admission is None else admission(node)
        return made


class Placement:
    """The executors of an engine: the one for all calls, and those that tasks name with `on=`.

    A call is made where its `on=` says, then where its `mode=` says, and then by the executor of the engine. The modes
    are places on this machine: where that executor knows none, calls with a mode are made beside it.
    """

    def __init__(self, default: Executor | str | None, named: Mapping[str, Executor | str] | None) -> None:
        self._made: list[MadeExecutor] = []  # from words, and the one beside: closed with the engine
        self.default = self._executor("executor", "inline" if default is None else default)
        executors = {name: self._executor("executors", each) for name, each in _checked(named).items()}
        # Only the built-in executor may be bypassed: one that builds on it sees every call.
        self.is_local = type(self.default) in _BUILT_IN
        self._local = _built_in(self.default)
        self._default = Target.of(self.default)
        self._named = {name: Target.of(each) for name, each in executors.items()}
        self._beside: Target | None = None
        if not isinstance(self.default, LocalExecutor):
            beside = LocalExecutor()
            self._made.append(beside)
            self._beside = Target.of(beside)
        self.may_give_handles = any(each.remote for each in (self._default, *self._named.values()))

    def _executor(self, setting: str, given: Executor | str) -> Executor:
        if isinstance(given, str):
            self._made.append(executor_from_word(given))
            return self._made[-1]
        if isinstance(given, type) or not hasattr(given, "execute"):
            what = given.__name__ if isinstance(given, type) else type(given).__name__
            raise SpecError(
                f"{setting}= got {what}, which is not an executor", "give an object with `execute`"
            )
        return given

    def _target(self, task: AnyTask, mode: Mode | None) -> Target:
        """Return where a call is made."""
        if task.on is not None:
            return self._named[task.on]
        if mode is not None and self._beside is not None:
            return self._beside
        return self._default

    def _target_of(self, lazy: Lazy) -> Target:
        return self._target(lazy.task, lazy.policies.mode)

    def executor_of(self, lazy: Lazy) -> Executor:
        """Return the executor that makes a call."""
        return self._target_of(lazy).executor

    def remote_of(self, lazy: Lazy) -> RemoteExecutor | None:
        """Return the executor that makes a call, if that takes handles and gives them."""
        remote = self._target_of(lazy).remote
        return remote if remote is not None and remote.takes_handles(lazy.task) else None

    def reads_value_stores(self, lazy: Lazy) -> bool:
        """Tell whether a call is made by a worker that reads its arguments from the value store of a recorded run."""
        target = self._target_of(lazy)
        built_in = _built_in(target.executor)
        if built_in is not None:
            return built_in.mode_of(lazy.task, lazy.policies.mode) is Mode.PROCESS
        if not reads_value_stores(target.executor) or lazy.task in INTERNAL_TASKS:
            return False
        return target.remote is None or target.remote.takes_handles(lazy.task)

    def admission(self, node: Node) -> AbstractAsyncContextManager[object]:
        """Wait for the worker that a call needs, where its executor says so apart from the call."""
        assert node.task is not None
        return self._target(node.task, node.mode).admission(node)

    def check(self, task: AnyTask) -> None:
        """Check that the engine has the executor that a task names with `on=`.

        Raises:
            UnknownExecutorError: If there is none; it lists those that there are.
        """
        if task.on is not None and task.on not in self._named:
            raise UnknownExecutorError(task.name, task.on, tuple(self._named))

    def mode_of(self, lazy: Lazy) -> Mode | None:
        """Return where a call runs. `None` means as a coroutine on the event loop, or where only the executor knows."""
        # Once for most calls: the usual one first.
        is_usual = self._local is not None and lazy.task.on is None
        local = self._local if is_usual else _built_in(self.executor_of(lazy))
        return None if local is None else local.mode_of(lazy.task, lazy.policies.mode)

    def place_of(self, lazy: Lazy) -> CallPlace:
        """Return where a call is made, and what a timeout and a cancellation do to it, as its executor says."""
        target = self._target_of(lazy)
        if target.placed is None:
            return UNKNOWN
        place = target.placed.place_of(lazy.task, lazy.policies.mode)
        return place if target.tells_what_ends else CallPlace(place.home, *UNKNOWN[1:])

    def is_inline(self, lazy: Lazy) -> bool:
        """Tell whether a call is a plain function in the event loop's thread, and may be made without its executor."""
        return self.is_local and self.mode_of(lazy) is Mode.INLINE

    def made_here(self, lazy: Lazy, takes_resources: bool) -> MadeHere:
        """Tell whether a run makes a call by itself; it follows from the structure of a tree and the executors."""
        policies = lazy.policies
        if isinstance(lazy, MappedLazyResult) or not self.is_inline(lazy):
            return MadeHere.NO
        if is_called_here(policies):
            return MadeHere.ASKED if takes_resources or policies.constraints is not None else MadeHere.PLAIN
        is_cached = is_called_here(policies._replace(cache=None)) and policies.constraints is None
        return MadeHere.ASKED if is_cached and not takes_resources else MadeHere.NO

    def worker_of(self, lazy: Lazy) -> str:
        """Return who makes a call, for people: the loop, a kind of pool, or an executor by its name."""
        mode = self.mode_of(lazy)
        if mode is not None:
            return LOOP_WORKER if mode is Mode.INLINE else mode.value
        if lazy.task.on is not None:
            return lazy.task.on
        executor = self.executor_of(lazy)
        return LOOP_WORKER if _built_in(executor) else type(executor).__name__

    def runs_on_loop(self, lazy: Lazy) -> bool:
        """Tell whether a call runs inline or is a coroutine, and may be made without its executor."""
        if _built_in(self.executor_of(lazy)) is None:
            return False
        return self.is_local and self.mode_of(lazy) in (None, Mode.INLINE)

    def takes_chunks(self, lazy: Lazy) -> bool:
        """Tell whether several calls like this one may go out together, to be made one after the other by a worker."""
        task, target = lazy.task, self._target_of(lazy)
        if task.is_async or target.chunked is None:
            return False
        if isinstance(target.executor, LocalExecutor):
            return target.executor.mode_of(task, lazy.policies.mode) in (Mode.THREAD, Mode.PROCESS)
        return target.remote is None or target.remote.takes_handles(task)

    def takes_call_chunks(self, lazy: Lazy) -> bool:
        """Tell whether calls that are no items may go out together too.

        They do to a thread or process of the built-in executor, and to one whose results may stay where they are. An
        executor of the user's own gets them one by one.
        """
        target = self._target_of(lazy)
        is_known = _built_in(target.executor) is not None or target.remote is not None
        return is_known and self.takes_chunks(lazy)

    def takes_chains(self, lazy: Lazy) -> bool:
        """Tell whether a call may go to a worker together with the one whose value it takes."""
        return self.remote_of(lazy) is not None and hasattr(self.executor_of(lazy), "execute_chain")

    def execute_chain(
        self, nodes: Sequence[Node], calls: Sequence[ChunkCall], to_handles: bool
    ) -> AsyncIterator[Progress]:
        """Make the calls of a chain on their executor, which takes chains."""
        assert nodes[0].task is not None
        executor = self._target(nodes[0].task, nodes[0].mode).executor
        return cast("ChainExecutor", executor).execute_chain(nodes, calls, to_handles)

    def execute_chunk(
        self, node: Node, calls: Sequence[ChunkCall], to_handles: bool
    ) -> AsyncIterator[Progress]:
        """Make the calls of a chunk on the executor of their task, which takes chunks.

        Their values may stay where they are made if that is said, and if the executor can leave them there.
        """
        assert node.task is not None
        target = self._target(node.task, node.mode)
        assert target.chunked is not None
        if to_handles and target.remote is not None:
            leave = getattr(target.remote, "execute_chunk_to_handles", None)
            if leave is not None:
                progress: AsyncIterator[Progress] = leave(node, calls)
                return progress
        return target.chunked.execute_chunk(node, calls)

    def way_of(self, lazies: Iterable[Lazy]) -> Way:
        """Return the way in which a tree may be run that has calls like these.

        It follows from the tasks, their modes and policies, and so from the structure of the tree, and from the
        executors alone. Whether it is taken is a matter of the moment: see `TimeSlice.allowed`.
        """
        lazies = [*lazies]
        if all(map(self.is_inline, lazies)):
            return Way.INLINE
        is_simple = all(self.runs_on_loop(lazy) and is_just_called(lazy.policies) for lazy in lazies)
        return Way.ON_LOOP if is_simple else Way.SCHEDULED

    @property
    def needs_references(self) -> bool:
        """Whether plain functions without a policy may be sent to another process, where they are found by name."""
        locals_ = (_built_in(each.executor) for each in (self._default, *self._named.values()))
        return any(each is not None and each.default_mode is Mode.PROCESS for each in locals_)

    async def close(self) -> None:
        """Close the executors that were made from words."""
        for executor in self._made:
            await executor.close()


def _built_in(executor: Executor) -> LocalExecutor | None:
    """Return an executor that is the built-in one: one that builds on it may do otherwise."""
    return executor if isinstance(executor, LocalExecutor) and type(executor) in _BUILT_IN else None


def _is_remote(executor: Executor) -> TypeGuard[RemoteExecutor]:
    return hasattr(executor, "takes_handles") and hasattr(executor, "execute_to_handle")


def reads_value_stores(executor: object) -> bool:
    """Tell whether the workers of an executor read arguments from the value store of a recorded run."""
    return bool(getattr(executor, "reads_value_stores", False))


def _takes_chunks(executor: Executor) -> TypeGuard[ChunkExecutor]:
    """Tell whether an executor takes chunks.

    If its class builds on one that does, and makes single calls in a way of its own, it sees all calls in that way.
    """
    return _first_of(executor, "execute_chunk", "execute", "admission") == "execute_chunk"


def _first_of(executor: Executor, *names: str) -> str | None:
    """Return which of these methods the class of an executor has, or the next class that it builds on."""
    return next((name for cls in type(executor).__mro__ for name in names if name in vars(cls)), None)


def _tells_places(executor: Executor) -> TypeGuard[PlacedExecutor]:
    return hasattr(executor, "place_of")


def _checked(named: Mapping[str, Executor | str] | None) -> Mapping[str, Executor | str]:
    if named is None:
        return {}
    if not isinstance(named, Mapping) or not all(isinstance(name, str) and name for name in named):
        raise SpecError(f"executors={named!r}", 'give a dict of names and executors: {"pool": "threads:8"}')
    return named
