"""The large values of one run, in a value store: what goes there, what points to it, and what is removed.

Each run has a folder of its own there, whose name is in its record: so no other run, of whatever store, points to what
is in it. A value is there before the fact that points to it is written, and is removed after that fact is deleted. A
process that is killed between the two leaves a value that nothing points to; it goes with the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex
from typing import TypeAlias

from cascade.adapters.state.digests import NodeDigest
from cascade.adapters.state.journal import Changes, Fact, Kind, Loaded
from cascade.adapters.state.recorded.fact_codec import OF_RUN, FactCodec
from cascade.adapters.values.kept_values import KeptValues
from cascade.adapters.values.large_results import MadeValue
from cascade.adapters.values.made_values import ResultPlace
from cascade.adapters.values.value_pointer import ValuePointer, get_value, is_value_pointer
from cascade.spec.errors import DamagedDataError, StoreError

RUNS = "runs"
"""The folder of all runs in a value store."""


class LargeFact(Fact):
    """A fact whose value goes into the value store when it is written. It is encoded under the key of such values."""

    __slots__ = ()


class StoredValue:
    """A large value that was not fetched yet, of which the fact has these bytes."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class FetchedValue:
    """A large value as it was fetched, to be decoded when it is first wanted; or the error of that."""

    __slots__ = ("found",)

    def __init__(self, found: bytes | DamagedDataError | StoreError) -> None:
        self.found = found


LargeValues: TypeAlias = dict[NodeDigest, StoredValue | FetchedValue]


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


