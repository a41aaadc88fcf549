"""JSON Web Tokens: made and read by simplejwt, tied to a session by their `sid` claim."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from time import time
from typing import TypeVar

from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token

from instafeed.core.db.snowflake import parse_id

SESSION_CLAIM = "sid"
MAX_TOKEN_LENGTH = 2048  # characters; ours have about 300
_TokenT = TypeVar("_TokenT", bound=Token)


class TokenRefused(AuthenticationFailed):
    """401: forged, expired, ended, or of somebody who has no access."""

    default_detail = "The token is invalid or expired."
    default_code = "token_not_valid"


@dataclass(frozen=True)
class Claims:
    user_id: int
    session_id: int | None  # None in tokens that were made outside of a session (scripts, tests)
    jti: str


@dataclass(frozen=True)
class Tokens:
    access: str
    refresh: str


def read_access(raw: str | bytes) -> tuple[AccessToken, Claims]:
    """A valid access token; raises TokenRefused."""
    token, claims = _read_signed(raw)
    if token["exp"] <= time():
        raise TokenRefused
    return token, claims


@lru_cache(maxsize=4096)
def _read_signed(raw: str | bytes) -> tuple[AccessToken, Claims]:
    """A signature that was good stays good, and checking it is most of a warm request's authentication.

    Only the date must be looked at again. A refusal is an exception, and these are not kept.
    """
    return _read(AccessToken, raw)


def read_refresh(raw: str | bytes) -> tuple[RefreshToken, Claims]:
    """A refresh token of ours whose date is good, alive or not; raises TokenRefused."""
    return _read(RefreshToken, raw)


def issue(user_id: int, session_id: int, jti: str) -> Tokens:
    """A pair of tokens; `jti` becomes the refresh token's id."""
    refresh = RefreshToken()
    refresh[api_settings.USER_ID_CLAIM] = str(user_id)
    refresh[SESSION_CLAIM] = session_id
    refresh[api_settings.JTI_CLAIM] = jti
    return Tokens(access=str(refresh.access_token), refresh=str(refresh))


def _read(kind: type[_TokenT], raw: str | bytes) -> tuple[_TokenT, Claims]:
    if len(raw) > MAX_TOKEN_LENGTH:
        raise TokenRefused
    try:
        token = kind(raw)  # type: ignore[arg-type]
        user_id = parse_id(str(token[api_settings.USER_ID_CLAIM]))
    except (TokenError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        # Besides its own TokenError, a header or payload of hostile JSON brings out all of these.
        raise TokenRefused from None
    session_id = token.get(SESSION_CLAIM)
    if user_id is None or not (session_id is None or isinstance(session_id, int)):
        raise TokenRefused
    return token, Claims(user_id, session_id, str(token[api_settings.JTI_CLAIM]))
