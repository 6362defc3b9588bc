"""The large values of one run, in a value store: what goes there, what points to it, and what is removed.

Each run has a folder of its own there, whose name is in its record: so no other run, of whatever store, points to what
is in it. A value is there before the fact that points to it is written, and is removed after that fact is deleted. A
process that is killed between the two leaves a value that nothing points to; it goes with the run.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from secrets import token_hex
from typing import TypeAlias

from cascade.adapters.state.digests import NodeDigest
from cascade.adapters.state.journal import Changes, Fact, Head, Kind, Loaded
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.state.recorded.kept_inputs import input_pointers, large_params, with_pointers
from cascade.adapters.state.recorded.pointed_names import OF_INPUTS, OF_RUN, Names, PointedNames
from cascade.adapters.state.recorded.stored_handle import StoredHandle, ValueReader
from cascade.adapters.state.recorded.value_parts import (
    Parts,
    are_parts,
    holds_handle,
    put_together,
    taken_apart,
)
from cascade.adapters.values.kept_values import KeptValues
from cascade.adapters.values.large_results import MadeValue
from cascade.adapters.values.made_values import ResultPlace
from cascade.adapters.values.size_hints import SMALL, size_hint
from cascade.adapters.values.stored_arguments import StoredArgument
from cascade.adapters.values.value_pointer import ValuePointer, get_value, is_value_pointer, pointer_to
from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import CascadeError, DamagedDataError, StoreError

RUNS = "runs"
"""The folder of all runs in a value store."""


class LargeFact(Fact):
    """A fact whose value goes into the value store when it is written."""

    __slots__ = ()


class StoredValue:
    """A large value that was not read yet, of which the fact has these bytes: it points to the value, or to parts."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class UnreadableValue:
    """A large value that could not be read. That is an error when somebody looks at it: the run may do without it."""

    __slots__ = ("problem",)

    def __init__(self, problem: CascadeError) -> None:
        self.problem = problem


LargeValues: TypeAlias = dict[NodeDigest, StoredValue]


class RunResults:
    """The large results of one run that workers put into its folder: see `Results`."""

    def __init__(self, values: RunValues, packed: bytes) -> None:
        self.packed = packed
        self._values = values

    async def arrived(self, made: MadeValue) -> object:
        """Return a value that was made; a fact that has this very object points to what is there already.

        Raises:
            RunDamagedError: If it is not there, or is not what was put there.
            StoreError: If it can't be read.
        """
        return await self._values.arrived(made.pointer)

    def handle(self, made: MadeValue, owner: object, task: str) -> StoredHandle:
        """Return a handle of a value that was made: a fact that has it points to what is there already."""
        return self._values.handle(made.pointer, owner, task)


