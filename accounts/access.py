"""What authentication must know of a user, cached, so that a valid token costs no SQL.

Whoever changes any of it calls `forget(user_id)` in the same transaction. A miss reads the primary: a
replica could still honour what was just revoked.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from accounts.models import Session, User
from instafeed import keys
from instafeed.invalidation import invalidate
from instafeed.leases import ReadThrough

# Everything else of the user stays deferred and is read only by views that ask for it.
_NEEDED = {"id", "username", "is_private", "is_active", "is_staff", "is_superuser"}
# In the model's order, which is the only one that `Model.from_db` can take.
FIELDS = tuple(field.attname for field in User._meta.concrete_fields if field.attname in _NEEDED)


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
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=user_ids).values_list("pk", *FIELDS)
    ended = defaultdict(list)
    sessions = Session.objects.using(DEFAULT_DB_ALIAS).filter(
        user__in=user_ids, ended_at__isnull=False, expires_at__gt=timezone.now()
    )
    for user_id, session_id in sessions.values_list("user_id", "pk"):
        ended[user_id].append(session_id)
    return {pk: json.dumps([values, ended[pk]], separators=(",", ":")).encode() for pk, *values in users}


_states = ReadThrough(keys.access, _load, keys.ACCESS_TTL)
