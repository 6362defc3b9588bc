"""Recorded state: the facts of one run in memory, and in a journal what is to outlive the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from cascade.adapters.codec import DataCodec
from cascade.adapters.codec.envelope import seal, unseal
from cascade.adapters.codec.trees import decode_target, encode_target
from cascade.adapters.state.checked import count
from cascade.adapters.state.damage import FAULTS, as_damage, checking
from cascade.adapters.state.digests import FrameDigest, NodeDigest, binding, frame_digest, node_digest
from cascade.adapters.state.journal import ANSWER_SECONDS, Changes, Fact, Head, Journal, Kind, Loaded
from cascade.adapters.state.provisional import Facts, Provisional, drop_rounds
from cascade.adapters.values.pointer import is_pointer
from cascade.spec.digest_rules import DIGEST_RULES, made_by
from cascade.spec.durable import FactLabel, NextRound, Note, RunRecord, RunStatus
from cascade.spec.errors import DamagedDataError, PolicyError, RunRulesError, SpecError, StoreError
from cascade.spec.protocols import Codec

if TYPE_CHECKING:
    from cascade.adapters.state.keys import FrameKey, NodeKey

T = TypeVar("T")

_NOTES = {Note.ROUTES: Kind.ROUTES, Note.SIZE: Kind.SIZE}
_FORMS: dict[Kind, Any] = {
    Kind.SKIP: str,
    Kind.ROUTES: tuple[int, ...],
    Kind.SIZE: tuple[int],
    Kind.TARGET: tuple[int, bytes],
}
"""What facts are that are no values of the user's."""
_OWN = NodeDigest(FrameDigest(-1, b"", b""), b"")
"""The place of the run itself: of its record, and of what its own loop goes on with."""
_NO_LABEL = FactLabel("", "")
_NO_FILE = "the file of a large value is missing, or holds something else"
_MOMENT = 0.1
"""Seconds for a journal that has not answered before to let go of the run."""
_VERSION = 1
"""The format of what is no value of the user's."""


