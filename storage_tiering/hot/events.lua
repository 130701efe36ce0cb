-- Add one batch of events of one slot to the timelines of their orders, in one step.
--
-- KEYS: changed, loose, progress, then one order hash per record (see put.lua).
-- ARGV: safety TTL in ms (0: none), events kept per order, the writer's member of progress, then per record: member, arrival in ms,
--       field (e:<event hash>), "<at> <event>".
local changed, loose = KEYS[1], KEYS[2]
local ttl_ms, kept = tonumber(ARGV[1]), tonumber(ARGV[2])

local function drop_oldest(order)
  local fields = redis.call('HGETALL', order)
  local oldest, oldest_at
  local events = 0
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 'e:' then
      local at = tonumber(string.match(fields[i + 1], '^%d+'))
      events = events + 1
      if not oldest or at < oldest_at or (at == oldest_at and fields[i] < oldest) then
        oldest, oldest_at = fields[i], at
      end
    end
  end
  if events > kept then
    redis.call('HDEL', order, oldest)
  end
end

redis.call('ZINCRBY', KEYS[3], 1, ARGV[3])
for i = 4, #KEYS do
  local at = 4 + (i - 4) * 4
  local order, member = KEYS[i], ARGV[at]
  if redis.call('HSETNX', order, ARGV[at + 2], ARGV[at + 3]) == 1 then
    if redis.call('HLEN', order) > kept then
      drop_oldest(order)
    end
    if redis.call('HEXISTS', order, 'document') == 0 then
      redis.call('ZADD', loose, 'NX', ARGV[at + 1], member)
    end
    if ttl_ms > 0 then
      redis.call('PEXPIRE', order, ttl_ms)
    end
  end
end
