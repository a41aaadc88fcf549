-- Read everything that a page can consist of, at one instant.
-- KEYS: the viewer's home timeline, the viewer's visible authors, the celebrities.
-- ARGV: cursor ("" for the top), posts wanted of each author, TTL in seconds, maximum number of author timelines, the
-- kind of the keys of author timelines. They begin as those of the celebrities: a prefix among KEYS would never exist,
-- and while a slot moves Redis refuses scripts of whose keys some exist and some do not.
-- Returns {home timeline or "", 1 if the visible authors are cached, 1 if the celebrities are cached,
--          author id, timeline or "", author id, timeline or "", …}. The third is -1 if the viewer follows too many
-- celebrities: reading the timelines of thousands would block Redis for everyone.
-- A timeline is its elements joined by commas, or "B" while it is rebuilt. Of a home timeline only the marker is
-- returned if the cursor is below it. Of an author timeline only the window below the cursor is returned, with the
-- marker only where the list ends.
-- All author timelines are read in this one call, because they must match the celebrity set of the same instant.
local before = ARGV[1]
local home = ''
local marker = redis.call('LINDEX', KEYS[1], -1)
if marker then
    if is_rebuilding(marker) then
        home = 'B'
    else
        local is_below = before ~= '' and not greater(before, string.sub(marker, 2))
        home = is_below and marker or table.concat(redis.call('LRANGE', KEYS[1], 0, -1), ',')
        redis.call('EXPIRE', KEYS[1], ARGV[3])
    end
end
local has_visible_authors = redis.call('SISMEMBER', KEYS[2], '0')
local has_celebrities = redis.call('SISMEMBER', KEYS[3], '0')
local answer = {home, has_visible_authors, has_celebrities}
if has_visible_authors == 0 or has_celebrities == 0 then
    return answer
end

local wanted = tonumber(ARGV[2])

-- Find the index of the first post below the cursor in a strictly descending list.
local function seek(key)
    if before == '' then
        return 0
    end
    local low, high = 0, redis.call('LLEN', key) - 1 -- the index is in [low, high]; the marker is at high
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

local authors = redis.call('SINTER', KEYS[2], KEYS[3]) -- the marker 0 is among them
if #authors > tonumber(ARGV[4]) + 1 then
    answer[3] = -1
    return answer
end
local prefix = string.match(KEYS[3], '^.*:') .. ARGV[5]
for _, author in ipairs(authors) do
    if author ~= '0' then
        local key = prefix .. author
        local author_marker = redis.call('LINDEX', key, -1)
        answer[#answer + 1] = author
        if not author_marker or is_rebuilding(author_marker) then
            answer[#answer + 1] = author_marker and 'B' or ''
        else
            local first = seek(key)
            answer[#answer + 1] = table.concat(redis.call('LRANGE', key, first, first + wanted - 1), ',')
            redis.call('EXPIRE', key, ARGV[3])
        end
    end
end
return answer
