"""Handle calls: calls that take or give handles, and the values that are fetched because somebody looks at them.

Which values those are is known from the structure: see `cascade.runtime.programs.whereabouts_search`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from cascade.adapters.executors.call_amounts import amounts_in_context
from cascade.adapters.executors.chunks import ChunkCall
from cascade.adapters.executors.fetching import as_arguments, fetched
from cascade.adapters.executors.handles import Handle
from cascade.adapters.values.large_results import stay_in_store
from cascade.graph.nodes import Node
from cascade.runtime.frames.frame import Job, Loop
from cascade.runtime.frames.map_runs import ItemJob
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.programs.program import Program
from cascade.runtime.programs.whereabouts import Whereabouts
from cascade.runtime.programs.whereabouts_search import whereabouts_of
from cascade.runtime.protocols import Executor, RemoteExecutor
from cascade.runtime.resolvers import Arguments
from cascade.runtime.running.call_needs import amounts_of
from cascade.runtime.sharing.capacity import Capacity
from cascade.runtime.sharing.placement import Placement, reads_value_stores
from cascade.spec.calls.quoting import Quoted
from cascade.spec.internal_tasks import PASS_THROUGH

HasHandles: TypeAlias = Callable[[], bool]


class HandleCalls:
    """Makes the calls of one run some of whose values may stay elsewhere.

    They stay with an executor that gives handles, or `in_store`: then a recorded run leaves large ones in its value
    store, and workers read them there. With `keeps_values`, somebody looks at every value: a record without a value
    store, a state of the user's, a preview. `has_handles` tells whether a recorded run has had a handle.
    """

    def __init__(
        self,
        placement: Placement,
        capacity: Capacity,
        *,
        keeps_values: bool,
        in_store: bool,
        has_handles: HasHandles,
    ) -> None:
        self._placement = placement
        self._capacity = capacity
        self._keeps_values = keeps_values
        self._in_store = in_store
        self._has_handles = has_handles

    def whereabouts(self, loop: Loop, program: Program, lazies: Lazies) -> Whereabouts:
        """Return where the values of a tree have to be; asked once for a structure."""
        is_looked_at = self._is_looked_at(loop)
        known, key = program.whereabouts, (is_looked_at, self._in_store)
        if key not in known:
            known[key] = whereabouts_of(program, lazies, self._placement, is_looked_at, self._in_store)
        return known[key]

    def _is_looked_at(self, loop: Loop) -> bool:
        """Tell whether somebody looks at the value of a loop: whoever runs it, or who takes what it stands for."""
        return loop.job is None or self.looks_at(loop.job)

    def looks_at(self, job: Job) -> bool:
        """Tell whether somebody looks at the value of a call."""
        known = job.frame.whereabouts
        if known is None or self._keeps_values or job.policies.cache is not None:
            return True
        return job.position in known.looked_at

    def is_kept_twice(self, job: Job) -> bool:
        """Tell whether the value of a call is looked at here, and is worth keeping there for other calls.

        Where every value comes here anyway, it is sent again to those that need it: most values are small.
        """
        known = job.frame.whereabouts
        if known is None or self._keeps_values or self._in_store:
            return False
        return job.position in known.looked_at and job.position in known.used_there

    def concerns(self, job: Job) -> bool:
        """Tell whether a call may give a handle, or take one: in most recorded runs there are none."""
        known = job.frame.whereabouts
        return known is None or not self._in_store or job.position in known.sent or self._has_handles()

    async def execute(self, job: Job, node: Node, resources: Mapping[str, Any]) -> Any:
        """Make a call where it belongs, and fetch its value if somebody looks at it.

        Raises:
            HandleLostError: If a value that is looked at is gone.
        """
        if self._in_store:
            return await self._execute_recorded(job, node, resources)
        remote = self._placement.remote_of(job.lazy)
        args, kwargs = job.arguments(resources, remote is not None)
        if remote is None and job.task in PASS_THROUGH:
            if not (args and isinstance(args[0], Handle)):
                return await self._hand_on(job, node, args, kwargs)
            remote = cast("RemoteExecutor", args[0].owner)  # an internal task runs where its input is
        args, kwargs = await self._owned_by(remote, args, kwargs)
        if remote is None:
            return await self._placement.executor_of(job.lazy).execute(node, args, kwargs)
        self.tell_amounts(job)
        is_looked_at = self.looks_at(job)
        if is_looked_at and not self.is_kept_twice(job):
            return await remote.execute(node, args, kwargs)
        value = await remote.execute_to_handle(node, args, kwargs)
        if not isinstance(value, Handle) or not is_looked_at:
            return value
        if not isinstance(job, ItemJob):
            job.frame.keep_handle(job.position, value)
        return await value.fetch()

    async def _execute_recorded(self, job: Job, node: Node, resources: Mapping[str, Any]) -> Any:
        """Make a call of a recorded run: handles in it are those of values in the value store."""
        args, kwargs = job.arguments(resources)
        executor, is_there = self._placement.executor_of(job.lazy), False
        if job.task in PASS_THROUGH:
            owner = args[0].owner if args and isinstance(args[0], Handle) else None
            if owner is None or not reads_value_stores(owner):
                return await self._hand_on(job, node, args, kwargs)
            executor, is_there = cast("Executor", owner), True
        is_there = is_there or self._reads(job)
        args, kwargs = await self._readable((args, kwargs), is_there)
        if is_there or self._placement.remote_of(job.lazy) is not None:
            self._prepare(job)
        return await executor.execute(node, args, kwargs)

    def _reads(self, job: Job) -> bool:
        return self._placement.reads_value_stores(job.lazy)

    async def _readable(self, arguments: Arguments, is_there: bool) -> Arguments:
        """Return arguments without handles: a worker reads what they stand for, or it is read here."""
        if is_there:
            sent: Arguments = as_arguments(arguments)
            return sent
        found: Arguments = await fetched(arguments)
        return found

    def _prepare(self, job: Job) -> None:
        """Tell an executor, in the context of a call, what that is about."""
        self.tell_amounts(job)
        if self._in_store:
            stay_in_store.set(not self.looks_at(job))

    async def own_calls(self, job: Job, calls: Sequence[ChunkCall]) -> Sequence[ChunkCall]:
        """Return the calls of a chunk without handles that its executor can't take."""
        owner, reads = self._placement.remote_of(job.lazy), self._in_store and self._reads(job)
        self._prepare(job)
        own = []
        for call in calls:
            if self._in_store:
                args, kwargs = await self._readable((call.args, call.kwargs), reads)
            else:
                args, kwargs = await self._owned_by(owner, call.args, call.kwargs)
            own.append(call._replace(args=args, kwargs=kwargs))
        return own

    def tell_amounts(self, job: Job) -> None:
        """Tell an executor, in the context of a call, what amounts that holds."""
        if job.policies.constraints is not None:
            amounts = amounts_of(job, self._capacity)
            amounts_in_context.set({str(name): float(amount) for name, amount in amounts.items()})

    async def _owned_by(
        self, owner: object, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Arguments:
        """Return arguments in which only handles of one executor are left."""
        # The structure tells which node comes from elsewhere, but not what the tree that a call returned has come to.
        found: Arguments = await fetched((args, kwargs), lambda handle: handle.owner is not owner)
        return found

    async def _hand_on(
        self, job: Job, node: Node, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Make the call of an internal task, which may hand handles on."""
        value = await self._placement.executor_of(job.lazy).execute(node, args, kwargs)
        if type(value) is Quoted and self.looks_at(job):
            return Quoted(await fetched(value.value))
        return value
