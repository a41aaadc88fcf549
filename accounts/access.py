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
from instafeed import keys
from instafeed.invalidation import invalidate
from instafeed.leases import ReadThrough

# Everything else of the user stays deferred and is read only by views that ask for it.
_NEEDED = {"id", "username", "is_private", "is_active", "is_staff", "is_superuser"}
# In the model's order, which is the only one that `Model.from_db` can take.
FIELDS = tuple(field.attname for field in User._meta.concrete_fields if field.attname in _NEEDED)

# Raw: everybody's first request in a while asks it, and two queries of the ORM were a quarter of a like then.
_ACCESS = f"""
SELECT ARRAY(
    SELECT id FROM accounts_session
    WHERE user_id = accounts_user.id AND ended_at IS NOT NULL AND expires_at > now()
), id, {", ".join(FIELDS)}
FROM accounts_user WHERE id = ANY(%s)
"""  # noqa: S608 (names of columns)


@dataclass(frozen=True)
class Access:
    values: Sequence[Any]  # of FIELDS
    ended_sessions: Sequence[int]  # those that may still have an unexpired access token

    def user(self) -> User:
        """A real User; its other fields are deferred."""
        return User.from_db(DEFAULT_DB_ALIAS, FIELDS, self.values)


def access_of(user_id: int) -> Access | None:
    """None for a user who does not exist."""
    raw = _states.get([user_id]).get(user_id)
    return Access(*json.loads(raw)) if raw else None


def forget(user_id: int) -> None:
    """Drop the cached state once the current transaction commits."""
    invalidate([keys.access(user_id)])


def _load(user_ids: Sequence[int]) -> dict[int, bytes]:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_ACCESS, [list(user_ids)])
        rows = cursor.fetchall()
    return {pk: json.dumps([values, ended], separators=(",", ":")).encode() for ended, pk, *values in rows}


_states = ReadThrough(keys.access, _load, keys.ACCESS_TTL)
