"""Cache the user fields and ended sessions that authentication needs, so that a valid token costs no SQL.

Code that changes any of these values calls `invalidate_auth_state(user_id)` in the same transaction. A cache miss
reads the primary: a replica could still accept a token that was just revoked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from accounts.models import User
from instafeed.core import compact_json
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.cache.read_through import ReadThroughCache

# All other fields of the user are deferred; views that need them cause a query.
_AUTH_FIELD_NAMES = {"id", "username", "is_private", "is_active", "is_staff", "is_superuser"}
# In the order of the model's fields, which `Model.from_db` requires.
AUTH_FIELDS = tuple(field.attname for field in User._meta.concrete_fields if field.attname in _AUTH_FIELD_NAMES)

# Raw SQL: it runs on each user's first request after a cache miss. Two ORM queries took a quarter of the time of a
# like in that case.
_AUTH_STATE_SQL = f"""
SELECT ARRAY(
    SELECT id FROM accounts_session
    WHERE user_id = accounts_user.id AND ended_at IS NOT NULL AND expires_at > now()
), id, {", ".join(AUTH_FIELDS)}
FROM accounts_user WHERE id = ANY(%s)
"""  # noqa: S608 (column names)


@dataclass(frozen=True)
class AuthState:
    """The cached state of one user."""

    values: Sequence[Any]  # of AUTH_FIELDS, in that order
    ended_session_ids: Sequence[int]  # sessions that may still have an unexpired access token

    def to_user(self) -> User:
        """Return a User with AUTH_FIELDS loaded and all other fields deferred."""
        return User.from_db(DEFAULT_DB_ALIAS, AUTH_FIELDS, self.values)


def get_auth_state(user_id: int) -> AuthState | None:
    """Return the user's state, or None if the user does not exist."""
    raw = _auth_state_cache.get([user_id]).get(user_id)
    return AuthState(*json.loads(raw)) if raw else None


def invalidate_auth_state(user_id: int) -> None:
    """Drop the cached state when the current transaction commits."""
    invalidate([keys.auth_state(user_id)])


def _load_auth_states(user_ids: Sequence[int]) -> dict[int, bytes]:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_AUTH_STATE_SQL, [list(user_ids)])
        rows = cursor.fetchall()
    return {pk: compact_json.encode([values, ended]) for ended, pk, *values in rows}


_auth_state_cache = ReadThroughCache(keys.auth_state, _load_auth_states, keys.AUTH_STATE_TTL)
