-- Drop the orders of one slot that are still too old, in one step.
--
-- They were listed before; one that has changed since has a new score and stays.
-- KEYS: changed or loose, then the order hashes. ARGV: the limit in ms, then their members.
for i = 2, #KEYS do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) <= tonumber(ARGV[1]) then
    redis.call('DEL', KEYS[i])
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
