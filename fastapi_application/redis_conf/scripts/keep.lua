-- An answer was made: its tags are on the clock from now on, so that it outlives writes that do not touch it.
-- KEYS  1 the clock, 2 the epoch, 3 the entry ('' to keep it in no more than the worker's memory), then its tags
-- ARGV  1 life of a tag (s), 2 the entry, 3 its life (s)
local clock = take_clock(KEYS[1], KEYS[2])
for index = 4, #KEYS do
    redis.call('SET', KEYS[index], clock, 'NX', 'EX', ARGV[1])
end
if KEYS[3] ~= '' then
    redis.call('SET', KEYS[3], ARGV[2], 'EX', ARGV[3])
end
return 1