class RunValues(ValueReader):
    """The large values of one run. `folder` is where they are; it is empty until the run is begun or opened.

    `has_handles` says that values of the run may be handles, or have handles inside.
    """

    def __init__(self, values: KeptValues, codec: FactCodec) -> None:
        self.over = values.over
        self.folder = ""
        self.has_handles = False
        self.names = PointedNames(self._names_of)
        self._values = values
        self._codec = codec
        self._arrived: dict[int, tuple[object, ValuePointer, int]] = {}  # by the identity of the value
        self._removing = asyncio.Lock()
        self._commits = 0
        self._packed: tuple[str, bytes | None] = ("", None)  # the place of a folder

    @property
    def key(self) -> bytes:
        """The store key of what workers put: bytes of one run are none of another."""
        return b"value " + self.folder.encode()

    def begin(self) -> None:
        """Begin with a new folder. What is in the old one is removed with the facts."""
        if self.folder:
            self.names.let_go(self.folder)
        self.names.forget_all_unwritten()
        self.folder = f"{RUNS}/{token_hex(16)}"

    def go_on(self, folder: str) -> None:
        """Go on with the folder of the run; one that was begun without a value store gets one now."""
        self.folder = folder or f"{RUNS}/{token_hex(16)}"

    def is_large(self, data: bytes) -> bool:
        """Tell whether a value goes into the value store. So does a small one that looks like a pointer."""
        return len(data) > self.over or points(data)

    def concerns(self, changes: Changes) -> bool:
        """Tell whether the value store is to be called when these changes are written."""
        if self._arrived or not self.names.is_empty:
            return True
        target, inputs = changes.head.target, changes.head.inputs
        of_run = inputs is not None or (target is not None and self.is_large(target))
        return of_run or any(map(self._goes_there, changes.facts))

    def _goes_there(self, fact: Fact) -> bool:
        return isinstance(fact, LargeFact) or (fact.kind is Kind.TARGET and self.is_large(fact.value))

    # What workers have put there

    def results(self) -> RunResults | None:
        """Return where workers put large results; `None` if the store or the codec can't travel to them."""
        packed = self._place()
        return None if packed is None else RunResults(self, packed)

    def _place(self) -> bytes | None:
        if self._packed[0] != self.folder or not self.folder:
            self._packed = (self.folder, self._own_place().packed())
        return self._packed[1]

    def _own_place(self) -> ResultPlace:
        return ResultPlace(self._values.store, self.folder, self.over, self._codec.codec, self.key)

    @property
    def may_travel(self) -> bool:
        """Whether workers can be told where the values are: the store and the codec can be pickled."""
        return self._place() is not None

    def argument(self, pointer: ValuePointer) -> StoredArgument:
        """Return what stands for a value in the arguments of a call that a worker makes; only if it `may_travel`."""
        place = self._place()
        assert place is not None
        return StoredArgument(place, pointer)

    def handle(self, pointer: ValuePointer, owner: object = None, task: str = "") -> StoredHandle:
        """Return a handle of a value."""
        self.has_handles = True
        return StoredHandle(self, pointer, owner, task)

    async def arrived(self, pointer: ValuePointer) -> object:
        """Return a value that a worker has put into the folder, and remember where it is.

        Raises:
            RunDamagedError: If it is not there, or is not what was put there.
            StoreError: If it can't be read.
        """
        value = await self.read(pointer)
        self._arrived[id(value)] = (value, pointer, self._commits)
        return value

    def is_put_ahead(self, value: object) -> bool:
        """Tell whether a value is most likely large, and not in the store: then it is put before it is recorded."""
        if (
            type(value) in SMALL
            or size_hint(value) <= self.over
            or isinstance(value, StandsForValue | Quoted)
        ):
            return False
        if self.has_handles and holds_handle(value):
            return False
        known = self._arrived.get(id(value))
        return known is None or known[0] is not value

    async def put_ahead(self, value: object) -> None:
        """Encode a value and put it, in a thread, before it is recorded: a fact that has this very object points there.

        One that the codec refuses, or that can't be put, is tried again when it is recorded, and that is told.
        """
        try:
            data = await asyncio.to_thread(self._codec.codec.encode, value, key=self.key)
            if len(data) <= self.over:
                return
            pointer = await asyncio.to_thread(pointer_to, self.folder, data)
            async with self._removing:  # the very name may be one that is removed at this moment
                self._arrived[id(value)] = (value, pointer, _UNDER_WAY)
            await asyncio.to_thread(self._values.store.put, pointer.name, data, safe=True)
            self._arrived[id(value)] = (value, pointer, self._commits)
        except Exception:  # noqa: BLE001 - whatever a codec or a store of the user's raises
            self._arrived.pop(id(value), None)

    def taken(self, place: NodeDigest, value: object) -> bytes | None:
        """Return the bytes of a fact whose value is in the store, or has parts there; `None` if it has not."""
        if self.has_handles and holds_handle(value):
            if type(value) is StoredHandle:
                return self._pointing(place, value.pointer)
            return self._pointing_to_parts(place, *taken_apart(value))
        known = self._arrived.get(id(value))
        if known is None or known[0] is not value:
            return None
        del self._arrived[id(value)]
        return self._pointing(place, known[1])

    def _pointing(self, place: NodeDigest, pointer: ValuePointer) -> bytes:
        self.names.note_unwritten(place, (pointer.name,))
        return pointer.sealed(self._codec.bound(place, Kind.RESULT))

    def _pointing_to_parts(
        self, place: NodeDigest, rest: object, found: dict[tuple[int, ...], StoredHandle]
    ) -> bytes:
        key = self._codec.bound(place, Kind.RESULT)
        pointers = [handle.pointer for handle in found.values()]
        parts = Parts(self._codec.codec.encode(rest, key=key), [*found], pointers)
        self.names.note_unwritten(place, tuple(pointer.name for pointer in pointers))
        return parts.sealed(key)

    def note_passing(self, place: NodeDigest, value: object) -> None:
        """Note that a node has a value of which there will be no fact: it is in the store while the node's frame is."""
        if self.has_handles and type(value) is StoredHandle:
            self.names.note_unwritten(place, (value.pointer.name,))

    def _forget_arrived(self) -> None:
        """Let go of values that no fact has taken, those of calls that are made again for one."""
        self._commits += 1
        for each, (_, pointer, commits) in [*self._arrived.items()]:
            if commits < self._commits - _ARRIVED_COMMITS:
                del self._arrived[each]
                self.names.let_go(pointer.name)

    # Writing

    async def write_large(self, changes: Changes) -> Changes:
        """Put what is large into the store, and return the changes with pointers in their places.

        Raises:
            StoreError: If a value can't be written.
        """
        self.names.note_written_soon(changes)
        large = [*filter(self._goes_there, changes.facts)]
        head = await self._head_with_pointers(changes.head)
        if head is not changes.head:
            changes = replace(changes, head=head)
        if not large:
            return changes
        left = iter(await self._values.put_all(self.folder, [fact.value for fact in large]))
        facts = [
            Fact(*fact[:2], self._sealed(next(left), *fact[:2]), fact.call)
            if self._goes_there(fact)
            else fact
            for fact in changes.facts
        ]
        return replace(changes, facts=facts)

    async def _head_with_pointers(self, head: Head) -> Head:
        """Put what is large of the run as a whole: its next target, and the parameters that it keeps."""
        if head.target is not None and self.is_large(head.target):
            (pointer,) = await self._values.put_all(self.folder, [head.target])
            head = replace(head, target=self._sealed(pointer, OF_RUN, Kind.TARGET))
        params = {} if head.inputs is None else large_params(head.inputs, self._codec, self.is_large)
        if params and head.inputs is not None:
            put = await self._values.put_all(self.folder, params.values())
            inputs = with_pointers(head.inputs, self._codec, dict(zip(params, put, strict=True)))
            head = replace(head, inputs=inputs)
        return head

    def _sealed(self, pointer: ValuePointer, place: NodeDigest, kind: Kind) -> bytes:
        """Return the pointer to what was encoded under the key of its fact."""
        key = self._codec.bound(place, kind)
        return pointer._replace(key=key).sealed(key)

    async def clean(self, written: Changes) -> None:
        """Remove the values that no fact points to any more; call it after these changes were written."""
        async with self._removing:
            self._forget_arrived()
            arrived = {pointer.name for _, pointer, _ in self._arrived.values()}
            unneeded = self.names.take_in(written, arrived)
            if unneeded:
                await self._values.delete(unneeded)

    # Reading

    def pointers_of(self, place: NodeDigest, kind: Kind, data: bytes) -> list[ValuePointer]:
        """Return the pointers that a fact has; most have none.

        Raises:
            DamagedDataError: If they are damaged, or those of another fact.
        """
        if place is OF_INPUTS:
            return input_pointers(data, self._codec)
        key = self._codec.bound(place, kind)
        if is_value_pointer(data):
            return [ValuePointer.read(data, key)]
        return Parts.read(data, key).pointers if are_parts(data) else []

    def _names_of(self, place: NodeDigest, kind: Kind, data: bytes) -> Names:
        if place is not OF_INPUTS and not points(data):  # once for each fact of a batch: most have no pointer
            return ()
        try:
            return tuple(pointer.name for pointer in self.pointers_of(place, kind, data))
        except DamagedDataError:
            return ()

    async def take_in(self, loaded: Loaded) -> tuple[Loaded, LargeValues]:
        """Return what was loaded with all targets of loops in their places, and the large values by their facts.

        Values of nodes are not read yet.
        """
        facts: list[tuple[NodeDigest, Kind, bytes]] = []
        large: LargeValues = {}
        for place, kind, data in loaded.facts:
            fact = place, kind, data
            if points(data):
                self.names.note(place, kind, self._names_of(*fact))
                if (
                    place.frame.round == loaded.head.round
                ):  # others are kept to be looked at, without their values
                    if kind is Kind.RESULT:
                        large[place] = StoredValue(data)
                    else:
                        fact = place, kind, await self._loaded(*fact)
            facts.append(fact)
        target = loaded.head.target
        if target and points(target):
            self.names.note(OF_RUN, Kind.TARGET, self._names_of(OF_RUN, Kind.TARGET, target))
            loaded.head.target = await self._loaded(OF_RUN, Kind.TARGET, target)
        return Loaded(loaded.head, facts), large

    async def _loaded(self, place: NodeDigest, kind: Kind, data: bytes) -> bytes:
        """Return what a fact points to, or the fact as it is: an error only when it is wanted."""
        try:
            (pointer,) = self.pointers_of(place, kind, data)
            return await self._values.get(pointer)
        except (DamagedDataError, StoreError):
            return data

    def handles(self, place: NodeDigest, stored: StoredValue) -> object:
        """Return a value that was not read, with handles in the places of what lies in the store.

        Raises:
            RunDamagedError: If the fact is damaged.
        """
        with self._codec.checked():
            key = self._codec.bound(place, Kind.RESULT)
            if is_value_pointer(stored.data):
                return self.handle(ValuePointer.read(stored.data, key))
            parts = Parts.read(stored.data, key)
            rest = self._codec.codec.decode(parts.rest, key=key)
            handles = map(self.handle, parts.pointers)
            return put_together(rest, dict(zip(parts.places, handles, strict=True)))

    async def read(self, pointer: ValuePointer) -> object:
        """Return the value that a pointer leads to. It is read and decoded in a thread.

        Raises:
            RunDamagedError: If it is missing or damaged.
            StoreError: If it can't be read.
        """
        return await asyncio.to_thread(self.read_now, pointer)

    def read_now(self, pointer: ValuePointer) -> object:
        """Do the same in the caller's thread."""
        with self._codec.checked():
            data = get_value(self._values.store, pointer)
            return self._codec.codec.decode(data, key=pointer.key or self.key)


def points(data: bytes) -> bool:
    """Tell whether bytes in a store point to a value, or to parts of one."""
    return is_value_pointer(data) or are_parts(data)


_UNDER_WAY = 1 << 62
"""In the place of the number of commits, for a value that is being put."""
_ARRIVED_COMMITS = 8
"""A value that no fact has taken after so many commits belongs to no call that is still under way."""
