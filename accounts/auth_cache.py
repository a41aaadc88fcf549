"""What authentication must know of a user, cached, so that a valid token costs no SQL.

Whoever changes any of it calls `forget(user_id)` in the same transaction. A miss reads the primary: a
replica could still honour what was just revoked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from accounts.models import User
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.cache.read_through import ReadThroughCache

# Everything else of the user stays deferred and is read only by views that ask for it.
_AUTH_FIELD_NAMES = {"id", "username", "is_private", "is_active", "is_staff", "is_superuser"}
# In the model's order, which is the only one that `Model.from_db` can take.
AUTH_FIELDS = tuple(field.attname for field in User._meta.concrete_fields if field.attname in _AUTH_FIELD_NAMES)

# Raw: everybody's first request in a while asks it, and two queries of the ORM were a quarter of a like then.
_AUTH_STATE_SQL = f"""
SELECT ARRAY(
    SELECT id FROM accounts_session
    WHERE user_id = accounts_user.id AND ended_at IS NOT NULL AND expires_at > now()
), id, {", ".join(AUTH_FIELDS)}
FROM accounts_user WHERE id = ANY(%s)
"""  # noqa: S608 (names of columns)


@dataclass(frozen=True)
class AuthState:
    values: Sequence[Any]  # of FIELDS
    ended_session_ids: Sequence[int]  # those that may still have an unexpired access token

    def user(self) -> User:
        """A real User; its other fields are deferred."""
        return User.from_db(DEFAULT_DB_ALIAS, AUTH_FIELDS, self.values)


def get_auth_state(user_id: int) -> AuthState | None:
    """None for a user who does not exist."""
    raw = _auth_state_cache.get([user_id]).get(user_id)
    return AuthState(*json.loads(raw)) if raw else None


def invalidate_auth_state(user_id: int) -> None:
    """Drop the cached state once the current transaction commits."""
    invalidate([keys.auth_state(user_id)])


def _load_auth_states(user_ids: Sequence[int]) -> dict[int, bytes]:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_AUTH_STATE_SQL, [list(user_ids)])
        rows = cursor.fetchall()
    return {pk: json.dumps([values, ended], separators=(",", ":")).encode() for ended, pk, *values in rows}


_auth_state_cache = ReadThroughCache(keys.auth_state, _load_auth_states, keys.AUTH_STATE_TTL)
