"""Authenticate requests by bearer token, without SQL when the user's state is cached."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import AccessToken

from accounts import auth_cache
from accounts.models import User
from accounts.tokens import Claims, TokenRefused, read_access
from instafeed.core.api import early_reads, throttling
from instafeed.core.db.replicas.session import identify_user

_STATE = "auth_state"  # the name of an early read


class EmailUnverified(PermissionDenied):
    """403: the site requires a verified address for writes."""

    default_detail = "Verify your email address first."
    default_code = "email_unverified"


class TokenAuthentication(JWTAuthentication):
    """Check the token's signature and expiry, then the state of the account and the session.

    A request without `Authorization: Bearer` is anonymous. A bad token is a 401, on public paths too. `request.user`
    is a User with accounts.auth_cache.AUTH_FIELDS loaded, `request.auth` is the token.
    """

    def authenticate(self, request: Request) -> tuple[User, AccessToken] | None:  # type: ignore[override]
        scheme, _, raw = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        token, claims = read_access(raw.strip())
        _read_early(request, claims.user_id)
        try:
            user = _get_active_user(request, claims)
        except AuthenticationFailed:
            throttling.give_back_early(request, claims.user_id)
            raise
        if settings.REQUIRE_VERIFIED_EMAIL and not user.email_verified and not _may_call_unverified(request):
            raise EmailUnverified
        identify_user(claims.user_id)
        return user, token


def _read_early(request: Request, user_id: int) -> None:
    """Read the account's state in one round trip with the count of its requests and what the view reads first."""
    view: Any = (request.parser_context or {}).get("view")
    named = {_STATE: auth_cache.read_command(user_id), **throttling.early_commands(view, user_id)}
    early_reads.read(request, view, user_id, named)


def _get_active_user(request: Request, claims: Claims) -> User:
    state = auth_cache.get_auth_state(claims.user_id, early_reads.take(request, _STATE))
    if state is None or (claims.session_id is not None and state.has_ended(claims.session_id)):
        raise TokenRefused
    user = state.to_user()
    if not user.is_active:
        raise AuthenticationFailed("The account is not active.", code="user_inactive")
    return user


def _may_call_unverified(request: Request) -> bool:
    """Return whether users without a verified address may make this request.

    They may read, take back what they made (DELETE), and call views with `allows_unverified_email`.
    """
    view = (request.parser_context or {}).get("view")
    return request.method in (*SAFE_METHODS, "DELETE") or getattr(view, "allows_unverified_email", False)
