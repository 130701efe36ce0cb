-- Note in one slot up to which offsets it was written, unless it has lost writes, in one step.
--
-- KEYS: progress. ARGV: the writer's member, its script calls on this slot since its last note, then
-- per partition: member, the offset that was noted last, the new offset.
-- Returns 1, or 0 where the slot holds less than that: it was restored from an older file, or
-- emptied, or what was written just before a crash was not kept.
--
-- A note whose answer was lost comes again. It has ended the count, so the new offsets vouch for
-- what was counted: they came in the same step.
local progress = KEYS[1]
local function held(member)
  return tonumber(redis.call('ZSCORE', progress, member) or '0')
end

local function is_noted()
  local has_risen = false
  for at = 3, #ARGV, 3 do
    if held(ARGV[at]) < tonumber(ARGV[at + 2]) then
      return false
    end
    has_risen = has_risen or tonumber(ARGV[at + 1]) < tonumber(ARGV[at + 2])
  end
  return has_risen
end

if held(ARGV[1]) < tonumber(ARGV[2]) and not is_noted() then
  return 0
end
for at = 3, #ARGV, 3 do
  if held(ARGV[at]) < tonumber(ARGV[at + 1]) then
    return 0
  end
end
for at = 3, #ARGV, 3 do
  if held(ARGV[at]) < tonumber(ARGV[at + 2]) then
    redis.call('ZADD', progress, ARGV[at + 2], ARGV[at])
  end
end
redis.call('ZREM', progress, ARGV[1])
return 1
