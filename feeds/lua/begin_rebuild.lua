-- Claim the rebuild of the timeline KEYS[1] if it is cold. ARGV: token, lifetime of the claim in ms.
-- The claim is a list already, so pushes that land from now on are kept.
if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
end
redis.call('RPUSH', KEYS[1], 'B' .. ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
