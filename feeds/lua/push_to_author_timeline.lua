-- Insert one post into the author timeline KEYS[1] if that is warm, in order and only once.
-- ARGV: post id, maximum length, slack. The list stays strictly descending, so that one LRANGE reads a page of it.
-- Returns 0 if the timeline is cold, else 1.
local key = KEYS[1]
local id = ARGV[1]
local limit = tonumber(ARGV[2])
local marker = redis.call('LINDEX', key, -1)
if not marker then
    return 0
end
if is_rebuilding(marker) then
    redis.call('LPUSH', key, id) -- finish_rebuild sorts
    return 1
end
if not greater(id, string.sub(marker, 2)) then
    return 1 -- below the floor, where SQL answers
end
local position = 0
local other = redis.call('LINDEX', key, 0)
while other ~= marker and greater(other, id) do
    position = position + 1
    other = redis.call('LINDEX', key, position)
end
if other == id then
    return 1
end
local length = redis.call('LINSERT', key, 'BEFORE', other, id)
if length > limit + tonumber(ARGV[3]) + 1 then
    trim(key, length, limit)
end
return 1
