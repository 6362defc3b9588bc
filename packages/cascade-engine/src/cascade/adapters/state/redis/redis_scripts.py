"""The scripts that change a run in Redis. A server runs a script as a whole: nobody sees or changes a half of it.

The layout of the keys is that of `redis_layout`. A holder is a token of its own and the name that is shown.
"""

from __future__ import annotations

from hashlib import sha1

from cascade.spec.late_dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Script:
    """A script in Lua, and its digest, by which a server finds one that it has run before."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha1(self.text.encode(), usedforsecurity=False).hexdigest())


TAKE = Script("""
-- KEYS: format, lease, owner. ARGV: format, holder, milliseconds.
local version = redis.call('GET', KEYS[1])
if not version or (tonumber(version) or 99) < tonumber(ARGV[1]) then
  -- An older store is of this version, but for its mark.
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
-- The owner of a run stays: who has lost the run to this one finds that out, however late.
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
if redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('DEL', KEYS[1])
end
return 1
""")

WRITE = Script("""
-- KEYS: owner, lease, head, frames, runs, timeline, inputs.
-- ARGV: holder, milliseconds, run, time, before and behind a frame's member in its key, whether anew, last round to
-- forget or nothing, how many drives of the timeline are kept; then lists with their lengths: the head's fields and
-- values, frames, nodes, facts, parts of the timeline.
local owner = redis.call('GET', KEYS[1])
if owner ~= ARGV[1] then
  return owner or ''
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
local at = 9
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
  redis.call('DEL', KEYS[3], KEYS[4], KEYS[6])
  redis.call('HDEL', KEYS[7], ARGV[3])
  facts, size = 0, 0
  redis.call('HSET', KEYS[3], 'status', 'running', 'task', '', 'round', '0', 'error', '', 'record', '',
    'target', '', 'began', ARGV[4])
end
for _ = 1, tonumber(take()) do
  local name, value = take(), take()
  if name == 'inputs' then
    redis.call('HSET', KEYS[7], ARGV[3], value)
  else
    redis.call('HSET', KEYS[3], name, value)
    if name == 'status' and value == 'succeeded' then
      redis.call('HDEL', KEYS[7], ARGV[3])
    end
  end
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
    local value, metadata = take(), take()
    weigh(key, value, -1)
    redis.call('HSET', key, value, take(), metadata, take())
    weigh(key, value, 1)
  end
end
local parts = tonumber(take())
for _ = 1, parts do
  local field = take()
  redis.call('HSET', KEYS[6], field, take())
  if string.sub(field, -10) == '0000000000' then  -- the sum of a drive: those of long ago go
    local drives, fields = {}, redis.call('HKEYS', KEYS[6])
    for _, each in ipairs(fields) do
      if string.sub(each, -10) == '0000000000' then
        drives[#drives + 1] = string.sub(each, 1, 20)
      end
    end
    table.sort(drives)
    local oldest = drives[#drives + 1 - tonumber(ARGV[9])]
    for _, each in ipairs(oldest and fields or {}) do
      if string.sub(each, 1, 20) < oldest then
        redis.call('HDEL', KEYS[6], each)
      end
    end
  end
end
redis.call('HINCRBY', KEYS[3], 'facts', facts)
redis.call('HINCRBY', KEYS[3], 'size', size)
redis.call('HSET', KEYS[3], 'updated', ARGV[4], 'frames', redis.call('ZCARD', KEYS[4]))
redis.call('ZADD', KEYS[5], ARGV[4], ARGV[3])
return 1
""")

DELETE = Script("""
-- KEYS: owner, lease, head, frames, runs, timeline, inputs. ARGV: run, before and behind a frame's member in its key.
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
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6])
redis.call('HDEL', KEYS[7], ARGV[1])
return 1
""")
