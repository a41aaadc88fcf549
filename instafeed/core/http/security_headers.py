"""What browsers may do with our answers: Content-Security-Policy and Permissions-Policy, the same on every one.

Nothing inline, nothing from other hosts but pictures from where ours lie: the admin draws its charts without scripts
or style attributes, and /docs gets its script from a path of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from csp.constants import HEADER, NONE, SELF
from csp.utils import build_policy
from django.http import HttpRequest, HttpResponse

# What nothing of ours asks for.
_DISABLED_FEATURES = (
    "accelerometer",
    "camera",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "payment",
    "usb",
)
PERMISSIONS_POLICY = ", ".join(f"{feature}=()" for feature in _DISABLED_FEATURES)


def content_security_policy(media_origins: Sequence[str]) -> dict[str, Any]:
    """CONTENT_SECURITY_POLICY for pictures that come from `media_origins` beside our own host."""
    return {
        "DIRECTIVES": {
            "default-src": [NONE],
            "script-src": [SELF],
            "style-src": [SELF],
            "img-src": [SELF, "data:", *media_origins],
            "font-src": [SELF],
            "connect-src": [SELF],
            "form-action": [SELF],
            "frame-ancestors": [NONE],
            "base-uri": [NONE],
        }
    }


class SecurityHeadersMiddleware:
    """Sets both headers. The first is written once: django-csp's own middleware writes it anew for each answer, which
    takes 0.1 ms, a tenth of a warm feed page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._policy = build_policy()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault(HEADER, self._policy)  # uploaded files have a stricter one
        response["Permissions-Policy"] = PERMISSIONS_POLICY
        return response
