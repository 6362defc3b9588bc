"""The layout of runs in Redis: their keys, and the form of a fact.

Each run has these keys:

- `head`: a hash, the run as a whole;
- `frames`: a sorted set of its frames, by their rounds;
- `frame`, one for each frame: a hash with the values of its nodes, each beside its metadata;
- `timeline`: a hash with the parts of its timeline, by drive and number;
- `owner`: who opened the run last. It stays when nobody drives the run any more;
- `lease`: who drives the run. It times out.

`inputs` is a hash of what runs have kept of their inputs, by their ids: of those that have not succeeded. `runs` is a
sorted set of all runs, by when each was written last.
"""

from __future__ import annotations

import msgspec

from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.journal import Fact, Kind
from cascade.adapters.text_bytes import as_bytes, as_text
from cascade.spec.errors import StoreFormatError
from cascade.spec.late_dataclasses import dataclass

PREFIX = "cascade:state:"
"""What all keys of a store begin with by default."""

FORMAT = 4
"""The version of this layout.

In version 1, that of Cascade 0.1, a head has no `rules`, which means 1. In version 2 there are no timelines, in
version 3 no inputs, and nothing that a run waits for.
"""

ABOVE = b"a"
"""The field of a frame's hash with the node that the frame stands in for."""


@dataclass(frozen=True, slots=True)
class RunKeys:
    """The keys of one run. They end with its id, which is any text, so that no two runs share one."""

    prefix: str
    run_id: str

    @property
    def format(self) -> bytes:
        return as_bytes(f"{self.prefix}format")

    @property
    def runs(self) -> bytes:
        return as_bytes(f"{self.prefix}runs")

    @property
    def inputs(self) -> bytes:
        return as_bytes(f"{self.prefix}inputs")

    @property
    def head(self) -> bytes:
        return self._of("head")

    @property
    def owner(self) -> bytes:
        return self._of("owner")

    @property
    def lease(self) -> bytes:
        return self._of("lease")

    @property
    def frames(self) -> bytes:
        return self._of("frames")

    @property
    def timeline(self) -> bytes:
        return self._of("timeline")

    @property
    def around_frame(self) -> tuple[bytes, bytes]:
        """What stands before and behind the frame's member of `frames` in the key of its hash."""
        return as_bytes(f"{self.prefix}frame:"), as_bytes(f":{self.run_id}")

    def frame(self, member: bytes) -> bytes:
        """Return the key of the hash of a frame, by its member of `frames`."""
        before, behind = self.around_frame
        return before + member + behind

    def _of(self, name: str) -> bytes:
        return as_bytes(f"{self.prefix}{name}:{self.run_id}")


def member_of(frame: FrameDigest) -> bytes:
    """Return the member of the set of frames that stands for a frame."""
    return b"%d:%b" % (frame.round, frame.digest.hex().encode())


def frame_from(member: bytes, above: bytes) -> FrameDigest:
    """Return the frame of a member.

    Raises:
        ValueError: If it is none.
    """
    number, _, digest = member.partition(b":")
    return FrameDigest(int(number), bytes.fromhex(digest.decode("ascii")), above)


def value_field(place: NodeDigest, kind: Kind) -> bytes:
    """Return the field of a frame's hash that has this fact's value."""
    return b"v%c%b" % (kind, place.node)


def metadata_field(field: bytes) -> bytes:
    """Return the field that has the metadata of the value in this field."""
    return b"t" + field[1:]


def is_value(field: bytes) -> bool:
    """Tell whether a field has a value."""
    return field[:1] == b"v"


def part_field(drive: int, number: int) -> bytes:
    """Return the field of a timeline's hash that has this part; fields sort like their numbers."""
    return b"%020d:%010d" % (drive, number)


def is_sum(field: bytes) -> bool:
    """Tell whether a field has the part that sums up a drive."""
    return field.endswith(b":0000000000")


def part_value(data: bytes, at: float) -> bytes:
    """Return what stands in the field of a part that is committed at this time."""
    return msgspec.msgpack.encode((at, data))


def part_from(field: bytes, value: bytes) -> tuple[int, int, bytes, float]:
    """Return the drive, the number, the bytes and the time of a part.

    Raises:
        ValueError: If the field is of none.
        msgspec.MsgspecError: If something else stands there.
    """
    drive, _, number = field.partition(b":")
    at, data = msgspec.msgpack.decode(value, type=tuple[float, bytes])
    return int(drive), int(number), data, at


def key_of(field: bytes) -> tuple[bytes, Kind]:
    """Return the node and the kind that a value's field is of.

    Raises:
        ValueError: If it is of none.
    """
    return field[2:], Kind(field[1])


@dataclass(frozen=True, slots=True)
class FactMetadata:
    """What is known of a fact without its value: when it was committed, its size in bytes, and its label."""

    at: float
    size: int
    task: bytes
    place: bytes

    @classmethod
    def of(cls, fact: Fact, at: float) -> FactMetadata:
        return cls(at, len(fact.value), as_bytes(fact.call.task), as_bytes(fact.call.place))

    def encode(self) -> bytes:
        return msgspec.msgpack.encode((self.at, self.size, self.task, self.place))

    @classmethod
    def decode(cls, data: bytes) -> FactMetadata:
        """Read it back.

        Raises:
            msgspec.MsgspecError: If it is none.
        """
        return cls(*msgspec.msgpack.decode(data, type=tuple[float, int, bytes, bytes]))


def newer_format(address: str, found: bytes) -> StoreFormatError:
    """Return the error for a store of a version that is not known here."""
    return StoreFormatError(
        address,
        f"is a store of runs of version {as_text(found)}, and this is for versions up to {FORMAT}",
        "use a newer cascade-engine, or another prefix",
    )
