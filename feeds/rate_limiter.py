"""The rate limit of deliveries, shared by all workers: a token bucket in Redis.

The bucket is filled by Redis' own clock, so the workers' clocks need not agree. It holds the tokens of one second,
so that a burst after an idle time does not slow readers down for longer than that.
"""

from __future__ import annotations

from django.conf import settings

from instafeed.core.cache import commands, keys
from instafeed.core.cache.lua import Script

# A batch larger than the bucket is granted when the bucket is full. The bucket goes below zero, and later batches
# wait for it to fill again.
_acquire_script = Script("""
local now = redis.call('TIME')
now = now[1] + now[2] / 1e6
local rate, wanted = tonumber(ARGV[1]), tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(state[1]) or rate
tokens = math.min(rate, tokens + math.max(0, now - (tonumber(state[2]) or now)) * rate)
local needed = math.min(wanted, rate)
if tokens < needed then
    return math.ceil((needed - tokens) / rate * 1000)
end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens - wanted), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 60)
return 0
""")


def acquire(deliveries: int) -> float:
    """Take tokens for `deliveries`. Return 0.0 if granted, else the seconds to wait before the next try.

    Grants everything when FAN_OUT_RATE_LIMIT is 0, or while the server of a cluster that has the bucket is down. Raises
    redis.RedisError.
    """
    if not settings.FAN_OUT_RATE_LIMIT or not deliveries:
        return 0.0
    acquire = _acquire_script.command([keys.FANOUT_RATE], [settings.FAN_OUT_RATE_LIMIT, deliveries])
    (wait_ms,) = commands.run_where_possible([acquire])
    return 0.0 if isinstance(wait_ms, Exception) else int(wait_ms) / 1000
