-- Put one post into the author's list KEYS[1] if that is warm, at its place and only once.
-- ARGV: post id, length, slack. The list stays strictly descending, so that a page of it is one LRANGE.
local key = KEYS[1]
local id = ARGV[1]
local limit = tonumber(ARGV[2])
local tail = redis.call('LINDEX', key, -1)
if not tail then
    return 0
end
if is_building(tail) then
    redis.call('LPUSH', key, id) -- whoever finishes the rebuild sorts
    return 1
end
if not greater(id, string.sub(tail, 2)) then
    return 1 -- below what the list answers for
end
local position = 0
local other = redis.call('LINDEX', key, 0)
while other ~= tail and greater(other, id) do
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
