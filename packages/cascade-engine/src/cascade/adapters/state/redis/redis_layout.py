"""How runs lie in Redis: their keys, the form of a fact, and the scripts that change them as one.

Of each run there are: `head`, a hash with what is stored of the run as a whole; `frames`, a sorted set of its frames
by their rounds; for each of those a hash `frame` with the values of its nodes, each beside what is told of it; `owner`,
who opened the run last, which stays when the run is not driven any more; and `lease`, who drives it, which times out.
`runs` is a sorted set of all runs, by when each was written last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1

import msgspec

from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.journal import Fact, Kind
from cascade.spec.errors import StoreFormatError

PREFIX = "cascade:state:"
"""What all keys of the store begin with, unless it is told otherwise."""

FORMAT = 2
"""The version of all this. In version 1, that of Cascade 0.1, a head has no `rules`, which means 1."""

ABOVE = b"a"
"""The field of a frame's hash that says in whose place the frame stands."""


def as_bytes(text: str) -> bytes:
    """Return any text as bytes, half characters too."""
    return text.encode("utf-8", "surrogatepass")


def as_text(data: bytes) -> str:
    """Return the text of `as_bytes`; what is no text shows as such."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


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
    """Return what stands for a frame in the set of frames."""
    return b"%d:%b" % (frame.round, frame.digest.hex().encode())


def frame_from(member: bytes, above: bytes) -> FrameDigest:
    """Return the frame of a member.

    Raises:
        ValueError: If it is none.
    """
    number, _, digest = member.partition(b":")
    return FrameDigest(int(number), bytes.fromhex(digest.decode("ascii")), above)


def value_field(place: NodeDigest, kind: Kind) -> bytes:
    """Return the field of a frame's hash that has a value; `told_field` is beside it."""
    return b"v%c%b" % (kind, place.node)


def told_field(field: bytes) -> bytes:
    """Return the field with what is told of the value in another one."""
    return b"t" + field[1:]


def is_value(field: bytes) -> bool:
    """Tell whether a field has a value."""
    return field[:1] == b"v"


def key_of(field: bytes) -> tuple[bytes, Kind]:
    """Return the node and the kind that a value's field is of.

    Raises:
        ValueError: If it is of none.
    """
    return field[2:], Kind(field[1])


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a fact without reading its value."""

    at: float
    size: int
    task: bytes
    place: bytes

    @classmethod
    def of(cls, fact: Fact, at: float) -> Told:
        return cls(at, len(fact.value), as_bytes(fact.call.task), as_bytes(fact.call.place))

    def encode(self) -> bytes:
        return msgspec.msgpack.encode((self.at, self.size, self.task, self.place))

    @classmethod
    def decode(cls, data: bytes) -> Told:
        """Read it back.

        Raises:
            msgspec.MsgspecError: If it is none.
        """
        return cls(*msgspec.msgpack.decode(data, type=tuple[float, int, bytes, bytes]))


@dataclass(frozen=True, slots=True)
class Script:
    """A script that runs in the server, as one."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha1(self.text.encode(), usedforsecurity=False).hexdigest())


# Who is said to hold a lease is what `owner` and `lease` hold: a token of the holder's own, and its name behind it.

TAKE = Script("""
-- KEYS: format, lease, owner. ARGV: format, holder, milliseconds.
local version = redis.call('GET', KEYS[1])
if not version or version == '1' then  -- a store of version 1 is one of version 2 already, but for its mark
  redis.call('SET', KEYS[1], ARGV[1])
elseif version ~= ARGV[1] then
  return {'format', version}
end
local held = redis.pcall('GET', KEYS[2])
if type(held) == 'string' and held ~= ARGV[2] then
  return {'held', held, redis.call('PTTL', KEYS[2])}
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('SET', KEYS[3], ARGV[2])
return {'taken'}
""")

RENEW = Script("""
-- KEYS: owner, lease. ARGV: holder, milliseconds.
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then
  return owner or ''
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
""")

RELEASE = Script("""
-- KEYS: owner, lease, head. ARGV: holder.
-- The owner of a run stays: who has lost the run to this one is told so, however late.
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
if redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('DEL', KEYS[1])
end
return 1
""")

