-- Everything a page may be made of, at one instant.
-- KEYS: the viewer's feed, the viewer's sources, the celebrities.
-- ARGV: prefix of author lists, cursor ("" for the top), posts wanted of each author, feed TTL in seconds.
-- Returns {feed or "", 1 if the sources are there, 1 if the celebrities are there,
--          author, list or "", author, list or "", …}: comma-joined elements; "B" for a list being rebuilt. Of an
-- author's list only the window below the cursor is given, so its tail is there only where the list ends.
-- All author lists are read in this one call because they must match the celebrity set of the same instant.
local feed = ''
local tail = redis.call('LINDEX', KEYS[1], -1)
if tail then
    if is_building(tail) then
        feed = 'B'
    else
        feed = table.concat(redis.call('LRANGE', KEYS[1], 0, -1), ',')
        redis.call('EXPIRE', KEYS[1], ARGV[4])
    end
end
local sources = redis.call('SISMEMBER', KEYS[2], '0')
local celebrities = redis.call('SISMEMBER', KEYS[3], '0')
local answer = {feed, sources, celebrities}
if sources == 0 or celebrities == 0 then
    return answer
end

local before = ARGV[2]
local wanted = tonumber(ARGV[3])

-- Index of the first post below the cursor in a strictly descending list.
local function seek(key)
    if before == '' then
        return 0
    end
    local low, high = 0, redis.call('LLEN', key) - 1 -- the answer is in [low, high]; high is the tail
    while low < high do
        local middle = math.floor((low + high) / 2)
        if greater(before, redis.call('LINDEX', key, middle)) then
            high = middle
        else
            low = middle + 1
        end
    end
    return low
end

for _, author in ipairs(redis.call('SINTER', KEYS[2], KEYS[3])) do
    if author ~= '0' then
        local key = ARGV[1] .. author
        local end_of_list = redis.call('LINDEX', key, -1)
        answer[#answer + 1] = author
        if not end_of_list or is_building(end_of_list) then
            answer[#answer + 1] = end_of_list and 'B' or ''
        else
            local first = seek(key)
            answer[#answer + 1] = table.concat(redis.call('LRANGE', key, first, first + wanted - 1), ',')
            redis.call('EXPIRE', key, ARGV[4])
        end
    end
end
return answer
