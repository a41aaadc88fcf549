-- Store the timeline KEYS[1] if it is still claimed by this token. An invalidation deletes the key and with it the
-- claim, so that data read before the invalidation is never stored.
-- ARGV: token, TTL in seconds, maximum length, floor, then post ids from the database, descending.
-- Returns 1 if stored, 0 if the claim was lost.
local key = KEYS[1]
if redis.call('LINDEX', key, -1) ~= 'B' .. ARGV[1] then
    return 0
end
local limit = tonumber(ARGV[3])
local floor = ARGV[4]
local pushed = {}
local pushed_since = redis.call('LRANGE', key, 0, -2)
if #pushed_since > 0 then
    local known = {}
    for i = 5, #ARGV do
        known[ARGV[i]] = true
    end
    for _, id in ipairs(pushed_since) do
        -- Posts at or below the floor are left to SQL: other posts around them may not be here.
        if not known[id] and greater(id, floor) then
            known[id] = true
            pushed[#pushed + 1] = id
        end
    end
    table.sort(pushed, greater)
end

redis.call('DEL', key)
local batch, count, next_pushed = {}, 0, 1
local function append(id)
    if count == limit then
        if greater(id, floor) then
            floor = id
        end
        return
    end
    count = count + 1
    batch[#batch + 1] = id
    if #batch == 1000 then -- unpack() is limited to some thousands of values
        redis.call('RPUSH', key, unpack(batch))
        batch = {}
    end
end
for i = 5, #ARGV do
    while pushed[next_pushed] and greater(pushed[next_pushed], ARGV[i]) do
        append(pushed[next_pushed])
        next_pushed = next_pushed + 1
    end
    append(ARGV[i])
end
for i = next_pushed, #pushed do
    append(pushed[i])
end
batch[#batch + 1] = '-' .. floor
redis.call('RPUSH', key, unpack(batch))
redis.call('EXPIRE', key, ARGV[2])
return 1
