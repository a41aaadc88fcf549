"""How many deliveries a second all workers together may make: a token bucket in Redis.

Redis' own clock fills it, so workers need not agree on the time. The bucket holds one second's worth, so a
burst after a pause cannot hurt readers for longer than that.
"""

from __future__ import annotations

from django.conf import settings

from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.cache.lua import Script

# A batch larger than the bucket may run once it is full: the debt is paid by those who come later.
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
    """Spend `deliveries`; 0.0 when granted, else the seconds after which to ask again. Raises redis.RedisError."""
    if not settings.FAN_OUT_RATE_LIMIT or not deliveries:
        return 0.0
    return int(_acquire_script(get_client(), [keys.FANOUT_RATE], [settings.FAN_OUT_RATE_LIMIT, deliveries])) / 1000
