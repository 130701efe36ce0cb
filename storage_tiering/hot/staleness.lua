-- Keep a slot's staleness in the place of the one before, in one step.
--
-- KEYS: progress. ARGV: the staleness as JSON, '' for none.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '-inf')
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[1], '-inf', ARGV[1])
end
