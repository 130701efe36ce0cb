-- Write one batch of changes of one slot, comparing versions, in one step.
--
-- KEYS: changed, loose, progress, then one order hash per record.
-- ARGV: safety TTL in ms (0: none), the writer's member of progress, then per record: member, version (-1: unknown), updated_at,
--       document ('' for a tombstone).
-- An order is one hash: version, document, and e:<event hash> = "<at> <event>" per event.
-- `changed` scores orders with a document by its updated_at; `loose` scores by arrival the orders
-- of which only events have come.
local changed, loose = KEYS[1], KEYS[2]
local ttl_ms = tonumber(ARGV[1])

local function retire(order, member, held, version)
  if version < 0 or held <= version then
    redis.call('DEL', order)
    redis.call('ZREM', changed, member)
    redis.call('ZREM', loose, member)
  end
end

local function change(order, member, version, updated_at, document)
  redis.call('HSET', order, 'version', version, 'document', document)
  redis.call('ZADD', changed, updated_at, member)
  redis.call('ZREM', loose, member)
  if ttl_ms > 0 then
    redis.call('PEXPIRE', order, ttl_ms)
  end
end

redis.call('ZINCRBY', KEYS[3], 1, ARGV[2])
for i = 4, #KEYS do
  local at = 3 + (i - 4) * 4
  local member, version, document = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 3]
  local held = tonumber(redis.call('HGET', KEYS[i], 'version') or '-1')
  if document == '' then
    retire(KEYS[i], member, held, version)
  elseif version > held then
    change(KEYS[i], member, ARGV[at + 1], ARGV[at + 2], document)
  end
end