class RunValues:
    """The large values of one run. `folder` is where they are; it is empty until the run is begun or opened."""

    def __init__(self, values: KeptValues, codec: FactCodec) -> None:
        self.over = values.over
        self.folder = ""
        self._values = values
        self._codec = codec
        self._names: dict[bytes, dict[tuple[bytes, Kind], tuple[int, str]]] = {}  # by the digest of the frame
        self._unneeded: set[str] = set()
        self._arrived: dict[int, tuple[object, ValuePointer, int]] = {}  # by the identity of the value
        self._unwritten: dict[bytes, dict[bytes, str]] = {}  # of facts that no commit has, by frame and node
        self._commits = 0

    @property
    def key(self) -> bytes:
        """The store key of all values of the run: bytes of one run are none of another."""
        return b"value " + self.folder.encode()

    def begin(self) -> None:
        """Begin with a new folder. What is in the old one is removed with the facts."""
        if self.folder:
            self._unneeded.add(self.folder)
        self._unwritten.clear()
        self.folder = f"{RUNS}/{token_hex(16)}"

    def go_on(self, folder: str) -> None:
        """Go on with the folder of the run; one that was begun without a value store gets one now."""
        self.folder = folder or f"{RUNS}/{token_hex(16)}"

    def is_large(self, data: bytes) -> bool:
        """Tell whether a value goes into the value store. So does a small one that looks like a pointer."""
        return len(data) > self.over or is_value_pointer(data)

    def concerns(self, changes: Changes) -> bool:
        """Tell whether the value store is to be called when these changes are written."""
        if self._names or self._unneeded or self._arrived or self._unwritten:
            return True
        target = changes.head.target
        return (target is not None and self.is_large(target)) or any(map(self._goes_there, changes.facts))

    def _goes_there(self, fact: Fact) -> bool:
        return isinstance(fact, LargeFact) or (fact.kind is Kind.TARGET and self.is_large(fact.value))

    # What workers have put there

    def results(self) -> RunResults | None:
        """Return where workers put large results; `None` if the store or the codec can't travel to them."""
        place = ResultPlace(self._values.store, self.folder, self.over, self._codec.codec, self.key)
        packed = place.packed()
        return None if packed is None else RunResults(self, packed)

    async def arrived(self, pointer: ValuePointer) -> object:
        """Return a value that a worker has put into the folder, and remember where it is.

        Raises:
            RunDamagedError: If it is not there, or is not what was put there.
            StoreError: If it can't be read.
        """
        value = self.decode(FetchedValue(await self._at(pointer)))
        self._arrived[id(value)] = (value, pointer, self._commits)
        return value

    def take_arrived(self, place: NodeDigest, value: object) -> bytes | None:
        """Return the bytes of a fact whose value a worker has put there; `None` if it was not."""
        found = self._arrived.get(id(value))
        if found is None or found[0] is not value:
            return None
        del self._arrived[id(value)]
        self.forget_unwritten_of(place)  # of a value that this one replaces
        self._unwritten.setdefault(place.frame.digest, {})[place.node] = found[1].name
        return self._sealed(found[1], place, Kind.RESULT)

    def forget_unwritten(self, frames: Iterable[bytes]) -> None:
        """Take in that facts of frames are forgotten. What was written of them is removed with them, later."""
        for frame in frames:
            self._unneeded.update(self._unwritten.pop(frame, {}).values())

    def forget_unwritten_of(self, place: NodeDigest) -> None:
        """Take in that the facts of a node are forgotten."""
        name = self._unwritten.get(place.frame.digest, {}).pop(place.node, None)
        if name is not None:
            self._unneeded.add(name)

    def _note_written_soon(self, changes: Changes) -> None:
        """Take in that facts are about to be written: from now on they are forgotten by a later batch."""
        if self._unwritten:
            for fact in changes.facts:
                if is_value_pointer(fact.value) and fact.kind is Kind.RESULT:
                    self._unwritten.get(fact.place.frame.digest, {}).pop(fact.place.node, None)
                    self._note(*fact[:3])

    def _forget_arrived(self) -> None:
        """Let go of values that no fact has taken, those of calls that are made again for one."""
        self._commits += 1
        for each, (_, pointer, commits) in [*self._arrived.items()]:
            if commits < self._commits - _ARRIVED_COMMITS:
                del self._arrived[each]
                self._unneeded.add(pointer.name)

    # Writing

    async def write_large(self, changes: Changes) -> Changes:
        """Put what is large into the store, and return the changes with pointers in their places.

        Raises:
            StoreError: If a value can't be written.
        """
        self._note_written_soon(changes)
        target = changes.head.target
        large = [*filter(self._goes_there, changes.facts)]
        has_target = target is not None and self.is_large(target)
        if not large and not has_target:
            return changes
        datas = [fact.value for fact in large]
        if has_target and target is not None:
            datas.append(target)
        pointers = await self._values.put_all(self.folder, datas)
        if has_target:
            sealed = self._sealed(pointers.pop(), OF_RUN, Kind.TARGET)
            changes = replace(changes, head=replace(changes.head, target=sealed))
        left = iter(pointers)
        facts = [
            Fact(*fact[:2], self._sealed(next(left), *fact[:2]), fact.call)
            if self._goes_there(fact)
            else fact
            for fact in changes.facts
        ]
        return replace(changes, facts=facts)

    def _sealed(self, pointer: ValuePointer, place: NodeDigest, kind: Kind) -> bytes:
        return pointer.sealed(self._codec.bound(place, kind))

    async def clean(self, written: Changes) -> None:
        """Remove the values that no fact points to any more; call it after these changes were written."""
        self._note_deleted(written)
        self._note_written(written)
        self._forget_arrived()
        if self._unneeded:
            pointed = {name for names in self._names.values() for _, name in names.values()}
            unneeded, self._unneeded = self._unneeded - pointed, set()
            await self._values.delete(unneeded)

    def _note_deleted(self, written: Changes) -> None:
        if not self._names:
            return
        gone = [*self._names] if written.anew else [frame.digest for frame in written.frames]
        if written.rounds is not None:
            last = written.rounds
            gone += [
                frame
                for frame, names in self._names.items()
                if all(number <= last for number, _ in names.values())
            ]
        for frame in gone:
            self._unneeded.update(name for _, name in self._names.pop(frame, {}).values())
        for place in written.nodes:
            names = self._names.get(place.frame.digest, {})
            for node, kind in [each for each in names if each[0] == place.node]:
                self._unneeded.add(names.pop((node, kind))[1])

    def _note_written(self, written: Changes) -> None:
        for fact in written.facts:
            names = self._names.get(fact.place.frame.digest)
            if names is not None:
                before = names.pop((fact.place.node, fact.kind), None)
                if before is not None:
                    self._unneeded.add(before[1])
            if is_value_pointer(fact.value):
                self._note(*fact[:3])
        target = written.head.target
        if target is not None:
            self._note_target(target)

    def _note_target(self, target: bytes) -> None:
        names = self._names.pop(_OWN_LOOP, {})
        self._unneeded.update(name for _, name in names.values())
        if is_value_pointer(target):
            self._note(OF_RUN, Kind.TARGET, target)

    def note_pointer(self, place: NodeDigest, kind: Kind, pointer: ValuePointer) -> None:
        """Note that a fact in the store points to a value."""
        number, digest, _ = place.frame
        number = _NEVER if place is OF_RUN else number
        self._names.setdefault(digest, {})[place.node, kind] = (number, pointer.name)

    # Reading

    def pointer_of(self, place: NodeDigest, kind: Kind, data: bytes) -> ValuePointer:
        """Return the pointer that a fact has.

        Raises:
            DamagedDataError: If it has none, or that of another fact.
        """
        return ValuePointer.read(data, self._codec.bound(place, kind))

    async def take_in(self, loaded: Loaded) -> tuple[Loaded, LargeValues]:
        """Return what was loaded with all targets of loops in their places, and the large values by their facts.

        Values of nodes in a round of the run's own loop are not fetched yet. Those of frames inside are: a run goes on
        in the midst of them.
        """
        facts: list[tuple[NodeDigest, Kind, bytes]] = []
        large: LargeValues = {}
        for place, kind, data in loaded.facts:
            if not is_value_pointer(data):
                facts.append((place, kind, data))
            elif place.frame.round != loaded.head.round:  # kept to be looked at, without its value
                with suppress(DamagedDataError):
                    self._note(place, kind, data)
            elif kind is not Kind.RESULT:
                found = await self._found(place, kind, data)
                facts.append((place, kind, found if isinstance(found, bytes) else data))
            else:
                is_inside = bool(place.frame.above)
                large[place] = await self.fetched(place, data) if is_inside else self._stored(place, data)
                facts.append((place, kind, data))
        target = loaded.head.target
        if target and is_value_pointer(target):
            found = await self._found(OF_RUN, Kind.TARGET, target)
            if isinstance(found, bytes):
                loaded.head.target = found
        return Loaded(loaded.head, facts), large

    def _stored(self, place: NodeDigest, data: bytes) -> StoredValue | FetchedValue:
        try:
            self._note(place, Kind.RESULT, data)
        except DamagedDataError as problem:
            return FetchedValue(problem)
        return StoredValue(data)

    async def fetched(self, place: NodeDigest, data: bytes) -> FetchedValue:
        """Fetch a value that a fact with these bytes points to."""
        return FetchedValue(await self._found(place, Kind.RESULT, data))

    def fetched_now(self, place: NodeDigest, data: bytes) -> FetchedValue:
        """Fetch a value in the caller's thread."""
        try:
            pointer = self.pointer_of(place, Kind.RESULT, data)
            return FetchedValue(get_value(self._values.store, pointer))
        except (DamagedDataError, StoreError) as problem:
            return FetchedValue(problem)

    async def _found(
        self, place: NodeDigest, kind: Kind, data: bytes
    ) -> bytes | DamagedDataError | StoreError:
        """Return what a fact points to; an error only when the value is wanted: the run may do without it."""
        try:
            pointer = self._note(place, kind, data)
        except DamagedDataError as problem:
            return problem
        return await self._at(pointer)

    async def _at(self, pointer: ValuePointer) -> bytes | DamagedDataError | StoreError:
        try:
            return await self._values.get(pointer)
        except (DamagedDataError, StoreError) as problem:
            return problem

    def _note(self, place: NodeDigest, kind: Kind, data: bytes) -> ValuePointer:
        pointer = self.pointer_of(place, kind, data)
        self.note_pointer(place, kind, pointer)
        return pointer

    def decode(self, value: FetchedValue) -> object:
        """Return the value of what was fetched.

        Raises:
            RunDamagedError: If it is missing or damaged.
            StoreError: If it could not be read.
        """
        return self._codec.decode_value(value.found, self.key)


_ARRIVED_COMMITS = 8
"""A value that no fact has taken after so many commits belongs to no call that is still under way."""
_OWN_LOOP = OF_RUN.frame.digest
_NEVER = 1 << 62
"""The round of what belongs to the run itself: it goes with no round."""
