"""Rate limits shared by all processes, counted in Redis by the library `limits`.

The windows are fixed and begin with a client's first request: one atomic increment and one round trip a request, a
few bytes a client, and an exact Retry-After. A scope's rate is settings.THROTTLES[scope]; None switches it off.
While Redis is down requests pass: a limit protects the service and must not take it down.

AnonThrottle and UserThrottle limit every path under /api/v1. A view that sets its own `throttle_classes` must
repeat the one that applies to it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time
from functools import cache
from typing import TYPE_CHECKING

import redis
from django.conf import settings
from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from instafeed.core.cache import keys
from instafeed.core.cache.client import CacheUnavailable, get_client, guarded_client
from instafeed.core.observability.metrics import THROTTLED

if TYPE_CHECKING:
    from rest_framework.views import APIView  # imports the default throttles itself


class Throttle(BaseThrottle):
    """One limit: `scope` names its rate, `identify` returns the client that it counts."""

    scope: str
    _wait: int | None = None

    def identify(self, request: Request) -> str | None:
        """Return a short name of the client, without personal data; None lets the request pass."""
        raise NotImplementedError

    def allow_request(self, request: Request, view: APIView) -> bool:
        return self.allows(request)

    def allows(self, request: Request) -> bool:
        """Count the request; return False if it exceeds the limit."""
        rate = settings.THROTTLES[self.scope]
        client = self.identify(request) if rate else None
        if rate is None or client is None:
            return True
        try:
            return self._hit(_parse_rate(rate), client)
        except (CacheUnavailable, redis.RedisError):
            return True

    def wait(self) -> float | None:
        """Return the seconds until the window ends, at least 1: the Retry-After header."""
        return self._wait

    def _hit(self, rate: RateLimitItem, client: str) -> bool:
        with guarded_client():
            limiter = _limiter()
            if limiter.hit(rate, self.scope, client):
                return True
            window_end = limiter.storage.get_expiry(rate.key_for(self.scope, client))
        THROTTLED.labels(self.scope).inc()
        self._wait = max(1, math.ceil(window_end - time.time()))
        return False


class AnonThrottle(Throttle):
    scope = "anon"

    def identify(self, request: Request) -> str | None:
        return None if request.user.is_authenticated else client_address(request)


class UserThrottle(Throttle):
    scope = "user"

    def identify(self, request: Request) -> str | None:
        return str(request.user.pk) if request.user.is_authenticated else None


class UploadThrottle(UserThrottle):
    scope = "upload"


class ExportThrottle(UserThrottle):
    scope = "export"


class RegisterThrottle(Throttle):
    scope = "register"

    def identify(self, request: Request) -> str | None:
        return client_address(request)


class LoginAddressThrottle(Throttle):
    scope = "login"

    def identify(self, request: Request) -> str | None:
        return f"address:{client_address(request)}"


class LoginAccountThrottle(Throttle):
    """Count attempts to sign in to one account from any address, whether the account exists or not."""

    scope = "login"

    def identify(self, request: Request) -> str | None:
        username = request.data.get("username") if isinstance(request.data, dict) else None
        return account_key(username) if isinstance(username, str) else None


class PasswordThrottle(Throttle):
    """Count password attempts from inside a session, with the same counter as LoginAccountThrottle."""

    scope = "login"

    def identify(self, request: Request) -> str | None:
        return account_key(request.user.get_username()) if request.user.is_authenticated else None


def counter_keys(user_id: int) -> list[str]:
    """Return the Redis keys of a signed-in user's counters."""
    rates = {throttle.scope: settings.THROTTLES[throttle.scope] for throttle in _with_subclasses(UserThrottle)}
    counters = [_parse_rate(rate).key_for(scope, str(user_id)) for scope, rate in rates.items() if rate]
    return [f"{keys.THROTTLE_PREFIX}:{counter}" for counter in counters]


def _with_subclasses(throttle: type[Throttle]) -> list[type[Throttle]]:
    return [throttle, *(below for child in throttle.__subclasses__() for below in _with_subclasses(child))]


def throttle_unauthenticated(request: Request) -> None:
    """Count a request that was answered 401 for its token. Raises Throttled beyond the limit.

    DRF authenticates before it throttles, so requests that guess tokens would not be counted. A view without
    authentication answers 401 for its own reasons, after its throttles have counted the request.
    """
    throttle = AnonThrottle()
    if request.authenticators and not throttle.allows(request):
        raise Throttled(throttle.wait())


def account_key(username: str) -> str:
    """Return a short name of fixed size for an account; the username may be any text."""
    digest = hashlib.sha256(username.strip().lower().encode()).hexdigest()
    return f"account:{digest[:32]}"


def client_address(request: Request) -> str:
    """Return the client's address; of an IPv6 address its /64 network, which is what one client is assigned.

    With NUM_PROXIES = n, the n-th entry of X-Forwarded-For from the right is the one that the outermost trusted
    proxy wrote. Entries to its left, and without proxies the whole header, are under the client's control.
    """
    proxies: int = api_settings.NUM_PROXIES or 0
    address = request.META.get("REMOTE_ADDR", "")
    if proxies:
        header = request.META.get("HTTP_X_FORWARDED_FOR", "")
        forwarded = [entry.strip() for entry in header.split(",") if entry.strip()]
        if len(forwarded) >= proxies:
            address = forwarded[-proxies]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed, 64), strict=False))
    return str(parsed)


@cache
def _parse_rate(rate: str) -> RateLimitItem:
    return parse(rate)


@cache
def _limiter() -> FixedWindowRateLimiter:
    pool = get_client().connection_pool  # the cache's own pool has the right timeouts
    return FixedWindowRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix=keys.THROTTLE_PREFIX))
