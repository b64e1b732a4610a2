-- A worker has connected. A server with another run id than the last one may have come back with older data: a new epoch.
-- KEYS  1 the clock, 2 the epoch, 3 the run id; ARGV  1 the run id of this server
if redis.call('GET', KEYS[3]) == ARGV[1] then
    return 0
end
local clock = take_clock(KEYS[1], KEYS[2])
clock = text(math.max(tonumber(clock) + 1, now))
redis.call('MSET', KEYS[1], clock, KEYS[2], clock, KEYS[3], ARGV[1])
return 1
