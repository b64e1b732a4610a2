-- The clock, and an entry of the Redis level if it is current.
-- KEYS  1 the clock, 2 the epoch, 3 the entry; ARGV  1 life of a tag (s)
-- returns  {clock, epoch, the entry's remaining life (s), entry}
local clock, epoch = take_clock(KEYS[1], KEYS[2])
local entry = current_entry(KEYS[3], clock, epoch, ARGV[1])
if entry then
    return {clock, epoch, redis.call('TTL', KEYS[3]), entry}
end
return {clock, epoch, 0}
