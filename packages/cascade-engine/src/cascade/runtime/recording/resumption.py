"""Resumption: what a run finds in its store when it begins, and which of those facts still count.

A run that goes on compares its record with what it is asked to do now. Then each frame that it was in before is
restored from its facts, but those of nodes that have changed since, in code, inputs or arguments, and of all nodes that
depend on such ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from cascade.adapters.state.damage import checking
from cascade.adapters.state.digests import path_digest
from cascade.adapters.state.keys import FrameKey, FrameKind, NodeKey
from cascade.adapters.state.recorded.kept_inputs import KeptInputs
from cascade.graph.path import ROOT
from cascade.graph.plain_rows import bare_forms
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.tree import Tree
from cascade.runtime.events import SkipReason
from cascade.runtime.exceptions import RunChangedError, RunEndedError
from cascade.runtime.frames.frame import Job
from cascade.runtime.options import RunOptions
from cascade.runtime.programs.whereabouts import Whereabouts
from cascade.runtime.recording.commits import Commits
from cascade.runtime.recording.inputs_to_keep import inputs_to_keep, secret_params
from cascade.runtime.recording.run_differences import Differences, compare, merged
from cascade.runtime.recording.run_record import code_of, make_record, tasks_of
from cascade.runtime.sharing.resource_registry import ResourceRegistry
from cascade.runtime.sharing.time_slice import in_slices
from cascade.runtime.strategies import BoundPlan
from cascade.spec.calls.missing import MISSING
from cascade.spec.common import Contract
from cascade.spec.digest_rules import made_by
from cascade.spec.durable import (
    NO_TAKES,
    OPEN,
    DurableStateBackend,
    NextRound,
    Note,
    RunRecord,
    RunStatus,
    Takes,
)
from cascade.spec.errors import KeptInputError, RunRulesError
from cascade.spec.lazy_types import MappedLazyResult, ParamLazyResult

Fetch: TypeAlias = Callable[[Iterable[NodeKey]], Awaitable[None]]
Unfetched: TypeAlias = Callable[[Iterable[NodeKey]], list[NodeKey]]
Seal: TypeAlias = Callable[[KeptInputs], bytes]


class Resumption:
    """The record of one run, and its facts from before.

    `record` is `None` until the run has become this process's own. `is_resumed` says that the run goes on from facts in
    the store. `store` is the name of the store in errors.
    """

    def __init__(
        self, run_id: str, state: DurableStateBackend, registry: ResourceRegistry, commits: Commits
    ) -> None:
        self.store: str = getattr(state, "store", type(state).__name__)
        self.record: RunRecord | None = None
        self.is_resumed = False
        self._run_id = run_id
        self._state = state
        self._registry = registry
        self._commits = commits
        self._code: set[tuple[str, str]] = set()  # the references of tasks whose code the record has
        self._changed = Differences()
        self._inputs: bytes | None = None  # what is to be kept of them, until it is put
        self._left: bytes | None = None  # the same, without this process's having taken the run over
        # Begins the span of the run, in the trace of the first span that is recorded of it, and names the span.
        self.trace: Callable[[Mapping[str, str] | None], Mapping[str, str]] | None = None

    async def open(self, tree: Tree, options: RunOptions) -> NextRound | None:
        """Take the run, whose first target has this tree; return the round that its loop goes on with, if it is later.

        The record is committed before the first call is made. So who goes on after a kill in the middle of that call
        has the same identity, and gives the same idempotency key.

        Raises:
            RunActiveError: If somebody else drives it.
            RunEndedError: If it was to be taken over, and is not interrupted any more.
            KeptInputError: If an input is to be kept, and can't.
            RunChangedError: If it began as another one, and `resume="compatible"` was not asked for.
            RunRulesError: If another version of Cascade has recorded it.
            StoreError: If the store can't be read or written.
        """
        later = await self._open(tree, options)
        await self._commits.first()
        return later

    async def _open(self, tree: Tree, options: RunOptions) -> NextRound | None:
        secrets = secret_params(self._declared(tree, options))
        self._inputs = self._sealed_inputs(tree, options)
        known = await (self._state.open(anew=True) if options.restart else self._state.open())
        if options.recovers:
            self._check_interrupted(known)
            self._count_take(tree, options)
        salt = None if known is None else known.salt
        compared = {name: value for name, value in options.params.items() if name not in secrets}
        now = await in_slices(make_record(tree, compared, salt, self._contracts(tree)))
        if self.trace is not None:
            named = dict(self.trace((known and known.trace) or None))
            now = replace(now, trace=named)
        if known is None:
            self._begin(now)
            return None
        now = replace(now, trace=known.trace or now.trace)
        if known.rules != now.rules:
            raise RunRulesError(self._run_id, made_by(known.rules))
        # Earlier versions compared a secret that only a later round reads.
        known = replace(
            known, inputs={name: value for name, value in known.inputs.items() if name not in secrets}
        )
        self._changed = compare(known, now, tree)
        if self._changed.texts and not options.compatible:
            raise RunChangedError(self._run_id, self._changed.texts)
        later = self._state.get_target(None)  # before anything is put: it may not be readable here
        if later is not None and (self._changed.nodes or self._changed.inputs):
            self._begin(now)  # the rounds so far came of another beginning
            return None
        is_new = bool(self._changed.texts) or now.trace != known.trace
        self._go_on(merged(known, now) if is_new else known)
        return later

    def _declared(self, tree: Tree, options: RunOptions) -> list[Contract]:
        """Return all inputs that the run may read, as far as that is known when it begins."""
        read = (
            [each.contract for each in tree.lazies if isinstance(each, ParamLazyResult)]
            if options.params
            else []
        )
        return [*read, *(options.spec.contracts if options.spec else ()), *self._registry.contracts()]

    def _sealed_inputs(self, tree: Tree, options: RunOptions, takes: Takes = NO_TAKES) -> bytes | None:
        """Return what is to be kept of the inputs, if anything is.

        Raises:
            KeptInputError: If an input can't be kept.
        """
        if options.workflow is None:
            return None
        seal: Seal | None = getattr(self._state, "seal_inputs", None)
        if seal is None:
            raise KeptInputError("inputs", f"the state backend {self.store} has no place for them")
        kept = inputs_to_keep(options.workflow, options.params, self._declared(tree, options))
        return seal(replace(kept, takes=takes))

    def _count_take(self, tree: Tree, options: RunOptions) -> None:
        """Note with the inputs, before the first call, that the run was taken over once more."""
        found: Callable[[], bytes] | None = getattr(self._state, "found_mark", None)
        if found is None:
            return
        mark = found()
        count = options.takes.number if options.takes.mark == mark else 0
        self._left = self._sealed_inputs(tree, options, Takes(count, mark))
        self._inputs = self._sealed_inputs(tree, options, Takes(count + 1, mark))

    def note_left(self) -> None:
        """Note that this process has given the run up in order: it was not interrupted in it."""
        self._inputs, self._left = self._left, None
        self._keep_inputs()

    def _check_interrupted(self, known: RunRecord | None) -> None:
        """Check that the run, which is this process's own now, has not ended meanwhile.

        Raises:
            RunEndedError: If it has, or is gone.
        """
        status: RunStatus | None = getattr(self._state, "found_status", None)
        if known is None or status not in OPEN:
            raise RunEndedError(self._run_id, "" if known is None or status is None else status)

    def _contracts(self, tree: Tree) -> list[Contract]:
        """Return the inputs of the resources that a tree takes."""
        structure = tree.structure
        if isinstance(structure, PlainStructure) and all(bare_forms(tree, structure)):
            return []
        names = dict.fromkeys(name for call in structure.calls for name in call.resources())
        return self._registry.contracts(names)

    def _begin(self, record: RunRecord) -> None:
        self._changed = Differences()
        self._state.begin(record)
        self._keep_inputs()
        self._note_record(record)

    def _go_on(self, record: RunRecord) -> None:
        self.is_resumed = True
        self._replace_record(record)

    def _replace_record(self, record: RunRecord) -> None:
        self._state.put_record(record)
        self._keep_inputs()
        self._note_record(record)

    def _keep_inputs(self) -> None:
        inputs, self._inputs = self._inputs, None
        if inputs is not None:
            keep: Callable[[bytes], None] = getattr(self._state, "keep_inputs")  # noqa: B009 - not of all durable states
            keep(inputs)

    def _note_record(self, record: RunRecord) -> None:
        self.record = record
        self._code = {(each.module, each.qualname) for each in record.code}
        self._commits.note_change()

    def restore(self, key: FrameKey, prepared: BoundPlan, recovered: bool) -> dict[int, SkipReason]:
        """Prepare the facts of a frame that opens; return the nodes that they settle, and how.

        Only a frame that the run was in before, which `recovered` says, has facts to go on with: those of the nodes
        that have not changed since. All others are forgotten.
        """
        self._note_code(prepared)
        if not recovered:
            if self._state.holds(key):
                self._state.clear(key)
            return {}
        program, lazies = prepared.program, prepared.lazies
        settled: dict[int, SkipReason] = {}
        changed = self._changed_nodes(key, prepared) if self._changed.texts else frozenset()
        for position in program.order:
            node = NodeKey(key, program.paths[position])
            if position in changed:
                self._state.discard(node)
            elif self._state.has_result(node):
                settled[position] = SkipReason.RECOVERED
            elif reason := self._state.get_skip_reason(node):
                # With a target it was called, and the tree in its place was skipped.
                if self._state.get_target(node) is not None:
                    settled[position] = SkipReason.RECOVERED
                    continue
                with checking(self.store, self._run_id):
                    settled[position] = SkipReason(reason)
                otherwise = lazies[position].policies.otherwise
                if reason == SkipReason.CONDITION_FALSE and otherwise is not MISSING:
                    self._state.put_result(node, otherwise)
        return settled

    async def fetch_values(self, key: FrameKey, prepared: BoundPlan, known: Whereabouts | None) -> None:
        """Fetch the large values that a frame which is about to open will look at, from the value store.

        These are what nodes without a fact take, as far as it is recorded, what routers have chosen by, and the target.
        All others stay where they are: what has taken them is done, or is to be done by workers, as `known` tells.
        """
        fetch: Fetch | None = getattr(self._state, "fetch", None)
        if fetch is None:
            return
        program = prepared.program
        changed = self._changed_nodes(key, prepared) if self._changed.texts else frozenset()
        wanted = {program.target}
        for position in program.order:
            node = NodeKey(key, program.paths[position])
            is_there = self._state.has_result(node) or self._state.get_skip_reason(node) is not None
            call = program.calls[position]
            if position in changed or not is_there:
                routes = (route for choice in call.choices() for route in choice.routes)
                wanted.update(program.inputs[position], call.conditions, routes)
            elif call.choices():  # they are asked again, for what they have left out
                wanted.update(call.conditions, (choice.selector for choice in call.choices()))
        if known is not None:
            wanted &= known.looked_at
        await fetch(NodeKey(key, program.paths[position]) for position in sorted(wanted - changed))

    @property
    def has_unread(self) -> bool:
        """Whether the run may have large values that were not read."""
        return bool(getattr(self._state, "has_unread", False))

    def unread(self, job: Job) -> list[NodeKey]:
        """Return the nodes whose large values a call takes and that were not read, and the items that a map has.

        Where nobody looks at the value of the map, those of its items are left where they are.
        """
        if not self.has_unread:
            return []
        unfetched: Unfetched = getattr(self._state, "unfetched")  # noqa: B009 - not of all durable states
        frame, program = job.frame, job.frame.program
        taken = [*program.inputs[job.position], *frame.flow.routes(job.position)]
        keys = [frame.node_key(node) for node in taken]
        if isinstance(job.lazy, MappedLazyResult):
            size = self._state.get_note(job.key, Note.SIZE) or (0,)
            items = [
                NodeKey(FrameKey(frame.key, job.path, FrameKind.ITEM, index), ROOT) for index in range(*size)
            ]
            if frame.whereabouts is None or job.position in frame.whereabouts.looked_at:
                keys += items
            else:
                self.leave_values(items)
        return unfetched(keys)

    async def fetch(self, keys: Iterable[NodeKey]) -> None:
        """Read the large values of nodes."""
        fetch: Fetch = getattr(self._state, "fetch")  # noqa: B009 - not of all durable states
        await fetch(keys)

    def leave_values(self, nodes: Iterable[NodeKey]) -> None:
        """Let the large values of nodes stay in the value store: handles stand for them."""
        leave: Callable[[Iterable[NodeKey]], None] | None = getattr(self._state, "leave", None)
        if leave is not None:
            leave(nodes)

    def _changed_nodes(self, key: FrameKey, prepared: BoundPlan) -> frozenset[int]:
        """Return the nodes that have changed, or depend on such ones, and all that were skipped.

        A node changes with its code, its inputs and its arguments. Skips are decided anew, since what they were decided
        by may have changed.
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
            if self._state.get_skip_reason(NodeKey(key, path)) is not None
        }
        return frozenset(changed | skipped)

    def next_round(self, job: Job) -> NextRound | None:
        """Return the round that the loop in the place of a call goes on with, if the run was in it before."""
        return self._state.get_target(job.key) if job.frame.loop.recovered else None

    def _note_code(self, prepared: BoundPlan) -> None:
        """Add to the record the code of tasks that the run has not met before."""
        met = tasks_of(prepared.program.structure, prepared.lazies)
        if all(tuple(task.reference) in self._code for task in met):
            return
        assert self.record is not None
        new = {each for each in code_of(met) if (each.module, each.qualname) not in self._code}
        if new:
            self._replace_record(replace(self.record, code=tuple(sorted({*self.record.code, *new}))))
