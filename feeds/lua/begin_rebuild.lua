-- Claim the rebuild of the timeline KEYS[1] if it is cold. ARGV: token, TTL of the claim in ms.
-- Returns 1 if claimed, 0 if the key exists. The claim is a list already, so it keeps posts pushed from now on.
if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
end
redis.call('RPUSH', KEYS[1], 'B' .. ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
