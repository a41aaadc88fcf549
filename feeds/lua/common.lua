-- Functions of all timeline scripts; prepended to each.
--
-- A timeline is a list of post ids, newest first, and one last element, the marker:
--   "-X"        complete for every id above X; "-0" is complete to the beginning
--   "B<token>"  being rebuilt by the holder of the token; contains only the posts pushed since
-- Ids exceed 2^53, so they stay strings: a longer one is larger, equal lengths compare as text.

local function greater(a, b)
    if #a ~= #b then
        return #a > #b
    end
    return a > b
end

local function is_rebuilding(marker)
    return string.byte(marker) == 66
end

-- Trim a list of `length` elements, marker included, to `limit` posts. The marker rises to the largest id removed,
-- which may be larger than the last id left: late deliveries make a list unsorted.
local function trim(key, length, limit)
    local marker = redis.call('LINDEX', key, -1)
    if is_rebuilding(marker) then
        return
    end
    local floor = string.sub(marker, 2)
    for _, id in ipairs(redis.call('LRANGE', key, limit, length - 2)) do
        if greater(id, floor) then
            floor = id
        end
    end
    redis.call('LTRIM', key, 0, limit - 1)
    redis.call('RPUSH', key, '-' .. floor)
end
