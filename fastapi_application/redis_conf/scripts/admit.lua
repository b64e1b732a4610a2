-- A request that is charged by its account, or under several policies: all of them have room, or none is charged.
--
-- KEYS  1 the account behind its token ('' without a token)
-- ARGV  1 prefix of limits, 2 the client's address, 3 number of roles, then role, interval, window (µs) of each,
--       then policy, interval, window of each policy; the first is the one that a role replaces
-- returns  {seconds to wait (0: go on), then policy, what is left, seconds until full of each}
local client, policies = ARGV[2], {}
local roles = tonumber(ARGV[3])
for index = 4 + 3 * roles, #ARGV, 3 do
    policies[#policies + 1] = {ARGV[index], tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])}
end
local account = KEYS[1] ~= '' and redis.call('GET', KEYS[1])
if account then
    local role, user = string.match(account, '^(%l+):(.+)$')
    for index = 4, 1 + 3 * roles, 3 do
        if ARGV[index] == role then
            client = user
            policies[1] = {role, tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])}
        end
    end
end
local wait = 0
for _, policy in ipairs(policies) do
    policy.key = ARGV[1] .. policy[1] .. ':' .. client
    policy.at = full_at(policy.key, policy[3])
    wait = math.max(wait, wait_for(policy.at, policy[2], policy[3]))
end
local reply = {wait}
for _, policy in ipairs(policies) do
    local left, full
    if wait == 0 then
        left, full = charge(policy.key, policy.at, policy[2], policy[3])
    else
        left = left_at(policy.at, policy[2], policy[3])
        full = math.ceil((policy.at - now) / 1000000)
    end
    reply[#reply + 1] = policy[1]
    reply[#reply + 1] = left
    reply[#reply + 1] = full
end
return reply
