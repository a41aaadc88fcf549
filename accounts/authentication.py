"""Bearer tokens: who asks, without SQL, and whether they still may."""

from __future__ import annotations

from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.tokens import AccessToken

from accounts.auth_cache import get_auth_state
from accounts.models import User
from accounts.tokens import TokenRefused, read_access
from instafeed.core.db.replicas.session import identify_user


class TokenAuthentication(JWTAuthentication):
    """Signature and date, then the account's and the session's state.

    No `Authorization: Bearer` means anonymous; a bad token is a 401 on public paths too. `request.user` is
    an accounts.User with accounts.auth_cache.AUTH_FIELDS loaded, `request.auth` the token.
    """

    def authenticate(self, request: Request) -> tuple[User, AccessToken] | None:  # type: ignore[override]
        scheme, _, raw = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        token, claims = read_access(raw.strip())
        access = get_auth_state(claims.user_id)
        if access is None or claims.session_id in access.ended_session_ids:
            raise TokenRefused
        user = access.user()
        if not user.is_active:
            raise AuthenticationFailed("The account has no access.", code="user_inactive")
        identify_user(claims.user_id)
        return user, token
