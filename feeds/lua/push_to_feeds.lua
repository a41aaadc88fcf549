-- Put one post into those of the feeds in KEYS that are warm; a cold one stays cold.
-- ARGV: post id, feed length, slack (a list is cut only once it is that much too long, so that trimming is rare).
-- Returns the number of warm feeds.
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
