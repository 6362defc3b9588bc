"""Recording: a run whose facts outlive it. What is kept, when it is committed, and what is read when it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cascade.adapters.state.damage import as_damage, checking
from cascade.adapters.state.digests import path_digest
from cascade.adapters.state.keys import FrameKey, NodeKey
from cascade.graph.path import StructurePath
from cascade.runtime.events import SkipReason
from cascade.runtime.exceptions import AtomicLoopError, RunChangedError
from cascade.runtime.frames.atomic_dependencies import AtomicDependencies
from cascade.runtime.frames.jobs import ItemJob
from cascade.runtime.programs.plain_values import given
from cascade.runtime.recording.atomic_loops import AtomicLoops, goes_round
from cascade.runtime.recording.commits import Commits
from cascade.runtime.recording.run_record import (
    NEVER_STORED,
    Differences,
    code_of,
    differences,
    in_canonical_order,
    make_record,
    merged,
)
from cascade.spec.calls.missing import MISSING
from cascade.spec.digest_rules import made_by
from cascade.spec.durable import DurableStateBackend, FactLabel, NextRound, Note, RunRecord, RunStatus
from cascade.spec.error_text import is_error
from cascade.spec.errors import RunRulesError
from cascade.spec.lazy_types import LazyResult, ParamLazyResult

if TYPE_CHECKING:
    from cascade.graph.tree import Choice, Tree
    from cascade.runtime.frames.frame import Frame
    from cascade.runtime.frames.jobs import Job
    from cascade.runtime.frames.map_runs import MapRun
    from cascade.runtime.options import RunOptions
    from cascade.runtime.programs.program import Program
    from cascade.runtime.resource_manager import ResourceRegistry
    from cascade.runtime.strategies import Prepared

_STEPS_SHOWN = 6
"""Of a place the last steps are told in the store: as text, the paths of a deep chain would fill it."""


class Recording:
    """What one run keeps in a durable state backend.

    Facts are put as they come and committed as one batch at a time; what depends on a fact is held back until the
    commit that has it returns. A run that goes on reads the facts of the frames that it was in.
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
        self._registry = registry
        self._atomic_loops = AtomicLoops(registry) if registry.has_atomic else None
        self._run_id = run_id
        self._store: str = getattr(state, "store", type(state).__name__)
        self._is_held: Callable[[], bool] | None = getattr(state, "is_held", None)
        self._confirm: Callable[[], Awaitable[None]] | None = getattr(state, "confirm", None)
        self.commits = Commits(state, wake_up, max_uncommitted)
        self._record: RunRecord | None = None
        self._code: set[tuple[str, str]] = set()
        self._changed = Differences()
        self.is_resumed = False

    # The life of the run

    async def open(self, tree: Tree, options: RunOptions) -> NextRound | None:
        """Take the run, whose first target has this tree, and return what its loop goes on with, if it is past that.

        Its record is committed before its first call is made: who goes on after a kill in the middle of that one
        has the same identity, and so gives the same idempotency key.

        Raises:
            RunActiveError: If somebody else drives it.
            RunChangedError: If it began as another one, and is not to go on as far as that is compatible.
            RunRulesError: If another version of Cascade has recorded it.
            StoreError: If the store can't be read or written.
        """
        later = await self._open(tree, options)
        await self.commits.first()
        return later

    async def _open(self, tree: Tree, options: RunOptions) -> NextRound | None:
        known = await (self.state.open(anew=True) if options.restart else self.state.open())
        now = make_record(tree, options.params, None if known is None else known.salt, self._contracts(tree))
        if known is None:
            self._begin(now)
            return None
        if known.rules != now.rules:
            raise RunRulesError(self._run_id, made_by(known.rules))
        self._changed = differences(known, now, tree)
        if self._changed.told and not options.compatible:
            raise RunChangedError(self._run_id, self._changed.told)
        later = self.state.get_target(None)  # before anything is put: it may not be readable here
        if later is not None and (self._changed.nodes or self._changed.inputs):
            self._begin(now)  # the rounds so far came of another beginning
            return None
        self._go_on(merged(known, now) if self._changed.told else known)
        return later

    def _contracts(self, tree: Tree) -> list[Any]:
        """Return the inputs of the resources that a tree takes."""
        names = dict.fromkeys(name for call in tree.structure.calls for name in call.resources())
        return self._registry.contracts(names)

    def _begin(self, record: RunRecord) -> None:
        self._changed = Differences()
        self.state.begin(record)
        self._note_record(record)

    def _go_on(self, record: RunRecord) -> None:
        self.is_resumed = True
        self._replace_record(record)

    def _replace_record(self, record: RunRecord) -> None:
        self.state.put_record(record)
        self._note_record(record)

    def _note_record(self, record: RunRecord) -> None:
        self._record = record
        self._code = {(each.module, each.qualname) for each in record.code}
        self.commits.note_change()

    async def finish(self, error: BaseException | None, undone: bool) -> None:
        """Commit what is left, with how the run has ended.

        What depends on atomic resources is final now, unless their release has `undone` what was done with them.

        Raises:
            StoreError: If that fails.
        """
        if self._record is None:
            return  # the run has never become this process's own
        if self.commits.error is not None:
            raise self.commits.error  # the store has failed before: what it holds is whole, and what came later is lost
        if not undone:
            self.state.keep_provisional()
        if error is None:
            self.state.finish(RunStatus.SUCCEEDED, "")
        elif is_error(error, asyncio.CancelledError):
            self.state.finish(RunStatus.CANCELLED, type(error).__name__)
        else:
            self.state.finish(RunStatus.FAILED, type(error).__name__)
        await self.state.commit()

    @property
    def identity(self) -> str:
        """The run's id, with what tells it from a run of that id that was begun anew."""
        salt = b"" if self._record is None else self._record.salt
        return f"{self._run_id}/{salt.hex()}"

    async def confirm(self) -> None:
        """Make sure that the run is this process's own, where a claim on it may end by itself; before calls are made.

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
            self.state.keep_result(job.key, value, _call(job), provisional=True)
            return
        self.state.keep_result(job.key, value, _call(job))
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
        call = FactLabel(frame.lazies[node].task.name, _text(frame.program, node))
        if frame.atomic_dependencies is not None and frame.atomic_dependencies.of(node):
            self.state.keep_result(key, value, call, provisional=True)
            return
        self.state.keep_result(key, value, call)
        self.commits.note_ended()

    def keep_target(self, job: Job, target: LazyResult[Any]) -> None:
        """Note that the call has returned the target that its loop goes on with.

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
        self.state.put_target(key, NextRound(number, target), _call(place or job), provisional=bool(atomic))
        if not atomic:
            self.commits.note_ended()

    def keep_late(self, job: Job, value: object) -> None:
        """Note what a call gave when the run was stopping already: for a run that goes on, as it stands there.

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
            self.state.keep_skip(job.key, reason, _call(job), provisional=True)
            return
        self.state.keep_skip(job.key, reason, _call(job))
        self.commits.note_change()

    def keep_skipped_place(self, job: Job, reason: str) -> None:
        """Note that what stands in the place of a call was skipped, and so the call has no value."""
        provisional = bool(self.atomic_of(job))
        self.state.keep_skip(job.key, reason, _call(job), provisional=provisional)
        if not provisional:
            self.commits.note_change()

    def keep_route(self, job: Job, choice: Choice, route: int | None) -> None:
        """Note which route a router took.

        Raises:
            RunChangedError: If it took another one before.
        """
        routes = job.frame.program.calls[job.position].choices()
        before = self.state.get_note(job.key, Note.ROUTES) or (-1,) * len(routes)
        taken = -1 if route is None else choice.routes.index(route)
        if len(before) != len(routes):
            raise as_damage(ValueError("another number of routers"), self._store, self._run_id)
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
            self.state.put_note(job.key, Note.ROUTES, taken_now, _call(job), provisional=provisional)
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

    def check_loops(self, prepared: Prepared, atomic: str = "") -> None:
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

    # What is read

    def restore(self, key: FrameKey, prepared: Prepared, recovered: bool) -> dict[int, SkipReason]:
        """Prepare the facts of a frame that opens; return the nodes that are settled by them, and how.

        Only a frame that the run was in before has facts to go on with; they are those of the nodes that have not
        changed since.
        """
        self._note_code(prepared)
        if not recovered:
            if self.state.holds(key):
                self.state.clear(key)
            return {}
        program, lazies = prepared.program, prepared.lazies
        settled: dict[int, SkipReason] = {}
        changed = self._changed_nodes(key, prepared) if self._changed.told else frozenset()
        for position in program.order:
            node = NodeKey(key, program.paths[position])
            if position in changed:
                self.state.discard(node)
            elif self.state.has_result(node):
                settled[position] = SkipReason.RECOVERED
            elif reason := self.state.get_skip_reason(node):
                if (
                    self.state.get_target(node) is not None
                ):  # it was called, and the tree in its place was skipped
                    settled[position] = SkipReason.RECOVERED
                    continue
                with checking(self._store, self._run_id):
                    settled[position] = SkipReason(reason)
                otherwise = lazies[position].policies.otherwise
                if reason == SkipReason.CONDITION_FALSE and otherwise is not MISSING:
                    self.state.put_result(node, otherwise)
        return settled

    def _changed_nodes(self, key: FrameKey, prepared: Prepared) -> frozenset[int]:
        """Return the nodes that have changed in code or inputs, or depend on such ones; and all that were skipped.

        Skips are decided anew: what they were decided by may have changed.
        """
        program, lazies = prepared.program, prepared.lazies
        first = key.parent is None and key.number == 0
        changed: set[int] = set()
        for position in program.order:
            call, lazy = program.calls[position], lazies[position]
            routes = [route for choice in call.choices() for route in choice.routes]
            if (
                tuple(lazy.task.reference) in self._changed.tasks
                or (first and path_digest(program.paths[position]) in self._changed.nodes)
                or (isinstance(lazy, ParamLazyResult) and lazy.contract.name in self._changed.inputs)
                or any(
                    contract.name in self._changed.inputs
                    for contract in self._registry.contracts(program.resources[position])
                )
                or not changed.isdisjoint((*program.inputs[position], *call.conditions, *routes))
            ):
                changed.add(position)
        skipped = {
            position
            for position, path in enumerate(program.paths)
            if self.state.get_skip_reason(NodeKey(key, path)) is not None
        }
        return frozenset(changed | skipped)

    def pending(self, job: Job) -> NextRound | None:
        """Return what the loop in the place of a call goes on with, if the run was in it before."""
        return self.state.get_target(job.key) if job.frame.loop.recovered else None

    @staticmethod
    def in_order(value: Any) -> Any:
        """Return what a map goes over in an order that it has in every process: items are kept by their number.

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
            self.state.put_note(job.key, Note.SIZE, (mapping.size,), _call(job), provisional=provisional)
            if not provisional:
                self.commits.note_change()
            return set()
        self._check(
            before == (mapping.size,), f"mapped task '{job.name}' at {job.where} has {mapping.size} items"
        )
        return {item.index for item in items if self.state.has_result(item.key)}

    def _note_code(self, prepared: Prepared) -> None:
        """Add the code of tasks that the run has not met before to its record."""
        met = {lazy.task for lazy in prepared.lazies} - NEVER_STORED
        if all(tuple(task.reference) in self._code for task in met):
            return
        assert self._record is not None
        new = {each for each in code_of(prepared.lazies) if (each.module, each.qualname) not in self._code}
        if new:
            self._replace_record(replace(self._record, code=tuple(sorted({*self._record.code, *new}))))


def _is_passed_on(job: Job) -> bool:
    """Tell whether a call's value is not kept itself: it is made anew, or kept as that of the place it stands in."""
    return (job.is_target and job.frame.loop.job is not None) or job.task in NEVER_STORED


def _call(job: Job) -> FactLabel:
    return FactLabel(job.name, _text(job.frame.program, job.position) + job.suffix)


def _text(program: Program, position: int) -> str:
    """Return the place of a node as text, made once for all runs of a structure."""
    text = program.texts.get(position)
    if text is None:
        text = program.texts[position] = _place(program.paths[position])
    return text


def _place(path: StructurePath) -> str:
    """Return a place as text, in full only if it is not deep."""
    steps: list[str] = []
    each: StructurePath | None = path
    while each is not None and each.segment is not None and len(steps) < _STEPS_SHOWN:
        steps.append(str(each.segment))
        each = each.parent
    begin = "root" if each is None or each.segment is None else "..."
    return begin + "".join(reversed(steps))
