-- Push one post to the timelines KEYS that are warm; a cold one stays cold.
-- ARGV: post id, maximum length, slack. A list is trimmed only when it exceeds the maximum by more than the slack,
-- so that trimming is rare.
-- Returns the number of warm timelines.
local id = ARGV[1]
local limit = tonumber(ARGV[2])
local longest = limit + tonumber(ARGV[3]) + 1
local warm = 0
for i = 1, #KEYS do
    local length = redis.call('LPUSHX', KEYS[i], id)
    if length > 0 then
        warm = warm + 1
        if length > longest then
            trim(KEYS[i], length, limit)
        end
    end
end
return warm
