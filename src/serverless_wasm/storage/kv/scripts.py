"""What Redis does for a key-value store, in Lua: each script is one call, and atomic.

A namespace is four keys: V, a hash of the values; K, a sorted set of the keys, all with the score 0, so that
they can be listed in the order of their bytes (ZRANGEBYLEX); E, a sorted set of those with a time to live,
by its end in milliseconds; U, the bytes that the namespace counts for.
It must never leave the four at odds: redis-server runs a script as a whole, and writes its effects so.

Redis would forget a key with a time to live of its own accord and tell nobody, so nothing has one there; what
is over is invisible, and removed by writes, as in SQLite. Times are the server's: clients may disagree.
The first two arguments are the quota and how many pairs are removed in passing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from serverless_wasm.storage.kv.namespace import PAIR

_SHARED = (
    f"local PAIR = {PAIR}\n"
    """
local V, K, E, U = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local quota, swept = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function is_over(key)
  local expires = redis.call('ZSCORE', E, key)
  return expires and tonumber(expires) <= now
end

local function counted(key)
  if redis.call('HEXISTS', V, key) == 0 then return 0 end
  return PAIR + #key + redis.call('HSTRLEN', V, key)
end

local function remove(key)
  local bytes = counted(key)
  if bytes == 0 then return end
  redis.call('HDEL', V, key)
  redis.call('ZREM', K, key)
  redis.call('ZREM', E, key)
  redis.call('DECRBY', U, bytes)
end

local function remove_over()
  local keys = redis.call('ZRANGEBYSCORE', E, '-inf', now, 'LIMIT', 0, swept)
  for _, key in ipairs(keys) do remove(key) end
  return #keys > 0
end

local function sweep(first, step)
  for i = first, #ARGV, step do
    if is_over(ARGV[i]) then remove(ARGV[i]) end
  end
  remove_over()
end

local function has_room(more)
  while more > 0 and tonumber(redis.call('GET', U) or 0) + more > quota do
    if not remove_over() then return false end
  end
  return true
end

local function put(key, value, expires)
  local more = PAIR + #key + #value - counted(key)
  redis.call('HSET', V, key, value)
  redis.call('ZADD', K, 0, key)
  if expires then redis.call('ZADD', E, expires, key) else redis.call('ZREM', E, key) end
  if more ~= 0 then redis.call('INCRBY', U, more) end
end
"""
)


@dataclass(frozen=True, slots=True)
class Script:
    """A script, and the digest that Redis knows it by."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "digest", digest)


READ = Script(
    _SHARED
    + """
local answer, bytes = {}, 0
for i = 4, #ARGV do
  answer[i - 3] = false
  if not is_over(ARGV[i]) then
    bytes = bytes + redis.call('HSTRLEN', V, ARGV[i])
    if #ARGV > 4 and bytes > tonumber(ARGV[3]) then return 0 end
    answer[i - 3] = redis.call('HGET', V, ARGV[i])
  end
end
return answer
"""
)
"""The most bytes, then keys: an array of values and nils, or 0 for too many bytes."""

HAS = Script(
    _SHARED
    + """
if is_over(ARGV[3]) then return 0 end
return redis.call('HEXISTS', V, ARGV[3])
"""
)
"""A key: 1 or 0."""

WRITE = Script(
    _SHARED
    + """
sweep(4, 2)
local more = 0
for i = 4, #ARGV, 2 do
  more = more + PAIR + #ARGV[i] + #ARGV[i + 1] - counted(ARGV[i])
end
if not has_room(more) then return 2 end
local expires = ARGV[3] ~= '' and now + tonumber(ARGV[3])
for i = 4, #ARGV, 2 do put(ARGV[i], ARGV[i + 1], expires) end
return 1
"""
)
"""The time to live or nothing, then keys and values: 1, or 2 no room."""

REMOVE = Script(
    _SHARED
    + """
sweep(3, 1)
for i = 3, #ARGV do remove(ARGV[i]) end
return 1
"""
)
"""Keys: 1."""

PAGE = Script(
    _SHARED
    + """
local most = tonumber(ARGV[5])
local found = redis.call('ZRANGEBYLEX', K, ARGV[3], ARGV[4], 'LIMIT', 0, most + 1)
local answer = {#found > most and found[most] or false}
for i = 1, math.min(#found, most) do
  if not is_over(found[i]) then answer[#answer + 1] = found[i] end
end
return answer
"""
)
"""The two ends as ZRANGEBYLEX takes them, and how many: where to go on or nil, then keys."""

INCREMENT = Script(
    _SHARED
    + """
local key = ARGV[3]
if is_over(key) then remove(key) end
remove_over()
local old, bytes = redis.call('HGET', V, key), counted(key)
local sum = redis.pcall('HINCRBY', V, key, ARGV[4])
if type(sum) == 'table' then
  if string.find(sum.err, 'not an integer', 1, true) then return 0 end
  if string.find(sum.err, 'overflow', 1, true) then return 1 end
  return sum
end
local new = redis.call('HGET', V, key)
local more = PAIR + #key + #new - bytes
if not has_room(more) then
  if old then redis.call('HSET', V, key, old) else redis.call('HDEL', V, key) end
  return 2
end
redis.call('ZADD', K, 0, key)
if more ~= 0 then redis.call('INCRBY', U, more) end
return new
"""
)
"""A key and what to add: the sum as text, as Lua's numbers have 53 bits;
0 no number, 1 overflow, 2 no room."""

SWAP = Script(
    _SHARED
    + """
local key = ARGV[3]
if is_over(key) then remove(key) end
remove_over()
local old = redis.call('HGET', V, key)
if ARGV[4] == '0' then
  if old then return 0 end
elseif old ~= ARGV[5] then
  return 0
end
if not has_room(PAIR + #key + #ARGV[6] - counted(key)) then return 2 end
put(key, ARGV[6], false)
return 1
"""
)
"""A key, whether it must be there, what it must hold, what it shall: 1 done, 0 another value, 2 no room."""
