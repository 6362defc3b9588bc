"""The recorder: writes what a run is to know again if it goes on in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence, Set

from cascade.adapters.spawning import ended, spawn
from cascade.adapters.state.damage import as_damage
from cascade.adapters.state.keys import FrameKey
from cascade.adapters.values.large_results import Results
from cascade.graph.tree import Choice
from cascade.runtime.events import Status
from cascade.runtime.exceptions import AtomicLoopError, RunChangedError
from cascade.runtime.frames.atomic_dependencies import AtomicDependencies
from cascade.runtime.frames.frame import Frame, Job
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.reporting.reports import Reports
from cascade.runtime.programs.plain_values import given
from cascade.runtime.recording.atomic_loops import AtomicLoops, goes_round
from cascade.runtime.recording.commits import Commits
from cascade.runtime.recording.fact_labels import label_of, label_of_node, labels_of
from cascade.runtime.recording.node_digests import in_canonical_order
from cascade.runtime.recording.places import places_of
from cascade.runtime.recording.resumption import Resumption
from cascade.runtime.recording.run_record import NEVER_STORED
from cascade.runtime.recording.timeline_record import KeepTimeline, TimelineRecord
from cascade.runtime.sharing.resource_registry import ResourceRegistry
from cascade.runtime.strategies import BoundPlan
from cascade.spec.calls.error_text import error_name, is_error
from cascade.spec.durable import DurableStateBackend, FactLabel, NextRound, Note, RunStatus
from cascade.spec.lazy_types import Lazy, LazyResult
from cascade.spec.task import AnyTask

PutAhead = Callable[[object], Coroutine[object, object, None]]
KeepResults = Callable[[FrameKey, Sequence[bytes], Sequence[object], Sequence[FactLabel]], None]
"""Notes the values of many nodes of one frame, which are given by the digests of their paths."""


class Recorder:
    """Writes the facts of one run into a durable state backend.

    Facts are put as they come and committed as one batch at a time. What depends on a fact is held back until the
    commit that has it returns. `resumption` reads what the store has of the run from before.
    """

    def __init__(
        self,
        run_id: str,
        state: DurableStateBackend,
        wake_up: Callable[[], None],
        registry: ResourceRegistry,
        max_uncommitted: int | None = None,
    ) -> None:
        self.state = state
        self.commits = Commits(state, wake_up, max_uncommitted)
        self.resumption = Resumption(run_id, state, registry, self.commits)
        self.is_left = False
        """Whether the run stays unfinished in its store if it is cancelled: another process goes on with it."""
        self.ended: RunStatus | None = None
        """How the run has ended, as its store has it."""
        self._run_id = run_id
        self._registry = registry
        self._atomic_loops = AtomicLoops(registry) if registry.has_atomic else None
        self._is_held: Callable[[], bool] | None = getattr(state, "is_held", None)
        keeps_many = getattr(state, "keep_results", None) if getattr(state, "knows_scalars", False) else None
        self._keep_results: KeepResults | None = keeps_many
        self.has_value_store = bool(getattr(state, "has_value_store", False))
        is_put_ahead = getattr(state, "is_put_ahead", None) if self.has_value_store else None
        self._is_put_ahead: Callable[[object], bool] | None = is_put_ahead
        self._confirm: Callable[[], Awaitable[None]] | None = getattr(state, "confirm", None)

    def follow(self, reports: Reports) -> None:
        """Write along with commits what reports tell the timeline of the run."""
        keep: KeepTimeline = getattr(self.state, "keep_timeline")  # noqa: B009 - not of all durable states
        self.commits.timeline = TimelineRecord(keep, lambda: reports.timeline, self.commits.ask)

    async def finish(self, error: BaseException | None, undone: bool) -> None:
        """Commit what is left, with how the run has ended.

        What depends on atomic resources is final now, unless their release has `undone` what was done with them.

        Raises:
            StoreError: If that fails.
        """
        timeline, self.commits.timeline = (
            self.commits.timeline,
            None,
        )  # it asks these for commits: that is a cycle
        if timeline is not None:
            timeline.stop()
        if self.resumption.record is None:
            return  # the run has never become this process's own
        if self.commits.error is not None:
            raise self.commits.error  # what the store has is whole, and what came after the failure is lost
        if not undone:
            self.state.keep_provisional()
        status: RunStatus | None
        if error is None:
            status, ending = RunStatus.SUCCEEDED, Status.SUCCEEDED
        elif is_error(error, asyncio.CancelledError):
            status, ending = None if self.is_left else RunStatus.CANCELLED, Status.CANCELLED
        else:
            status, ending = RunStatus.FAILED, Status.FAILED
        if self.is_left and status is None:
            self.resumption.note_left()
        if status is not None:
            self.state.finish(status, "" if error is None else error_name(error))
        if timeline is not None:
            timeline.finish(ending)
        await self.state.commit()
        self.ended = status

    def results(self) -> Results | None:
        """Return where workers put large results; `None` if the run has no value store. Call it when it is open."""
        found: Callable[[], Results | None] | None = getattr(self.state, "results", None)
        return None if found is None else found()

    def is_put_ahead(self, task: AnyTask, value: object) -> bool:
        """Tell whether the value of a call is large, and so is put into the value store before it is recorded."""
        is_large = self._is_put_ahead
        return is_large is not None and task not in NEVER_STORED and is_large(value)

    async def put_ahead(self, value: object) -> None:
        """Put a large value into the value store while the event loop goes on, to the end also when cancelled.

        The call has given its value: a cancellation changes nothing in that.
        """
        put: PutAhead = getattr(self.state, "put_ahead")  # noqa: B009 - not of all durable states
        putting = spawn(put(value))
        await ended(putting, lambda _: None)
        putting.result()

    @property
    def leaves_values(self) -> bool:
        """Whether large results may stay in the value store of the run, where workers read them."""
        return bool(getattr(self.state, "leaves_values", False))

    @property
    def has_handles(self) -> bool:
        """Whether values of the run may be handles, or have some inside."""
        return bool(getattr(self.state, "has_handles", False))

    @property
    def identity(self) -> str:
        """The run's id and its salt, which differs from that of a run of the same id that was begun anew."""
        record = self.resumption.record
        salt = b"" if record is None else record.salt
        return f"{self._run_id}/{salt.hex()}"

    async def confirm(self) -> None:
        """Make sure, before calls are made, that the run is still this process's own.

        Only some stores have claims that end by themselves: Redis, for one. Others are not asked.

        Raises:
            RunLostError: If somebody else has taken the run.
            StoreError: If the store can't be asked.
        """
        if self._confirm is not None and self._is_held is not None and not self._is_held():
            await self._confirm()

    # What is kept

    def keep_result(self, job: Job, value: object) -> None:
        """Note the value of a call.

        Raises:
            CodecError: If it can't be kept.
        """
        if _is_passed_on(job):
            self.state.put_result(job.key, value)
            return
        if self.atomic_of(job):
            self.state.keep_result(job.key, value, label_of(job), provisional=True)
            return
        self.state.keep_result(job.key, value, label_of(job))
        self.commits.note_ended()

    def waits(self, job: Job) -> bool:
        """Tell whether what depends on the value of a call has to wait for a commit."""
        return not job.is_target and not _is_passed_on(job) and not self.atomic_of(job)

    def keep_plain(self, frame: Frame, node: int, value: object) -> None:
        """Note the value of a plain call that is not its tree's target.

        Raises:
            CodecError: If it can't be kept.
        """
        key = frame.node_key(node)
        if frame.lazies[node].task in NEVER_STORED:
            self.state.put_result(key, value)
            return
        label = label_of_node(frame, node)
        if frame.atomic_dependencies is not None and frame.atomic_dependencies.of(node):
            self.state.keep_result(key, value, label, provisional=True)
            return
        self.state.keep_result(key, value, label)
        self.commits.note_ended()

    def keeps_many(self, frame: Frame) -> bool:
        """Tell whether values of plain calls may be given to `keep_many`: scalars of Python's own, which do not change.

        The state backend has to know many at once, and to know that it can keep each.
        """
        return self._keep_results is not None and frame.atomic_dependencies is None

    def keep_many(self, frame: Frame, nodes: list[int], values: Sequence[object]) -> None:
        """Note the values of plain calls that are not their tree's target; as `keep_plain`."""
        assert self._keep_results is not None
        digests = places_of(frame.program.structure).digests
        labels = labels_of(frame, nodes)
        self._keep_results(
            frame.key, [digests[node] for node in nodes], [values[node] for node in nodes], labels
        )
        self.commits.note_ended(len(nodes))

    def keep_target(self, job: Job, target: Lazy) -> None:
        """Note that a call has returned the next target of its loop.

        Raises:
            AtomicLoopError: If the loop depends on an atomic resource, and goes round.
            CodecError: If a literal of it can't be kept.
            TaskReferenceError: If a task of it can't be found by its reference.
        """
        loop = job.frame.loop
        place, number = (loop.job, loop.round + 1) if job.is_target else (job, 0)
        atomic = self.atomic_of(job)
        if atomic and goes_round(target.task, {job.task, *(loop.met if job.is_target else ())}):
            raise AtomicLoopError(atomic, target.task.name)
        key = None if place is None else place.key
        self.state.put_target(
            key, NextRound(number, target), label_of(place or job), provisional=bool(atomic)
        )
        if not atomic:
            self.commits.note_ended()

    def keep_late(self, job: Job, value: object) -> None:
        """Note what a call gave while the run was already stopping, so that a run that goes on has it.

        Raises:
            CascadeError: If it can't be kept.
        """
        value = given(value)
        if isinstance(value, LazyResult):
            self.keep_target(job, value)
            return
        while job.is_target and job.frame.loop.job is not None:
            atomic = self.atomic_of(job)
            job = job.frame.loop.job  # what the target of a tree gives is the value of its place
            self.note_atomic(job, atomic)
        self.keep_result(job, value)

    def keep_skip(self, job: Job, reason: str) -> None:
        """Note why a call was skipped."""
        dependencies = job.frame.atomic_dependencies
        if dependencies is not None and dependencies.of_skip(job.position, reason):
            self.state.keep_skip(job.key, reason, label_of(job), provisional=True)
            return
        self.state.keep_skip(job.key, reason, label_of(job))
        self.commits.note_change()

    def keep_skipped_place(self, job: Job, reason: str) -> None:
        """Note that the tree in the place of a call was skipped, and so the call has no value."""
        provisional = bool(self.atomic_of(job))
        self.state.keep_skip(job.key, reason, label_of(job), provisional=provisional)
        if not provisional:
            self.commits.note_change()

    def keep_route(self, job: Job, choice: Choice, route: int | None) -> None:
        """Note which route a router has chosen, `None` if none.

        Raises:
            RunChangedError: If it took another one before.
        """
        routes = job.frame.program.calls[job.position].choices()
        before = self.state.get_note(job.key, Note.ROUTES) or (-1,) * len(routes)
        taken = -1 if route is None else choice.routes.index(route)
        if len(before) != len(routes):
            raise as_damage(ValueError("another number of routers"), self.resumption.store, self._run_id)
        index = routes.index(choice)
        self._check(
            before[index] in (-1, taken),
            f"the router in task '{job.name}' at {job.where} takes another route",
        )
        if before[index] != taken:
            dependencies = job.frame.atomic_dependencies
            provisional = dependencies is not None and bool(
                dependencies.of_routes(job.position, choice.selector)
            )
            taken_now = (*before[:index], taken, *before[index + 1 :])
            self.state.put_note(job.key, Note.ROUTES, taken_now, label_of(job), provisional=provisional)
            if not provisional:
                self.commits.note_change()

    # What depends on an atomic resource: it is kept apart until that is released

    def dependencies_of(self, frame: Frame, settled: Iterable[int]) -> AtomicDependencies | None:
        """Return the atomic dependencies of a frame, if there can be any. The facts of `settled` nodes are final."""
        if self._atomic_loops is None:
            return None
        return AtomicDependencies(
            self._registry.atomic_among, frame.program, frame.flow, settled, frame.loop.atomic
        )

    def check_loops(self, prepared: BoundPlan, atomic: str = "") -> None:
        """Check that no loop depends on an atomic resource, as far as the source of its tasks shows.

        Raises:
            AtomicLoopError: If one does.
        """
        if self._atomic_loops is not None:
            self._atomic_loops.check(prepared.program, prepared.lazies, atomic)

    def atomic_of(self, job: Job) -> str:
        """Return the atomic resource that a call depends on, which has been made; empty for none."""
        dependencies = job.frame.atomic_dependencies
        if dependencies is None:
            return ""
        return (isinstance(job, ItemJob) and job.atomic) or dependencies.of(job.position)

    def note_atomic(self, job: Job, atomic: str) -> None:
        """Note that what stands in the place of a call depends on a resource; empty for none."""
        if not atomic:
            return
        if isinstance(job, ItemJob):
            job.atomic = job.mapping.atomic = atomic
        elif job.frame.atomic_dependencies is not None:
            job.frame.atomic_dependencies.mark(job.position, atomic)

    def _check(self, holds: bool, change: str) -> None:
        if not holds:
            raise RunChangedError(self._run_id, (change,))

    @staticmethod
    def in_order(value: object) -> object:
        """Return what a map goes over, a set in an order that is the same in every process.

        A map's items are kept by their number.

        Raises:
            MapError: If it is a set with members that have no canonical form.
        """
        return in_canonical_order(value) if isinstance(value, Set) else value

    def begin_map(self, mapping: MapRun, items: list[ItemJob]) -> set[int]:
        """Note how many items a map has; return those whose values are there.

        Raises:
            RunChangedError: If it had more or fewer before.
        """
        job = mapping.job
        before = self.state.get_note(job.key, Note.SIZE)
        if before is None:
            provisional = bool(self.atomic_of(job))
            self.state.put_note(job.key, Note.SIZE, (mapping.size,), label_of(job), provisional=provisional)
            if not provisional:
                self.commits.note_change()
            return set()
        self._check(
            before == (mapping.size,), f"mapped task '{job.name}' at {job.where} has {mapping.size} items"
        )
        return {item.index for item in items if self.state.has_result(item.key)}


def _is_passed_on(job: Job) -> bool:
    """Tell whether the value of a call needs no record: it is made anew, or kept for another call."""
    return (job.is_target and job.frame.loop.job is not None) or job.task in NEVER_STORED
