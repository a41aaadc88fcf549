"""Rate limits shared by all processes, counted in Redis by the library `limits`.

Fixed windows that begin with a client's first request: one atomic increment and one round trip a request, a
few bytes a client, and a Retry-After that is exact. A scope's rate is settings.THROTTLES[scope], None for
off. When Redis is away requests pass: a limit protects the service, it must not be what takes it down.

Every path under /api/v1 is limited by AnonThrottle and UserThrottle; a view that sets `throttle_classes` of
its own names the one that concerns it again.
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
    """One limit: `scope` names its rate, `identify` whom it counts."""

    scope: str
    _wait: int | None = None

    def identify(self, request: Request) -> str | None:
        """Who is counted, as a short text without personal data; None lets the request pass."""
        raise NotImplementedError

    def allow_request(self, request: Request, view: APIView) -> bool:
        return self.allows(request)

    def allows(self, request: Request) -> bool:
        """Counts the request; False beyond the limit."""
        rate = settings.THROTTLES[self.scope]
        client = self.identify(request) if rate else None
        if rate is None or client is None:
            return True
        try:
            return self._hit(_parse_rate(rate), client)
        except (CacheUnavailable, redis.RedisError):
            return True

    def wait(self) -> float | None:
        """Seconds until the window ends, at least 1: Retry-After."""
        return self._wait

    def _hit(self, item: RateLimitItem, client: str) -> bool:
        with guarded_client():
            limiter = _limiter()
            if limiter.hit(item, self.scope, client):
                return True
            end = limiter.storage.get_expiry(item.key_for(self.scope, client))
        THROTTLED.labels(self.scope).inc()
        self._wait = max(1, math.ceil(end - time.time()))
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
    """Counts attempts on one account, whether it exists or not, from wherever they come."""

    scope = "login"

    def identify(self, request: Request) -> str | None:
        username = request.data.get("username") if isinstance(request.data, dict) else None
        return account_key(username) if isinstance(username, str) else None


class PasswordThrottle(Throttle):
    """The same count for whoever tries passwords from inside a session."""

    scope = "login"

    def identify(self, request: Request) -> str | None:
        return account_key(request.user.get_username()) if request.user.is_authenticated else None


def counter_keys(user_id: int) -> list[str]:
    """The Redis keys of what is counted for a signed-in user."""
    rates = {throttle.scope: settings.THROTTLES[throttle.scope] for throttle in _with_subclasses(UserThrottle)}
    counted = [_parse_rate(rate).key_for(scope, str(user_id)) for scope, rate in rates.items() if rate]
    return [f"{keys.THROTTLE_PREFIX}:{key}" for key in counted]


def _with_subclasses(kind: type[Throttle]) -> list[type[Throttle]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _with_subclasses(child))]


def throttle_unauthenticated(request: Request) -> None:
    """Count a request without a valid token that was refused with 401; raises Throttled beyond the limit.

    DRF authenticates before it throttles, so whoever tries tokens would go uncounted. A view without
    authentication answers 401 for reasons of its own, after its throttles have counted.
    """
    throttle = AnonThrottle()
    if request.authenticators and not throttle.allows(request):
        raise Throttled(throttle.wait())


def account_key(username: str) -> str:
    """A short, fixed-size name for an account that is being signed in to; the username may be anything."""
    digest = hashlib.sha256(username.strip().lower().encode()).hexdigest()
    return f"account:{digest[:32]}"


def client_address(request: Request) -> str:
    """The client's address, an IPv6 one as its /64, since that is what one client is given.

    With NUM_PROXIES = n the n-th entry of X-Forwarded-For from the right is the last one that a trusted
    proxy wrote; whatever stands left of it, and the whole header without proxies, is the client's own
    invention.
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
    pool = get_client().connection_pool  # the cache's own: its time-outs are the right ones
    return FixedWindowRateLimiter(RedisStorage("redis://", connection_pool=pool, key_prefix=keys.THROTTLE_PREFIX))
