"""Facts as bytes: each is bound to its run, its node and its kind, so that none can be read as another."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import msgspec

from cascade.adapters.codec.data_codec import DataCodec
from cascade.adapters.codec.envelope import seal, unseal
from cascade.adapters.codec.trees.tree_reader import decode_target
from cascade.adapters.codec.trees.tree_writer import encode_target
from cascade.adapters.state.checked import count
from cascade.adapters.state.damage import FAULTS, as_damage, checking
from cascade.adapters.state.digests import NodeDigest, binding
from cascade.adapters.state.journal import Kind
from cascade.adapters.state.recorded.pointed_names import OF_RUN
from cascade.adapters.values.pointer import is_pointer
from cascade.spec.durable import NextRound, RunRecord
from cascade.spec.errors import DamagedDataError, SpecError
from cascade.spec.protocols import Codec

_FORMS: dict[Kind, object] = {
    Kind.SKIP: str,
    Kind.ROUTES: tuple[int, ...],
    Kind.SIZE: tuple[int],
    Kind.TARGET: tuple[int, bytes],
}
"""The types of facts that are no values of the user's."""

_NO_FILE = "the file of a large value is missing, or holds something else"
_VERSION = 1
"""The format of facts that are no values of the user's."""


class FactCodec:
    """Encodes and decodes the facts of one run.

    The user's values are bytes of `codec`, and those alone. Skips, notes and records are msgpack in an envelope of our
    own. `bound` returns the store key of a fact: give it to `codec.encode`.

    Raises:
        SpecError: If `run_id` can't be written as UTF-8.
    """

    def __init__(self, codec: Codec | None, run_id: str, store: str) -> None:
        try:
            self.bound = partial(binding, run_id.encode())
        except UnicodeEncodeError:
            raise SpecError(f"run_id={run_id!r} has half a character", "give an id of whole ones") from None
        self.codec: Codec = DataCodec() if codec is None else codec
        self._run_id = run_id
        self._store = store

    def seal(self, value: object, key: NodeDigest, kind: Kind | None = None) -> bytes:
        """Return the bytes of a fact that is no value of the user's; `kind` is `None` for the run's record."""
        return seal(_VERSION, msgspec.msgpack.encode(value), self.bound(key, kind))

    def seal_target(self, next_round: NextRound, key: NodeDigest) -> bytes:
        """Return the bytes of what a loop goes on with.

        Raises:
            CodecError: If the codec refuses a literal of it.
            TaskReferenceError: If a task of it can't be found by its reference.
        """
        target = encode_target(next_round.target, self.codec, key=self.bound(key, Kind.TARGET))
        return self.seal((next_round.round, target), key, Kind.TARGET)

    def decode(self, key: NodeDigest, kind: Kind, data: bytes) -> object:
        """Return the fact of these bytes.

        Raises:
            RunDamagedError: If they are damaged, or belong to another fact.
            CascadeError: If they can't be read here; it names the module to import first.
        """
        try:
            if kind is Kind.RESULT:
                return self.codec.decode(data, key=self.bound(key, kind))
            found = self._unseal(data, key, kind, _FORMS[kind])
            if kind is not Kind.TARGET:
                return found
            number, target = found
            lazy = decode_target(target, self.codec, key=self.bound(key, kind))
            return NextRound(count(number), lazy)
        except FAULTS as problem:  # once for each fact, for which a context manager takes too long
            fault = DamagedDataError(_NO_FILE) if is_pointer(data) else problem
            raise as_damage(fault, self._store, self._run_id) from problem

    def checked(self) -> AbstractContextManager[None]:
        """Raise faults in what the block reads of the run as a `RunDamagedError`."""
        return checking(self._store, self._run_id)

    def decode_record(self, data: bytes) -> RunRecord:
        """Return what the run was begun with.

        Raises:
            RunDamagedError: If these are not the bytes of the record of this run.
        """
        with checking(self._store, self._run_id):
            record: RunRecord = self._unseal(data, OF_RUN, None, RunRecord)
            return record

    def _unseal(self, data: bytes, key: NodeDigest, kind: Kind | None, form: object) -> Any:
        return msgspec.msgpack.decode(unseal(_VERSION, data, self.bound(key, kind)), type=form)
