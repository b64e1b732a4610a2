-- A write is committed: whatever shows what it touched is older than the clock from now on.
-- KEYS  1 the clock, 2 the epoch, then the tags; ARGV  1 life of a tag (s), 2 '1' for a new epoch
local clock, epoch = take_clock(KEYS[1], KEYS[2])
clock = text(math.max(tonumber(clock) + 1, now))
redis.call('SET', KEYS[1], clock)
if ARGV[2] == '1' then
    redis.call('SET', KEYS[2], clock)
end
for index = 3, #KEYS do
    redis.call('SET', KEYS[index], clock, 'EX', ARGV[1])
end
return clock
