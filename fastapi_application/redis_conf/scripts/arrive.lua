-- A request comes: charge its client, and say whether what this worker holds is current.
--
-- KEYS  1 the client's limit ('' if it was charged elsewhere), 2 the clock, 3 the epoch, then the tags of the entry held
-- ARGV  1 interval, 2 window (µs); of the entry held: 3 the clock when it was last found current, 4 its epoch,
--       5 its stamp ('' without one); 6 the key of the Redis level ('' if it is not to be asked), 7 life of a tag (s)
-- returns  {what is left, seconds until full, seconds to wait (0: go on), 1 if current else 0, clock, epoch, entry}
local left, full, wait = 0, 0, 0
if KEYS[1] ~= '' then
    local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
    local at = full_at(KEYS[1], window)
    wait = wait_for(at, interval, window)
    if wait > 0 then
        return {0, math.ceil((at - now) / 1000000), wait}
    end
    left, full = charge(KEYS[1], at, interval, window)
end
local clock, epoch = take_clock(KEYS[2], KEYS[3])
if ARGV[5] ~= '' and epoch == ARGV[4] then
    if clock == ARGV[3] then
        return {left, full, 0, 1}
    end
    local tags = {}
    for index = 4, #KEYS do
        tags[#tags + 1] = KEYS[index]
    end
    if is_current(tags, ARGV[5], clock, ARGV[7]) then
        return {left, full, 0, 1, clock, epoch}
    end
end
if ARGV[6] ~= '' then
    local entry = current_entry(ARGV[6], clock, epoch, ARGV[7])
    if entry then
        return {left, full, 0, 0, clock, epoch, entry}
    end
end
return {left, full, 0, 0, clock, epoch}
