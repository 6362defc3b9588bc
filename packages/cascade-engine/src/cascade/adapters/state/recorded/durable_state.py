"""Durable state: the facts of one run, read from memory and written to a journal in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

from cascade.adapters.codec.data_codec import DataCodec
from cascade.adapters.executors.fetching import fetched, replaced
from cascade.adapters.state.digests import NodeDigest, frame_digest, node_digest
from cascade.adapters.state.journal import Changes, Fact, Head, Journal, Kind, Loaded, TimelinePart
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.state.recorded.fact_table import Encoded, FactTable
from cascade.adapters.state.recorded.found_mark import mark_of
from cascade.adapters.state.recorded.kept_inputs import KeptInputs, encode_inputs
from cascade.adapters.state.recorded.pointed_names import OF_RUN
from cascade.adapters.state.recorded.run_values import (
    LargeFact,
    LargeValues,
    RunValues,
    StoredValue,
    UnreadableValue,
)
from cascade.adapters.state.recorded.timed_journal import TimedJournal
from cascade.adapters.state.recorded.write_buffer import WriteBuffer
from cascade.adapters.values.kept_values import KeptValues
from cascade.adapters.values.large_results import Results
from cascade.spec.digest_rules import DIGEST_RULES, made_by
from cascade.spec.durable import FactLabel, NextRound, Note, RunRecord, RunStatus
from cascade.spec.errors import CascadeError, PolicyError, RunDamagedError, RunRulesError, RunValuesError
from cascade.spec.protocols import Codec

if TYPE_CHECKING:
    from cascade.adapters.state.keys import FrameKey, NodeKey

_NOTES = {Note.ROUTES: Kind.ROUTES, Note.SIZE: Kind.SIZE}


class RecordedState:
    """A `DurableStateBackend` over any `Journal`.

    Facts are read from memory. What is put waits in a buffer until `commit`, which writes all of it or nothing. The
    facts of the last `keep_rounds` rounds of the run's own loop stay in the store, those of the current round among
    them.

    Raises:
        SpecError: If `run_id` can't be written as UTF-8.
        PolicyError: If `keep_rounds` is not a whole number of 1 or more.
    """

    def __init__(
        self,
        journal: Journal,
        run_id: str,
        *,
        codec: Codec | None = None,
        keep_rounds: int = 1,
        values: KeptValues | None = None,
    ) -> None:
        if isinstance(keep_rounds, bool) or not isinstance(keep_rounds, int) or keep_rounds < 1:
            raise PolicyError(f"keep_rounds={keep_rounds!r}", "give a whole number, 1 or more")
        self.run_id = run_id
        self._journal = TimedJournal(journal)
        self.store = self._journal.store
        self.is_held = self._journal.is_held
        self._codec = FactCodec(codec, run_id, self.store)
        self._encode, self._bound = (
            self._codec.codec.encode,
            self._codec.bound,
        )  # looked up once, not per call
        self._values = None if values is None else RunValues(values, self._codec)
        is_own = type(self).keep_result is RecordedState.keep_result  # a class below may do otherwise
        self.knows_scalars = is_own and type(self._codec.codec) is DataCodec
        """Whether values that are scalars of Python's own may be given to `keep_results`."""
        self.has_value_store = values is not None
        self._has_unread = False
        self._left_folders: tuple[str, ...] = ()  # folders of large values of earlier runs
        self._table = FactTable()
        self._buffer = WriteBuffer(keep_rounds)
        self._waiting: Changes | None = None  # what could not be written at once: the next commit has it
        self._begun: tuple[asyncio.Future[bool], Changes] | None = None  # what was begun last without a task
        self._next_round: NextRound | None = None  # of the run's own loop
        self.found_status: RunStatus | None = None
        """How the run was when this process took it; `None` if nothing was there."""
        self._found: Loaded | None = None  # until the first commit

    # Facts for this process

    def put_result(self, key: NodeKey, value: object) -> None:
        """Note a value, for this process alone."""
        node = node_digest(key)
        if self._values is not None:
            self._values.note_passing(node, value)
        self._table.put(node, key.frame, Kind.RESULT, value)

    def get_result(self, key: NodeKey) -> Any:
        """Return a value, or the handle of one that lies in the value store and that nobody here looks at.

        Raises:
            KeyError: If there is none.
            CodecError: If what was loaded can't be read here.
        """
        return self._read(key, Kind.RESULT)

    def has_result(self, key: NodeKey) -> bool:
        """Tell whether there is a value."""
        return Kind.RESULT in self._table.of_node(node_digest(key))

    def mark_skipped(self, key: NodeKey, reason: str) -> None:
        """Note a skip, for this process alone."""
        self._table.put(node_digest(key), key.frame, Kind.SKIP, reason)

    def get_skip_reason(self, key: NodeKey) -> str | None:
        """Return the reason of a skip, or `None`."""
        reason: str | None = self._find(key, Kind.SKIP)
        return reason

    def clear(self, frame: FrameKey | None = None, *, provisional: bool = False) -> None:
        """Forget a frame and what lies below it, or everything.

        Of the run's own loop the last `keep_rounds` rounds stay in the store.
        """
        if frame is None:
            self._table.clear()
            self._buffer.clear()
            self._next_round = None
            return
        is_round_of_run = frame.parent is None
        gone = self._table.forget([frame_digest(frame).digest])
        if self._values is not None and not provisional:
            self._values.names.forget_unwritten(gone)
        if provisional and is_round_of_run:
            self._buffer.forget_round_later(frame.number)
        elif provisional:
            self._buffer.forget_later(gone)
        elif is_round_of_run:
            self._buffer.forget_round(gone, frame.number)
        else:
            self._buffer.forget(gone)

    # Facts that are kept

    def begin(self, record: RunRecord) -> None:
        """Forget all facts, stored ones too, and begin with this record."""
        self.clear()
        if self._values is not None:
            self._values.begin()
        sealed = self._sealed_record(record)
        self._buffer.change(Head(RunStatus.RUNNING, record.target, sealed, round=0, rules=record.rules))

    def put_record(self, record: RunRecord) -> None:
        """Replace the record; the run goes on."""
        sealed = self._sealed_record(record)
        head = Head(RunStatus.RUNNING, record.target, sealed, error="", rules=record.rules, waits_for="")
        self._buffer.change(head)

    def _sealed_record(self, record: RunRecord) -> bytes:
        folder = "" if self._values is None else self._values.folder
        return self._codec.seal(replace(record, values=folder, left=self._left_folders), OF_RUN)

    def keep_result(self, key: NodeKey, value: object, call: FactLabel, *, provisional: bool = False) -> None:
        """Note a value that is to be kept as it is now.

        Raises:
            CodecError: If the codec refuses it.
        """
        # Once per recorded call: watched by observatory/benchmarks/bench_durability.py.
        node = node_digest(key)
        if self._values is None:
            fact = Fact(node, Kind.RESULT, self._encode(value, key=self._bound(node, Kind.RESULT)), call)
        else:
            fact = self._fact(self._values, node, value, call)
        self._table.put(node, key.frame, Kind.RESULT, value)
        self._buffer.put(fact, key.frame, provisional)

    def _fact(self, values: RunValues, node: NodeDigest, value: object, call: FactLabel) -> Fact:
        """Return the fact that a node has a value; a large one goes into the value store with the commit."""
        pointing = values.taken(node, value)
        if pointing is not None:
            return Fact(node, Kind.RESULT, pointing, call)
        data = self._encode(value, key=self._bound(node, Kind.RESULT))
        kind = LargeFact if values.is_large(data) else Fact
        return kind(node, Kind.RESULT, data, call)

    def keep_results(
        self,
        frame: FrameKey,
        nodes: Sequence[bytes],
        values: Sequence[object],
        calls: Sequence[FactLabel],
    ) -> None:
        """Note values of nodes of one frame as `keep_result` does; the nodes are given by the digests of their paths.

        The values are scalars of Python's own; `knows_scalars` says that this is allowed.
        """
        # Once per node of every recorded fan-out: watched by observatory/benchmarks/bench_durability.py.
        of_frame, result = frame_digest(frame), Kind.RESULT
        places = [NodeDigest(of_frame, node) for node in nodes]
        if self._values is None:
            encode, bound = self._encode, self._bound
            facts = [
                Fact(place, result, encode(value, key=bound(place, result)), call)
                for place, value, call in zip(places, values, calls, strict=True)
            ]
        else:
            facts = [*map(self._fact, repeat(self._values), places, values, calls)]
        self._table.put_results(of_frame, frame, nodes, values)
        self._buffer.put_all(facts, frame)

    def keep_skip(self, key: NodeKey, reason: str, call: FactLabel, *, provisional: bool = False) -> None:
        """Note a skip that is to be kept."""
        self._keep(key, Kind.SKIP, reason, call, provisional)

    def put_note(
        self,
        key: NodeKey,
        note: Note,
        numbers: tuple[int, ...],
        call: FactLabel,
        *,
        provisional: bool = False,
    ) -> None:
        """Note numbers beside a node's value."""
        self._keep(key, _NOTES[note], numbers, call, provisional)

    def get_note(self, key: NodeKey, note: Note) -> tuple[int, ...] | None:
        """Return what was noted, if anything was."""
        numbers: tuple[int, ...] | None = self._find(key, _NOTES[note])
        return numbers

    def put_target(
        self, key: NodeKey | None, pending: NextRound, call: FactLabel, *, provisional: bool = False
    ) -> None:
        """Note what the loop of a node goes on with; that of the run itself if `key` is `None`.

        Raises:
            CodecError: If the codec refuses a literal of it.
            TaskReferenceError: If a task of it can't be found by its reference.
        """
        if key is None:
            data = self._codec.seal_target(pending, OF_RUN)
            self._next_round = pending
            self._buffer.set_target(Head(round=pending.round, target=data), provisional)
        else:
            node = node_digest(key)
            data = self._codec.seal_target(pending, node)
            self._table.put(node, key.frame, Kind.TARGET, pending)
            self._buffer.put(Fact(node, Kind.TARGET, data, call), key.frame, provisional)

    def get_target(self, key: NodeKey | None) -> NextRound | None:
        """Return what a loop goes on with, if it was noted.

        Raises:
            CascadeError: If what was loaded can't be read here: it names the module to import first.
        """
        found: Any = self._next_round
        if key is not None:
            found = self._find(key, Kind.TARGET)
        elif found is None and self._buffer.head.target:
            found = self._codec.decode(OF_RUN, Kind.TARGET, self._buffer.head.target)
            self._next_round = found
        next_round: NextRound | None = found
        return next_round

    def discard(self, key: NodeKey) -> None:
        """Forget all facts of a node, stored ones too, and those of the frames that stand in for it."""
        node = node_digest(key)
        gone = self._table.forget(self._table.discard(node))
        self._buffer.discard(node)
        self._buffer.forget(gone)
        if self._values is not None:
            self._values.names.forget_unwritten(gone)
            self._values.names.forget_unwritten_of(node)

    def holds(self, frame: FrameKey) -> bool:
        """Tell whether facts of a frame were loaded."""
        return frame_digest(frame).digest in self._table.loaded

    def finish(self, status: RunStatus, error: str) -> None:
        """Note how the run has ended: the kind of error if it failed."""
        self._buffer.change(Head(status, error=error))

    def seal_inputs(self, kept: KeptInputs) -> bytes:
        """Return inputs as bytes; nothing is noted.

        Raises:
            KeptInputError: If the codec refuses a value; it names the parameter.
        """
        return encode_inputs(kept, self._codec)

    def keep_inputs(self, sealed: bytes) -> None:
        """Note the inputs of the run, which `seal_inputs` has given, for who goes on with it."""
        self._buffer.change(Head(inputs=sealed))

    def wait_for(self, what: str) -> None:
        """Note that the run can't go on before something is there; `what` names it. That it goes on ends this."""
        self._buffer.change(Head(RunStatus.WAITING, waits_for=what))

    def wait_no_more(self) -> None:
        """Note that what the run waited for is there."""
        self._buffer.change(Head(RunStatus.RUNNING, waits_for=""))

    def abandon(self, error: str) -> None:
        """Note that nobody is to take the run over any more; that somebody goes on with it by hand ends this."""
        self._buffer.change(Head(RunStatus.ABANDONED, error=error, waits_for=""))

    def found_mark(self) -> bytes:
        """Return what stands for all that was recorded when this process opened the run; call it before a commit."""
        found = self._found
        return b"" if found is None else mark_of(found)

    def keep_timeline(self, drive: int, number: int, data: bytes) -> None:
        """Note a part of the run's timeline, as `TimelinePart` describes it."""
        self._buffer.put_timeline(TimelinePart(drive, number, data))

    def keep_provisional(self) -> None:
        """Make all that is provisional final: the next commit writes it."""
        self._buffer.make_final()

    def _keep(self, key: NodeKey, kind: Kind, fact: object, call: FactLabel, provisional: bool) -> None:
        """Note a fact that is no value of the user's."""
        node = node_digest(key)
        data = self._codec.seal(fact, node, kind)
        self._table.put(node, key.frame, kind, fact)
        self._buffer.put(Fact(node, kind, data, call), key.frame, provisional)

    def _find(self, key: NodeKey, kind: Kind) -> Any:
        return self._read(key, kind) if kind in self._table.of_node(node_digest(key)) else None

    def _read(self, key: NodeKey, kind: Kind) -> Any:
        """Return a fact. One that was loaded is decoded when it is first wanted."""
        node = node_digest(key)
        facts = self._table.of_node(node)
        fact = facts[kind]
        if isinstance(fact, Encoded):
            fact = facts[kind] = self._codec.decode(node, kind, fact.data)
        elif isinstance(fact, UnreadableValue):
            raise fact.problem
        elif isinstance(fact, StoredValue) and self._values is not None:
            # Somebody looks at what the engine has not asked for.
            values = self._values
            fact = facts[kind] = replaced(
                values.handles(node, fact), lambda each: values.read_now(each.pointer)
            )
        return fact

    def results(self) -> Results | None:
        """Return where workers put large results of the run; `None` if it has no value store, or it can't travel.

        Call it when the run is open.
        """
        return None if self._values is None else self._values.results()

    def is_put_ahead(self, value: object) -> bool:
        """Tell whether a value is to be given to `put_ahead` before it is kept: it is most likely a large one."""
        return self._values is not None and self._values.is_put_ahead(value)

    async def put_ahead(self, value: object) -> None:
        """Encode a large value that will be kept, and put it into the value store, while the event loop goes on."""
        if self._values is not None:
            await self._values.put_ahead(value)

    @property
    def leaves_values(self) -> bool:
        """Whether large results may stay in the value store of the run, where workers read them."""
        return self._values is not None and self._values.may_travel

    @property
    def has_handles(self) -> bool:
        """Whether values may be handles, or have some inside."""
        return self._values is not None and self._values.has_handles

    @property
    def has_unread(self) -> bool:
        """Whether the run had large values when it was opened, which are not read before somebody looks at them."""
        return self._has_unread

    def unfetched(self, keys: Iterable[NodeKey]) -> list[NodeKey]:
        """Return those of the nodes whose values lie in the value store and were not read."""
        found = ((key, self._table.of_node(node_digest(key)).get(Kind.RESULT)) for key in keys)
        return [key for key, fact in found if type(fact) is StoredValue]

    def leave(self, keys: Iterable[NodeKey]) -> None:
        """Let the values of nodes that were not read stay where they are: handles stand for them from now on."""
        for key in self.unfetched(keys):
            node = node_digest(key)
            facts = self._table.of_node(node)
            facts[Kind.RESULT] = self._left(node, facts[Kind.RESULT])

    def _left(self, node: NodeDigest, stored: StoredValue) -> object:
        assert self._values is not None
        try:
            return self._values.handles(node, stored)
        except CascadeError as problem:
            return UnreadableValue(problem)

    async def fetch(self, keys: Iterable[NodeKey]) -> None:
        """Read the large values of nodes that are about to be looked at, all at the same time.

        A value that is missing or can't be read is an error when it is looked at.
        """
        nodes = [*map(node_digest, self.unfetched(keys))]
        stored = [self._table.of_node(node)[Kind.RESULT] for node in nodes]
        values = await asyncio.gather(*map(self._fetched, nodes, stored))
        for node, value in zip(nodes, values, strict=True):
            self._table.of_node(node)[Kind.RESULT] = value

    async def _fetched(self, node: NodeDigest, stored: StoredValue) -> object:
        try:
            return await fetched(self._left(node, stored))
        except CascadeError as problem:
            return UnreadableValue(problem)

    # The journal

    async def open(self, anew: bool = False) -> RunRecord | None:
        """Take the run and load its facts; return its record. With `anew` take it and leave all else to `begin`.

        Raises:
            RunActiveError: If somebody else drives it.
            RunRulesError: If its digests are made by other rules.
            StoreError: If the store can't be read.
        """
        if anew:
            await self._open_anew()
            return None
        loaded = await self._journal.open(anew=False)
        if loaded is None or not loaded.head.record:
            return None  # never begun, or cleared and not begun again
        self.found_status = loaded.head.status
        self._found = loaded
        if loaded.head.rules != DIGEST_RULES:  # before anything is read that may have another form
            raise RunRulesError(self.run_id, made_by(loaded.head.rules or 0))
        record = self._codec.decode_record(loaded.head.record)
        self._left_folders = record.left
        large: LargeValues = {}
        if self._values is not None:
            self._values.go_on(record.values)
        if record.values:
            if self._values is None:
                raise RunValuesError(self.run_id)
            loaded, large = await self._values.take_in(loaded)
        self._has_unread = bool(large)
        self._load(loaded, large)
        return record

    async def _open_anew(self) -> None:
        """Take the run, of which nothing is read but where its large values are: they are removed with its facts."""
        try:
            loaded = await self._journal.open(anew=False)
        except RunDamagedError:
            await self._journal.close()
            await self._journal.open(anew=True)
            return
        if loaded is not None and loaded.head.record:
            with suppress(RunDamagedError):  # then they stay: nobody knows where they are
                record = self._codec.decode_record(loaded.head.record)
                if self._values is None:  # the record of the new run knows them
                    self._left_folders = tuple(filter(None, (*record.left, record.values)))
                else:
                    self._values.go_on(record.values)
                    for folder in record.left:
                        self._values.names.let_go(folder)

    def _load(self, loaded: Loaded, large: LargeValues) -> None:
        linked = []
        for node, kind, data in loaded.facts:
            if node.frame.round != loaded.head.round:  # earlier ones are kept to be looked at
                continue
            self._table.register(node.frame, None)
            if kind is Kind.FRAME:
                linked.append(node.frame.digest)
            else:
                is_large = kind is Kind.RESULT and node in large
                self._table.load(node, kind, large[node] if is_large else Encoded(data))
        self._buffer.note_loaded(loaded.head, self._table.loaded, linked)

    async def commit(self) -> None:
        """Write what was put since the last commit.

        Raises:
            StoreError: If that fails; then nothing of it is stored.
        """
        self._found = None
        if self._begun is not None:
            (begun, sent), self._begun = self._begun, None
            if not await begun:
                await self._write(sent)
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            await self._write(waiting)
        changes = self._buffer.take()
        if changes is not None:
            await self._write(changes)

    async def _write(self, changes: Changes) -> None:
        """Write a batch; what is large goes into the value store before."""
        if self._values is None:
            await self._journal.write(changes)
            return
        changes = await self._values.write_large(changes)
        await self._journal.write(changes)
        await self._values.clean(changes)

    def commit_now(self) -> bool:
        """Do as `commit` does before this returns, if that takes hardly any time; return whether it is done.

        Raises:
            StoreError: If it fails; then nothing of it is stored.
        """
        # Once per step of a recorded chain: watched by observatory/benchmarks/bench_durability.py.
        write = self._journal.write_now
        if write is None or self._waiting is not None:
            return False
        changes = self._buffer.take()
        if changes is None:
            return True
        is_large = self._values is not None and self._values.concerns(changes)
        if not is_large and write(changes):
            return True
        self._waiting = changes
        return False

    def commit_soon(self) -> asyncio.Future[bool] | None:
        """Begin what `commit` does, if no task is needed for that; return the future of whether it is committed.

        If it turns out not to be, `commit` has to be called, and does it.
        """
        # Once per step of a recorded chain: watched by the rows "durable ... in PostgreSQL" of the observatory.
        write = self._journal.write_soon
        if write is None or self._waiting is not None:
            return None
        changes = self._buffer.take()
        if changes is None:
            return None
        is_large = self._values is not None and self._values.concerns(changes)
        begun = None if is_large else write(changes)
        if begun is None:
            self._waiting = changes
        else:
            self._begun = begun, changes
        return begun

    async def confirm(self) -> None:
        """Make sure that the run is still this process's own, if `is_held` returns false.

        Raises:
            RunLostError: If somebody else has taken it.
            StoreError: If the store can't be asked.
        """
        await self._journal.confirm()

    async def close(self) -> None:
        """Give up the run and close the store; what was not committed is lost.

        Raises:
            StoreError: If that fails.
        """
        await self._journal.close()
