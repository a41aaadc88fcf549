"""Count how often a client did something in the current window. Redis counts for all processes together.

Windows are fixed and begin with a client's first request: one round trip a request, a few bytes a client, and an exact
Retry-After. `count` adds a request, `give_back` subtracts one that turned out not to count.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache

from instafeed.core.cache import commands, keys
from instafeed.core.cache.client import CacheUnavailable
from instafeed.core.cache.lua import Command, Script

MAX_LOCAL_WINDOWS = 10_000
PERIODS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}  # in seconds

# The key expires with its window. A key without expiry could only come from another program; it gets a new window.
_count_script = Script("""
local used = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    left = tonumber(ARGV[1])
end
return {used, left}
""")
_give_back_script = Script("""
if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then
    redis.call('DECR', KEYS[1])
end
""")


@dataclass(frozen=True)
class Rate:
    """How many requests a client may make in a window."""

    limit: int
    seconds: int


@cache
def parse_rate(text: str) -> Rate:
    """Parse `N/second|minute|hour|day`, as instafeed.core.env.throttle_rate returns it."""
    limit, _, period = text.partition("/")
    return Rate(int(limit), PERIODS[period])


@dataclass(frozen=True)
class Window:
    """A client's window after a request was counted in it."""

    scope: str
    client: str
    rate: Rate
    used: int
    reset: int  # seconds until it ends, at least 1
    is_local: bool = False  # counted by this process, because Redis was down

    @property
    def key(self) -> str:
        return keys.rate_limit(self.scope, self.client, self.rate.seconds)

    @property
    def is_exceeded(self) -> bool:
        return self.used > self.rate.limit

    @property
    def remaining(self) -> int:
        return max(0, self.rate.limit - self.used)


class LocalWindows:
    """The windows of one process. When there are too many, those that began first are forgotten. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()  # key -> requests, end

    def count(self, key: str, seconds: int) -> tuple[int, float]:
        """Count a request. Return the number in its window and the seconds until that ends."""
        now = time.monotonic()
        with self._lock:
            used, end = self._windows.get(key, (0, 0.0))
            if end <= now:
                used, end = 0, now + seconds
                self._windows.pop(key, None)  # so that it moves to the end
            self._windows[key] = used + 1, end
            while len(self._windows) > self._capacity:
                self._windows.popitem(last=False)
        return used + 1, end - now

    def give_back(self, key: str) -> None:
        with self._lock:
            if key in self._windows:
                used, end = self._windows[key]
                self._windows[key] = max(0, used - 1), end

    def clear(self) -> None:
        with self._lock:
            self._windows.clear()


local_windows = LocalWindows(MAX_LOCAL_WINDOWS)


def count_command(scope: str, client: str, rate: Rate) -> Command:
    """Return the command that counts a request, for `count`."""
    return _count_script.command([keys.rate_limit(scope, client, rate.seconds)], [rate.seconds * 1_000])


def count(
    scope: str, client: str, rate: Rate, *, local_fallback: bool, reply: tuple[int, int] | None = None
) -> Window | None:
    """Count a request and return its window. `reply` is the reply to `count_command` if the request is counted already.

    While Redis is down, count in this process with `local_fallback`, otherwise return None.
    """
    window = Window(scope, client, rate, used=0, reset=rate.seconds)
    try:
        if reply is None:
            (reply,) = commands.run([count_command(scope, client, rate)])
        used, left_ms = reply
    except CacheUnavailable:
        if not local_fallback:
            return None
        used, seconds_left = local_windows.count(window.key, rate.seconds)
        return replace(window, used=used, reset=math.ceil(seconds_left), is_local=True)
    return replace(window, used=used, reset=max(1, math.ceil(left_ms / 1_000)))


def give_back(window: Window) -> None:
    """Subtract a request that was counted in this window."""
    if window.is_local:
        local_windows.give_back(window.key)
        return
    with suppress(CacheUnavailable):  # the request stays counted until its window ends
        commands.run([_give_back_script.command([window.key])])
