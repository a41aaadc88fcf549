-- Insert posts into the author timelines KEYS that are warm, in order and only once.
-- ARGV: maximum length, slack, then the post id for each key. The lists stay strictly descending, so that one LRANGE
-- reads a page.
local limit = tonumber(ARGV[1])
local longest = limit + tonumber(ARGV[2]) + 1

local function push(key, id)
    local marker = redis.call('LINDEX', key, -1)
    if not marker then
        return
    end
    if is_rebuilding(marker) then
        redis.call('LPUSH', key, id) -- finish_rebuild sorts
        return
    end
    if not greater(id, string.sub(marker, 2)) then
        return -- below the floor, where SQL answers
    end
    local position = 0
    local other = redis.call('LINDEX', key, 0)
    while other ~= marker and greater(other, id) do
        position = position + 1
        other = redis.call('LINDEX', key, position)
    end
    if other == id then
        return
    end
    local length = redis.call('LINSERT', key, 'BEFORE', other, id)
    if length > longest then
        trim(key, length, limit)
    end
end

for i = 1, #KEYS do
    push(KEYS[i], ARGV[2 + i])
end
