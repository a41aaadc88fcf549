-- Shared by the timeline scripts; put in front of each.
--
-- A timeline is a list, newest first, that ends with one element that is no post id:
--   "-X"        complete for every id above X; "-0" is complete to the beginning
--   "B<token>"  being rebuilt by whoever holds the token; only what was pushed since is there
-- Ids exceed 2^53, so they stay strings: a longer one is larger, equal lengths compare as text.

local function greater(a, b)
    if #a ~= #b then
        return #a > #b
    end
    return a > b
end

local function is_building(tail)
    return string.byte(tail) == 66
end

-- Cut a list of `length` elements, marker included, to `limit` posts. What falls off raises the marker to the
-- largest id lost: late arrivals make the list unsorted, so the last one left would not tell.
local function trim(key, length, limit)
    local tail = redis.call('LINDEX', key, -1)
    if is_building(tail) then
        return
    end
    local floor = string.sub(tail, 2)
    for _, id in ipairs(redis.call('LRANGE', key, limit, length - 2)) do
        if greater(id, floor) then
            floor = id
        end
    end
    redis.call('LTRIM', key, 0, limit - 1)
    redis.call('RPUSH', key, '-' .. floor)
end
