"""Placement: on which executor a call is made, where it runs there, and whether the engine may make it by itself.

It is decided from the lazy result and the engine alone, and so may be decided once for a structure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from enum import Enum, IntEnum
from typing import TypeGuard

from cascade.adapters.executors.chunks import ChunkCall, Progress
from cascade.adapters.executors.executor_words import executor_from_word
from cascade.adapters.executors.local import LocalExecutor
from cascade.graph.nodes import Node
from cascade.runtime.exceptions import UnknownExecutorError
from cascade.runtime.protocols import ChunkExecutor, Executor
from cascade.spec.errors import SpecError
from cascade.spec.lazy_types import Lazy, MappedLazyResult
from cascade.spec.policies.declared import POLICIES
from cascade.spec.policies.generated import none_given
from cascade.spec.policies.mode import Mode
from cascade.spec.task import AnyTask

LOOP_WORKER = "loop"
"""The worker of calls that are made in the thread of the event loop."""


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


class Placement:
    """The executors of an engine: the one for all calls, and those that tasks name with `on=`.

    A call is made where its `on=` says. On an executor of this machine it is then made where its `mode=` says, and
    where it has none, as the executor does by default.
    """

    def __init__(self, default: Executor | str | None, named: Mapping[str, Executor | str] | None) -> None:
        self._made: list[LocalExecutor] = []  # from words: closed with the engine
        self.default = self._executor("executor", "inline" if default is None else default)
        self._named = {name: self._executor("executors", each) for name, each in _checked(named).items()}
        # Only the built-in executor may be bypassed: one that builds on it sees every call.
        self.is_local = type(self.default) is LocalExecutor
        executors = [(None, self.default), *self._named.items()]
        self._admissions = {name: getattr(each, "admission", None) for name, each in executors}
        self._chunked = {name: each if _takes_chunks(each) else None for name, each in executors}
        self._local = self.default if isinstance(self.default, LocalExecutor) and self.is_local else None

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

    def executor_of(self, task: AnyTask) -> Executor:
        """Return the executor that makes the calls of a task."""
        return self.default if task.on is None else self._named[task.on]

    def admission(self, node: Node) -> AbstractAsyncContextManager[object]:
        """Wait for the worker that a call needs, where its executor says so apart from the call."""
        admission = self._admissions[None if node.task is None else node.task.on]
        made: AbstractAsyncContextManager[object] = nullcontext() if admission is None else admission(node)
        return made

    def check(self, task: AnyTask) -> None:
        """Check that the engine has the executor that a task names with `on=`.

        Raises:
            UnknownExecutorError: If there is none; it lists those that there are.
        """
        if task.on is not None and task.on not in self._named:
            raise UnknownExecutorError(task.name, task.on, tuple(self._named))

    def mode_of(self, lazy: Lazy) -> Mode | None:
        """Return where a call runs. `None` means as a coroutine on the event loop, or where only the executor knows."""
        local = self._local if lazy.task.on is None else self._local_named(lazy.task.on)
        return None if local is None else local.mode_of(lazy.task, lazy.policies.mode)

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
        return LOOP_WORKER if self.is_local else type(self.default).__name__

    def runs_on_loop(self, lazy: Lazy) -> bool:
        """Tell whether a call runs inline or is a coroutine, and may be made without its executor."""
        if lazy.task.on is not None and self._local_named(lazy.task.on) is None:
            return False
        return self.is_local and self.mode_of(lazy) in (None, Mode.INLINE)

    def takes_chunks(self, lazy: Lazy) -> bool:
        """Tell whether several calls like this one may go out together, to be made one after the other by a worker."""
        task = lazy.task
        if task.is_async or self._chunked[task.on] is None:
            return False
        executor = self.executor_of(task)
        if isinstance(executor, LocalExecutor):
            return executor.mode_of(task, lazy.policies.mode) in (Mode.THREAD, Mode.PROCESS)
        return True

    def is_pooled_here(self, lazy: Lazy) -> bool:
        """Tell whether a call goes to a thread or process of the built-in executor."""
        return type(self.executor_of(lazy.task)) is LocalExecutor and self.takes_chunks(lazy)

    def execute_chunk(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        """Make the calls of a chunk on the executor of their task, which takes chunks."""
        assert node.task is not None
        executor = self._chunked[node.task.on]
        assert executor is not None
        return executor.execute_chunk(node, calls)

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
        return any(
            isinstance(each, LocalExecutor) and each.default_mode is Mode.PROCESS
            for each in (self._local, *self._named.values())
        )

    async def close(self) -> None:
        """Close the executors that were made from words."""
        for executor in self._made:
            await executor.close()

    def _local_named(self, name: str) -> LocalExecutor | None:
        found = self._named[name]
        return found if isinstance(found, LocalExecutor) and type(found) is LocalExecutor else None


def _takes_chunks(executor: Executor) -> TypeGuard[ChunkExecutor]:
    """Tell whether an executor takes chunks.

    If its class builds on one that does, and makes single calls in a way of its own, it sees all calls in that way.
    """
    names = ("execute_chunk", "execute", "admission")
    first = next((name for cls in type(executor).__mro__ for name in names if name in vars(cls)), None)
    return first == "execute_chunk"


def _checked(named: Mapping[str, Executor | str] | None) -> Mapping[str, Executor | str]:
    if named is None:
        return {}
    if not isinstance(named, Mapping) or not all(isinstance(name, str) and name for name in named):
        raise SpecError(f"executors={named!r}", 'give a dict of names and executors: {"pool": "threads:8"}')
    return named