WRITE = Script("""
-- KEYS: owner, lease, head, frames, runs.
-- ARGV: holder, milliseconds, run, time, before and behind a frame's member in its key, whether anew, last round to
-- forget or nothing; then lists with their lengths: the head's fields and values, frames, nodes, facts.
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then
  return owner or ''
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
local at = 8
local function take()
  at = at + 1
  return ARGV[at]
end
local function key_of(member)
  return ARGV[5] .. member .. ARGV[6]
end
local facts, size = 0, 0
local function weigh(key, field, sign)
  if string.byte(field, 2) ~= 5 and redis.call('HEXISTS', key, field) == 1 then  -- not what links frames
    facts = facts + sign
    size = size + sign * redis.call('HSTRLEN', key, field)
  end
end
local function forget(member)
  local key = key_of(member)
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 1) == 'v' then
      weigh(key, field, -1)
    end
  end
  redis.call('UNLINK', key)
  redis.call('ZREM', KEYS[4], member)
end
if ARGV[7] == '1' or redis.call('EXISTS', KEYS[3]) == 0 then
  -- Whatever is there: keys may be gone, or be of another type.
  local members = redis.pcall('ZRANGE', KEYS[4], 0, -1)
  for _, member in ipairs(members.err and {} or members) do
    redis.call('UNLINK', key_of(member))
  end
  redis.call('DEL', KEYS[3], KEYS[4])
  facts, size = 0, 0
  redis.call('HSET', KEYS[3], 'status', 'running', 'task', '', 'round', '0', 'error', '', 'record', '',
    'target', '', 'began', ARGV[4])
end
for _ = 1, tonumber(take()) do
  local name = take()
  redis.call('HSET', KEYS[3], name, take())
end
if ARGV[8] ~= '' then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', ARGV[8])) do
    forget(member)
  end
end
for _ = 1, tonumber(take()) do
  forget(take())
end
for _ = 1, tonumber(take()) do
  local key, node = key_of(take()), take()
  for kind = 0, tonumber(take()) do
    local name = string.char(kind) .. node
    weigh(key, 'v' .. name, -1)
    redis.call('HDEL', key, 'v' .. name, 't' .. name)
  end
end
for _ = 1, tonumber(take()) do
  local round, member, above = take(), take(), take()
  local key = key_of(member)
  if redis.call('ZADD', KEYS[4], round, member) == 1 then
    redis.call('UNLINK', key)  -- what is left of a run whose other keys were lost
  end
  redis.call('HSET', key, 'a', above)
  for _ = 1, tonumber(take()) do
    local value, told = take(), take()
    weigh(key, value, -1)
    redis.call('HSET', key, value, take(), told, take())
    weigh(key, value, 1)
  end
end
redis.call('HINCRBY', KEYS[3], 'facts', facts)
redis.call('HINCRBY', KEYS[3], 'size', size)
redis.call('HSET', KEYS[3], 'updated', ARGV[4], 'frames', redis.call('ZCARD', KEYS[4]))
redis.call('ZADD', KEYS[5], ARGV[4], ARGV[3])
return 1
""")

DELETE = Script("""
-- KEYS: owner, lease, head, frames, runs. ARGV: run, before and behind a frame's member in its key.
local held = redis.pcall('GET', KEYS[2])
if type(held) == 'string' then
  return held
end
if redis.call('ZREM', KEYS[5], ARGV[1]) + redis.call('EXISTS', KEYS[3]) == 0 then
  return 0
end
local members = redis.pcall('ZRANGE', KEYS[4], 0, -1)
for _, member in ipairs(members.err and {} or members) do  -- another type is damage, which is to be gone too
  redis.call('UNLINK', ARGV[2] .. member .. ARGV[3])
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return 1
""")


def name_of(holder: bytes) -> str:
    """Return the name of a holder, as it is shown."""
    return as_text(holder.partition(b" ")[2])


def newer_format(address: str, found: bytes) -> StoreFormatError:
    """Return the error for a store of a version that is not known here."""
    return StoreFormatError(
        address,
        f"is a store of runs of version {as_text(found)}, and this is for versions up to {FORMAT}",
        "use a newer cascade-engine, or another prefix",
    )
