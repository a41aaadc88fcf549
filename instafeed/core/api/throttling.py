"""Rate limits of the API. A scope's rate is settings.THROTTLES[scope]; None switches it off.

While Redis is down requests pass: a limit protects the service and must not take it down. Limits with `local_fallback`
are counted by each process alone then.

AnonThrottle and UserThrottle limit every path under /api/v1. A view that sets its own `throttle_classes` must
repeat those that apply to it. The limits of passwords and profiles are in `accounts.throttles`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from instafeed.core.api import early_reads, rate_limits
from instafeed.core.api.rate_limits import Window, parse_rate
from instafeed.core.cache import keys
from instafeed.core.cache.lua import Command
from instafeed.core.observability.metrics import THROTTLED

if TYPE_CHECKING:
    from rest_framework.views import APIView  # imports the default throttles itself

# Of the HttpRequest: the windows in which it was counted, those that its response shows and the others.
_WINDOWS_ATTRIBUTE = "rate_limit_windows"
_SILENT_WINDOWS_ATTRIBUTE = "silent_rate_limit_windows"


class Bucket(NamedTuple):
    """What a throttle counts a request in: a scope, and a short name of the client without personal data."""

    scope: str
    client: str


class Throttle(BaseThrottle):
    """One limit: `scope` names its rate, `identify` returns the client that it counts."""

    scope: str
    local_fallback = False
    _wait: int | None = None

    def identify(self, request: Request) -> str | None:
        """Return a short name of the client, without personal data; None lets the request pass."""
        raise NotImplementedError

    def buckets(self, request: Request) -> Collection[Bucket]:
        """Return where to count the request. It must be within the limit of each bucket."""
        client = self.identify(request) if is_limited(self.scope) else None
        return [] if client is None else [Bucket(self.scope, client)]

    def allow_request(self, request: Request, view: APIView) -> bool:
        return self.allows(request)

    def allows(self, request: Request) -> bool:
        """Count the request; return False if it exceeds a limit."""
        for bucket in self.buckets(request):
            window = self._count(bucket, early_reads.take(request, _early_name(bucket)))
            if window is None:
                continue
            _windows_of(request).append(window)
            if window.is_exceeded:  # not counted in the other buckets: a refused request is no attempt on an account
                THROTTLED.labels(window.scope).inc()
                self._wait = window.reset
                return False
        return True

    def wait(self) -> float | None:
        """Return the seconds until the window ends, at least 1: the Retry-After header."""
        return self._wait

    def _count(self, bucket: Bucket, reply: tuple[int, int] | None) -> Window | None:
        return _count(bucket, local_fallback=self.local_fallback, reply=reply)


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


class ActionThrottle(UserThrottle):
    """Count a user's requests with one of `methods`. Other methods of the view, such as taking back, are unlimited."""

    methods: Collection[str] = ("POST",)

    def identify(self, request: Request) -> str | None:
        return super().identify(request) if request.method in self.methods else None


class PostThrottle(ActionThrottle):
    """Count new and edited posts, which notify the users whom they mention, and edited pictures."""

    scope = "post"
    methods = ("POST", "PATCH")


class CommentThrottle(ActionThrottle):
    scope = "comment"


class FollowThrottle(ActionThrottle):
    scope = "follow"


class BlockThrottle(ActionThrottle):
    """Count blocks and mutes: each makes feeds cold."""

    scope = "block"


class ReportThrottle(ActionThrottle):
    scope = "report"


class RegisterThrottle(Throttle):
    scope = "register"

    def identify(self, request: Request) -> str | None:
        return client_address(request)


def is_limited(scope: str) -> bool:
    return settings.THROTTLES[scope] is not None


def give_back(request: Request | HttpRequest, scope: str) -> None:
    """Do not count this request in `scope` after all."""
    for windows in (_windows_of(request), _windows_of(request, _SILENT_WINDOWS_ATTRIBUTE)):
        for window in [window for window in windows if window.scope == scope]:
            rate_limits.give_back(window)
            windows.remove(window)


def count_silently(request: Request | HttpRequest, bucket: Bucket) -> bool:
    """Count a request in a bucket that its response must not reveal. Return False if it exceeds the limit."""
    window = _count(bucket, local_fallback=True)
    if window is None:
        return True
    _windows_of(request, _SILENT_WINDOWS_ATTRIBUTE).append(window)
    if window.is_exceeded:
        THROTTLED.labels(window.scope).inc()
    return not window.is_exceeded


def rate_limit_headers(request: HttpRequest) -> dict[str, str]:
    """Return the RateLimit headers of the window in which the request's client has least left."""
    windows = _windows_of(request)
    if not windows:
        return {}
    tightest = min(windows, key=lambda window: (window.remaining, -window.reset))
    return {
        "RateLimit-Limit": str(tightest.rate.limit),
        "RateLimit-Remaining": str(tightest.remaining),
        "RateLimit-Reset": str(tightest.reset),
    }


def counter_keys(user_id: int) -> list[str]:
    """Return the Redis keys of a signed-in user's counters."""
    rates = {throttle.scope: settings.THROTTLES[throttle.scope] for throttle in _with_subclasses(UserThrottle)}
    return [keys.rate_limit(scope, str(user_id), parse_rate(rate).seconds) for scope, rate in rates.items() if rate]


def early_commands(view: APIView, user_id: int) -> dict[str, Command]:
    """Return the command that counts a request in the window of all of the user's requests, if the view limits them."""
    rate = settings.THROTTLES[UserThrottle.scope]
    if rate is None or UserThrottle not in getattr(view, "throttle_classes", ()):
        return {}
    bucket = Bucket(UserThrottle.scope, str(user_id))
    return {_early_name(bucket): rate_limits.count_command(*bucket, parse_rate(rate))}


def give_back_early(request: Request, user_id: int) -> None:
    """Do not count a request in the user's window after all: another client may have an old token of the user."""
    bucket = Bucket(UserThrottle.scope, str(user_id))
    reply = early_reads.take(request, _early_name(bucket))
    window = reply and _count(bucket, local_fallback=False, reply=reply)
    if window:
        rate_limits.give_back(window)


def _early_name(bucket: Bucket) -> str:
    return f"{bucket.scope} {bucket.client}"


def _count(bucket: Bucket, *, local_fallback: bool, reply: tuple[int, int] | None = None) -> Window | None:
    rate = settings.THROTTLES[bucket.scope]
    if rate is None:
        return None
    return rate_limits.count(bucket.scope, bucket.client, parse_rate(rate), local_fallback=local_fallback, reply=reply)


def _windows_of(request: Request | HttpRequest, attribute: str = _WINDOWS_ATTRIBUTE) -> list[Window]:
    """Return the windows in which the request was counted, as a list to change."""
    plain = getattr(request, "_request", request)
    windows: list[Window] = vars(plain).setdefault(attribute, [])
    return windows


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


def client_address(request: Request | HttpRequest) -> str:
    """Return the client's address; of an IPv6 address its /64 network, which is what one client is assigned."""
    address = client_ip(request)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, 64), strict=False))
    return "unknown" if address is None else str(address)


def client_ip(request: Request | HttpRequest) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the client's whole address; None if it is none, as of a Unix socket. IPv4-mapped IPv6 becomes IPv4.

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
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, ipaddress.IPv6Address) else parsed
