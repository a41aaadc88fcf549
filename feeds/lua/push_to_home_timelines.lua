-- Push posts to the timelines KEYS that are warm; a cold one stays cold.
-- ARGV: maximum length, slack, then for each post its id and the number of its timelines, which follow one another in
-- KEYS. A list is trimmed only when it exceeds the maximum by more than the slack, so that trimming is rare.
-- Returns for each post the number of warm timelines.
local limit = tonumber(ARGV[1])
local longest = limit + tonumber(ARGV[2]) + 1
local counts = {}
local last = 0
for a = 3, #ARGV, 2 do
    local id = ARGV[a]
    local first = last + 1
    last = last + tonumber(ARGV[a + 1])
    local warm = 0
    for i = first, last do
        local length = redis.call('LPUSHX', KEYS[i], id)
        if length > 0 then
            warm = warm + 1
            if length > longest then
                trim(KEYS[i], length, limit)
            end
        end
    end
    counts[#counts + 1] = warm
end
return counts
