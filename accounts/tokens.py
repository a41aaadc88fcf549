"""JSON Web Tokens: created and read by simplejwt, tied to a session by their `sid` claim."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from time import time
from typing import TypeVar

from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from instafeed.core.db.snowflake import parse_id

SESSION_CLAIM = "sid"
MAX_TOKEN_LENGTH = 2048  # characters; issued tokens have about 300
_TokenT = TypeVar("_TokenT", bound=Token)


class TokenRefused(AuthenticationFailed):
    """401: the token is forged or expired, its session has ended, or its account is not active."""

    default_detail = "The token is invalid or expired."
    default_code = "token_not_valid"


@dataclass(frozen=True)
class Claims:
    """The claims of a verified token."""

    user_id: int
    session_id: int | None  # None for tokens that were issued outside of a session (scripts, tests)
    jti: str


@dataclass(frozen=True)
class Tokens:
    """A new pair of encoded tokens."""

    access: str
    refresh: str


def read_access(raw: str | bytes) -> tuple[AccessToken, Claims]:
    """Verify an access token and return it with its claims. Raises TokenRefused."""
    token, claims = _read_signed(raw)
    if token["exp"] <= time():
        raise TokenRefused
    return token, claims


@lru_cache(maxsize=4096)
def _read_signed(raw: str | bytes) -> tuple[AccessToken, Claims]:
    """Verify the signature, which takes most of the time of a warm authentication, and cache the result.

    A valid signature stays valid; only the expiry must be checked again. Failures raise and are not cached.
    """
    return _read(AccessToken, raw)


def read_refresh(raw: str | bytes) -> Claims:
    """Verify signature and expiry of a refresh token, used before or not. Raises TokenRefused."""
    return _read(RefreshToken, raw)[1]


def issue(user_id: int, session_id: int, jti: str, issued_at: datetime | None = None) -> Tokens:
    """Create an access token and a refresh token whose id is `jti`. The same arguments make the same refresh token."""
    refresh = RefreshToken()
    if issued_at is not None:
        refresh.current_time = issued_at  # also of the access token
        refresh.set_exp()
        refresh.set_iat()
    refresh[api_settings.USER_ID_CLAIM] = str(user_id)
    refresh[SESSION_CLAIM] = session_id
    refresh[api_settings.JTI_CLAIM] = jti
    return Tokens(access=str(refresh.access_token), refresh=str(refresh))


def _read(token_class: type[_TokenT], raw: str | bytes) -> tuple[_TokenT, Claims]:
    if len(raw) > MAX_TOKEN_LENGTH:
        raise TokenRefused
    try:
        token = token_class(raw)  # type: ignore[arg-type]
        user_id = parse_id(str(token[api_settings.USER_ID_CLAIM]))
    except (TokenError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        # simplejwt raises TokenError; hostile JSON in a header or payload raises all the others.
        raise TokenRefused from None
    session_id = token.get(SESSION_CLAIM)
    if user_id is None or not (session_id is None or isinstance(session_id, int)):
        raise TokenRefused
    return token, Claims(user_id, session_id, str(token[api_settings.JTI_CLAIM]))