class _Encoded:
    """A fact as it was loaded, to be decoded when it is first wanted."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class RecordedState:
    """A durable state backend over any journal.

    Gets read memory, puts are buffered until `commit`, which writes them as one. The facts of the last `keep_rounds`
    rounds of the run's own loop stay in the store, the current one among them.

    Raises:
        SpecError: If `run_id` can't be written as UTF-8.
        PolicyError: If `keep_rounds` is no number of rounds.
    """

    def __init__(
        self, journal: Journal, run_id: str, *, codec: Codec | None = None, keep_rounds: int = 1
    ) -> None:
        if isinstance(keep_rounds, bool) or not isinstance(keep_rounds, int) or keep_rounds < 1:
            raise PolicyError(f"keep_rounds={keep_rounds!r}", "give a whole number, 1 or more")
        self.run_id = run_id
        try:
            self._bound = partial(binding, run_id.encode())
        except UnicodeEncodeError:
            raise SpecError(f"run_id={run_id!r} has half a character", "give an id of whole ones") from None
        self._journal = journal
        self.store: str = getattr(journal, "store", type(journal).__name__)
        self.is_held: Callable[[], bool] | None = getattr(journal, "is_held", None)
        self._codec: Codec = DataCodec() if codec is None else codec
        self._keep_rounds = keep_rounds
        self._facts: dict[bytes, dict[bytes, dict[Kind, Any]]] = {}  # by frame, node and kind
        self._frames: dict[bytes, FrameDigest] = {}
        self._below: dict[bytes, set[bytes]] = {}  # by frame, the frames in places of its nodes
        self._loaded: set[bytes] = set()
        self._stored: set[bytes] = set()
        self._has_facts = False  # of the run's own rounds, in the store
        self._head = Head()
        self._pending: NextRound | None = None
        self._changes = Changes()
        self._buffer: Facts = {}
        self._provisional = Provisional()
        self._patience = ANSWER_SECONDS
        self._linked: set[bytes] = set()  # frames that the store can find what lies below by

    # Facts for this process

    def put_result(self, key: NodeKey, value: object) -> None:
        """Note a value."""
        self._at(node_digest(key), key.frame)[Kind.RESULT] = value

    def get_result(self, key: NodeKey) -> Any:
        """Return a value.

        Raises:
            KeyError: If there is none.
            CodecError: If what was loaded can't be read here.
        """
        return self._read(key, Kind.RESULT)

    def has_result(self, key: NodeKey) -> bool:
        """Tell whether there is a value."""
        return Kind.RESULT in self._known(node_digest(key))

    def mark_skipped(self, key: NodeKey, reason: str) -> None:
        """Note a skip."""
        self._at(node_digest(key), key.frame)[Kind.SKIP] = reason

    def get_skip_reason(self, key: NodeKey) -> str | None:
        """Return the reason of a skip, or `None`."""
        reason: str | None = self._find(key, Kind.SKIP)
        return reason

    def clear(self, frame: FrameKey | None = None, *, provisional: bool = False) -> None:
        """Forget a frame and what lies below it, or everything; of the run's own rounds the last ones stay stored."""
        if frame is None:
            self._forget_all()
            self._changes = Changes(anew=True)
            return
        own_loop = frame.parent is None
        if provisional:
            self._set_apart(
                frame_digest(frame).digest, frame.number + 1 - self._keep_rounds if own_loop else None
            )
            return
        stored = self._forget([frame_digest(frame).digest], unbuffer=not own_loop)
        if own_loop:
            self._forget_rounds(frame.number + 1 - self._keep_rounds)
        else:
            self._changes.frames += stored

    # Facts that are kept

    def begin(self, record: RunRecord) -> None:
        """Forget all, stored facts too, and begin with this record."""
        self.clear()
        self._change(
            Head(RunStatus.RUNNING, record.target, self._sealed(record, _OWN), round=0, rules=record.rules)
        )

    def put_record(self, record: RunRecord) -> None:
        """Replace the record; the run goes on."""
        self._change(
            Head(RunStatus.RUNNING, record.target, self._sealed(record, _OWN), error="", rules=record.rules)
        )

    def keep_result(self, key: NodeKey, value: object, call: FactLabel, *, provisional: bool = False) -> None:
        """Note a value that is to be kept.

        Raises:
            CodecError: If the codec refuses it.
        """
        place = node_digest(key)
        data = self._codec.encode(value, key=self._bound(place, Kind.RESULT))
        self._keep(Fact(place, Kind.RESULT, data, call), key.frame, value, provisional)

    def keep_skip(self, key: NodeKey, reason: str, call: FactLabel, *, provisional: bool = False) -> None:
        """Note a skip that is to be kept."""
        place = node_digest(key)
        fact = Fact(place, Kind.SKIP, self._sealed(reason, place, Kind.SKIP), call)
        self._keep(fact, key.frame, reason, provisional)

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
        place, kind = node_digest(key), _NOTES[note]
        fact = Fact(place, kind, self._sealed(numbers, place, kind), call)
        self._keep(fact, key.frame, numbers, provisional)

    def get_note(self, key: NodeKey, note: Note) -> tuple[int, ...] | None:
        """Return what was noted."""
        numbers: tuple[int, ...] | None = self._find(key, _NOTES[note])
        return numbers

    def put_target(
        self, key: NodeKey | None, pending: NextRound, call: FactLabel, *, provisional: bool = False
    ) -> None:
        """Note what a loop goes on with.

        Raises:
            CodecError: If the codec refuses a literal of it.
            TaskReferenceError: If a task of it can't be found by its reference.
        """
        place = _OWN if key is None else node_digest(key)
        target = encode_target(pending.target, self._codec, key=self._bound(place, Kind.TARGET))
        data = self._sealed((pending.round, target), place, Kind.TARGET)
        if key is None:
            self._pending = pending
            head = Head(round=pending.round, target=data)
            if provisional:
                self._provisional.head = head
            else:
                self._provisional.head = Head()
                self._change(head)
        else:
            self._keep(Fact(place, Kind.TARGET, data, call), key.frame, pending, provisional)

    def get_target(self, key: NodeKey | None) -> NextRound | None:
        """Return what a loop goes on with.

        Raises:
            CascadeError: If what was loaded can't be read here: it names the module to import first.
        """
        if key is not None:
            pending: NextRound | None = self._find(key, Kind.TARGET)
            return pending
        if self._pending is None and self._head.target:
            self._pending = self._decoded(_OWN, Kind.TARGET, self._head.target)
        return self._pending

    def discard(self, key: NodeKey) -> None:
        """Forget all facts of a node, stored ones too, and those of the frames in its place."""
        place = node_digest(key)
        digest = place.frame.digest
        self._facts.get(digest, {}).pop(place.node, None)
        self._changes.nodes.append(place)
        self._provisional.drop(place)
        buffered = self._buffer.pop(digest, {})
        kept = {each: fact for each, fact in buffered.items() if each[0] != place.node}
        if kept:
            self._buffer[digest] = kept
        above = digest + place.node
        below = [each for each in self._below.get(digest, ()) if self._frames[each].above == above]
        self._changes.frames += self._forget(below)

    def holds(self, frame: FrameKey) -> bool:
        """Tell whether facts of a frame were loaded."""
        return frame_digest(frame).digest in self._loaded

    def finish(self, status: RunStatus, error: str) -> None:
        """Note how the run has ended."""
        self._change(Head(status, error=error))

    def keep_provisional(self) -> None:
        """Make all that is provisional final."""
        later, self._provisional = self._provisional, Provisional()
        if later.rounds is not None:
            self._forget_rounds(later.rounds)
        for digest, frame in later.frames.items():
            self._buffer.pop(digest, None)
            self._linked.discard(digest)
            if digest in self._stored:
                self._stored.discard(digest)
                self._changes.frames.append(frame)
        for digest, facts in later.facts.items():
            self._buffer.setdefault(digest, {}).update(facts)
        self._change(later.head)

    # The journal

    async def open(self, anew: bool = False) -> RunRecord | None:
        """Take the run and load its facts; return its record. With `anew`, take it and leave all else to `begin`.

        Raises:
            RunActiveError: If somebody else drives it.
            RunRulesError: If its digests are made by other rules.
            StoreError: If the store can't be read.
        """
        loaded = await self._answer(self._journal.open(anew=True) if anew else self._journal.open(), None)
        if loaded is None or not loaded.head.record:
            return None  # never begun, or cleared and not begun again
        if loaded.head.rules != DIGEST_RULES:  # before anything is read that may have another form
            raise RunRulesError(self.run_id, made_by(loaded.head.rules or 0))
        self._load(loaded)
        return self._decoded_record(loaded.head.record)

    async def commit(self) -> None:
        """Write what was put since the last commit.

        Raises:
            StoreError: If that fails; then nothing of it is stored.
        """
        changes, self._changes = self._changes, Changes()
        changes.facts = [fact for facts in self._buffer.values() for fact in facts.values()]
        self._stored.update(self._buffer)
        self._has_facts = self._has_facts or bool(self._buffer)
        self._buffer = {}
        if changes != Changes():
            await self._answer(self._journal.write(changes), self._patience)

    async def confirm(self) -> None:
        """Make sure that the run is this process's own, after `is_held` has told that it may not be.

        Raises:
            RunLostError: If somebody else has taken it.
            StoreError: If the store can't be asked.
        """
        confirm: Callable[[], Awaitable[None]] = getattr(self._journal, "confirm")  # noqa: B009 - not of all journals
        await self._answer(confirm(), self._patience)

    async def close(self) -> None:
        """Let go of the run and of the store.

        Raises:
            StoreError: If that fails.
        """
        await self._answer(self._journal.close(), self._patience)

    async def _answer(self, call: Awaitable[T], seconds: float | None) -> T:
        """Return what a call of the journal gives, which is waited for no longer than so many seconds.

        Raises:
            StoreError: If it takes longer; later calls are waited for only for a moment.
        """
        task = asyncio.current_task()
        assert task is not None
        requests = task.cancelling()
        try:
            async with asyncio.timeout(seconds):
                answer = await call
        except TimeoutError as problem:
            self._patience = _MOMENT
            raise StoreError(self.store, "the store does not answer in time") from problem
        if task.cancelling() > requests:  # the call was seen through; who waits for it is to end all the same
            raise asyncio.CancelledError
        return answer

    def _load(self, loaded: Loaded) -> None:
        self._head = loaded.head
        self._has_facts = True
        for (frame, node), kind, data in loaded.facts:
            if frame.round != loaded.head.round:  # earlier ones are kept to be looked at
                continue
            self._register(frame, None)
            if kind is Kind.FRAME:
                self._linked.add(frame.digest)
            else:
                self._facts.setdefault(frame.digest, {}).setdefault(node, {})[kind] = _Encoded(data)
                self._loaded.add(frame.digest)
        self._stored.update(self._loaded, self._linked)

    # What lies where

    def _known(self, place: NodeDigest) -> dict[Kind, Any]:
        return self._facts.get(place.frame.digest, {}).get(place.node, {})

    def _at(self, place: NodeDigest, frame: FrameKey) -> dict[Kind, Any]:
        digest = place.frame.digest
        facts = self._facts.get(digest)
        if facts is None:
            facts = self._facts[digest] = {}
            self._register(place.frame, frame)
        return facts.setdefault(place.node, {})

    def _register(self, frame: FrameDigest, key: FrameKey | None) -> None:
        """Note below which frames a frame lies."""
        while True:
            self._frames[frame.digest] = frame
            if not frame.above:
                return
            below = self._below.setdefault(frame.above[: len(frame.digest)], set())
            known = frame.digest in below
            below.add(frame.digest)
            if known or key is None or key.parent is None:
                return
            key = key.parent
            frame = frame_digest(key)

    def _find(self, key: NodeKey, kind: Kind) -> Any:
        return self._read(key, kind) if kind in self._known(node_digest(key)) else None

    def _read(self, key: NodeKey, kind: Kind) -> Any:
        """Return a fact; what was loaded is decoded when it is first wanted."""
        place = node_digest(key)
        facts = self._known(place)
        value = facts[kind]
        if isinstance(value, _Encoded):
            value = facts[kind] = self._decoded(place, kind, value.data)
        return value

    def _decoded(self, place: NodeDigest, kind: Kind, data: bytes) -> Any:
        try:
            if kind is Kind.RESULT:
                return self._codec.decode(data, key=self._bound(place, kind))
            found = self._unsealed(data, place, kind, _FORMS[kind])
            if kind is not Kind.TARGET:
                return found
            number, target = found
            pending = decode_target(target, self._codec, key=self._bound(place, Kind.TARGET))
            return NextRound(count(number), pending)
        except FAULTS as problem:  # once for each fact, for which a context manager takes too long
            told = DamagedDataError(_NO_FILE) if is_pointer(data) else problem
            raise as_damage(told, self.store, self.run_id) from problem

    def _decoded_record(self, data: bytes) -> RunRecord:
        with checking(self.store, self.run_id):
            record: RunRecord = self._unsealed(data, _OWN, None, RunRecord)
            return record

    def _sealed(self, value: object, place: NodeDigest, kind: Kind | None = None) -> bytes:
        """Return the bytes of what is no value of the user's, bound to their place as those of values are."""
        return seal(_VERSION, msgspec.msgpack.encode(value), self._bound(place, kind))

    def _unsealed(self, data: bytes, place: NodeDigest, kind: Kind | None, form: Any) -> Any:
        return msgspec.msgpack.decode(unseal(_VERSION, data, self._bound(place, kind)), type=form)

    # The buffer

    def _keep(self, fact: Fact, frame: FrameKey, value: object, provisional: bool) -> None:
        self._at(fact.place, frame)[fact.kind] = value
        if provisional:
            self._provisional.put(fact)
        else:
            self._put(fact)
            if self._provisional.facts:
                self._provisional.drop(fact.place, fact.kind)
        if frame.parent is not None:  # what lies below it says nothing of itself, and so is never provisional
            self._link(frame.parent)

    def _put(self, fact: Fact) -> None:
        self._buffer.setdefault(fact.place.frame.digest, {})[fact.place.node, fact.kind] = fact

    def _link(self, frame: FrameKey) -> None:
        """Keep in whose place a frame stands: who loads what lies below it finds the way up by that.

        A round of the run's own loop stands in nobody's place.
        """
        each = frame
        while each.parent is not None:
            above = frame_digest(each)
            if above.digest in self._linked:
                return
            self._linked.add(above.digest)
            self._put(Fact(NodeDigest(above, b""), Kind.FRAME, b"", _NO_LABEL))
            each = each.parent

    def _change(self, head: Head) -> None:
        self._head.replace(head)
        self._changes.head.replace(head)

    def _forget(self, frames: Iterable[bytes], unbuffer: bool = True) -> list[FrameDigest]:
        """Forget frames and what lies below them; return those of which facts are stored."""
        stored = []
        pending = list(frames)
        while pending:
            digest = pending.pop()
            pending.extend(self._below.pop(digest, ()))
            self._facts.pop(digest, None)
            if unbuffer:
                self._buffer.pop(digest, None)
                self._provisional.facts.pop(digest, None)
            self._loaded.discard(digest)
            self._linked.discard(digest)
            frame = self._frames.pop(digest, None)
            if frame is None:
                continue
            if frame.above:
                self._below.get(frame.above[: len(digest)], set()).discard(digest)
            if digest in self._stored:
                self._stored.discard(digest)
                stored.append(frame)
        return stored

    def _set_apart(self, top: bytes, last_round: int | None) -> None:
        """Forget a frame and what lies below it for this process, and for the store once that is final.

        Of a round of the run's own loop the facts are forgotten with all rounds up to `last_round`.
        """
        later = self._provisional
        pending = [top]
        while pending:
            digest = pending.pop()
            pending.extend(self._below.pop(digest, ()))
            self._facts.pop(digest, None)
            self._loaded.discard(digest)
            frame = self._frames.pop(digest, None)
            if frame is not None and frame.above:
                self._below.get(frame.above[: len(digest)], set()).discard(digest)
            if last_round is not None:
                continue  # the last rounds stay stored, to be looked at
            later.facts.pop(digest, None)
            if frame is not None and (digest in self._stored or digest in self._buffer):
                later.frames[digest] = frame
        if last_round is not None and last_round >= 0:
            later.rounds = last_round
            later.drop_rounds(last_round)

    def _forget_rounds(self, last: int) -> None:
        if last >= 0:
            self._provisional.drop_rounds(last)
            if self._has_facts:
                self._changes.rounds = last
                self._has_facts = self._keep_rounds > 1
            drop_rounds(self._buffer, last)
            self._changes.frames = [frame for frame in self._changes.frames if frame.round > last]
            self._changes.nodes = [place for place in self._changes.nodes if place.frame.round > last]

    def _forget_all(self) -> None:
        self._facts.clear()
        self._frames.clear()
        self._below.clear()
        self._loaded.clear()
        self._linked.clear()
        self._stored.clear()
        self._buffer.clear()
        self._provisional = Provisional()
        self._head = Head()
        self._pending = None
