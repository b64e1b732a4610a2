-- One clock orders every write. A tag's value is the clock of the last write that touched it.

-- The clock and the epoch; Redis that has lost either begins a new epoch, in which no older entry is served.
local function take_clock(clock_key, epoch_key)
    local known = redis.call('MGET', clock_key, epoch_key)
    if known[1] and known[2] then
        return known[1], known[2]
    end
    local clock = text(math.max(now, tonumber(known[1] or 0) + 1))
    redis.call('MSET', clock_key, clock, epoch_key, clock)
    return clock, clock
end

-- Whether no tag was touched after the stamp. A tag that is missing may have been: it is as young as the clock.
local function is_current(tags, stamp, clock, life)
    if #tags == 0 then
        return true
    end
    local latest = tonumber(stamp)
    local current = true
    for index, value in ipairs(redis.call('MGET', unpack(tags))) do
        if not value then
            redis.call('SET', tags[index], clock, 'EX', life)
            value = clock
        end
        current = current and tonumber(value) <= latest
    end
    return current
end

-- An entry of the Redis level, if it is current. Its first line: epoch, stamp and the keys of its tags.
local function current_entry(key, clock, epoch, life)
    local entry = redis.call('GET', key)
    local head = entry and string.match(entry, '^([^\n]*)\n')
    if not head then
        return nil
    end
    local words = {}
    for word in string.gmatch(head, '%S+') do
        words[#words + 1] = word
    end
    if words[1] ~= epoch or not tonumber(words[2]) then
        return nil
    end
    if is_current({unpack(words, 3)}, words[2], clock, life) then
        return entry
    end
    return nil
end
