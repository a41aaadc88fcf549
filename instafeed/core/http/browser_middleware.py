"""The middleware for sessions, users and messages, which requests to the API skip.

The API authenticates by token and uses no cookies, so for its requests they only cost time.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest
from django_otp import middleware as otp

from instafeed.core.api.errors import is_api_request


class _SkippedByApi:
    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request) if is_api_request(request) else super().__call__(request)  # type: ignore[misc]


class SessionMiddleware(_SkippedByApi, sessions.SessionMiddleware):
    pass


class AuthenticationMiddleware(_SkippedByApi, auth.AuthenticationMiddleware):
    pass


class MessageMiddleware(_SkippedByApi, messages.MessageMiddleware):
    pass


class OTPMiddleware(_SkippedByApi, otp.OTPMiddleware):
    pass
