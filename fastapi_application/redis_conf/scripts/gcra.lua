-- The generic cell rate algorithm, on the clock of Redis, in µs. A burst is as large as the quota.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function text(number)
    return string.format('%.0f', number)
end

-- When the client's allowance will be full again: not before now, not later than a window from now.
local function full_at(key, window)
    local at = tonumber(redis.call('GET', key) or now)
    return math.min(math.max(at, now), now + window)
end

-- Seconds until one more request fits; 0: it does.
local function wait_for(at, interval, window)
    local excess = at + interval - now - window
    if excess <= 1 then
        return 0
    end
    return math.ceil(excess / 1000000)
end

-- What is left of the quota. A quota so large that its interval is below the resolution of the clock never seems touched.
local function left_at(at, interval, window)
    local left = math.floor((window - (at - now) + 1) / interval)
    return math.max(0, math.min(left, math.floor(window / interval + 0.5)))
end

-- Charge one request: what is left of the quota, and the seconds until it is full.
local function charge(key, at, interval, window)
    at = at + interval
    redis.call('SET', key, text(at), 'PX', math.max(1, math.ceil((at - now) / 1000)))
    return left_at(at, interval, window), math.ceil((at - now) / 1000000)
end
