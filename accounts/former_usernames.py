"""Former usernames. Each stays reserved to its account for `RESERVATION`: links and mentions still lead there.

A trigger on the users' table refuses a name that is reserved to another account. It runs after the unique index has
admitted the name. So a registration that waited for a rename to free the name sees the reservation, which is written
in the transaction of the rename.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import FormerUsername, User
from instafeed.core.db.batches import delete_all_in_batches

RESERVATION = timedelta(days=30)
MAX_RENAMES = 2  # within RENAME_WINDOW, so that no one can reserve many names
RENAME_WINDOW = timedelta(days=14)
DELETE_BATCH_SIZE = 5_000  # rows


class TooManyRenames(Exception):
    """The user changed the username too often lately."""


def require_rename_allowed(user_id: int, username: str) -> None:
    """Raise TooManyRenames if the user took MAX_RENAMES new names lately. An own former name may always be taken back.

    Call it in the transaction of the rename, which has locked the user.
    """
    own = FormerUsername.objects.using(DEFAULT_DB_ALIAS).filter(user=user_id)
    recent = own.filter(created_at__gt=timezone.now() - RENAME_WINDOW)
    if recent.count() >= MAX_RENAMES and not own.filter(username=username).exists():
        raise TooManyRenames


def record_rename(user_id: int, old: str, new: str) -> None:
    """Reserve the old name to the user, and end the reservation of the new one. Call it after the name was changed."""
    FormerUsername.objects.filter(user=user_id, username=new).delete()
    now = timezone.now()
    row = FormerUsername(username=old, user_id=user_id, created_at=now, reserved_until=now + RESERVATION)
    # A row for this name can only be an expired one.
    FormerUsername.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["username"],
        update_fields=["user", "created_at", "reserved_until"],
    )


def query_users(username: str) -> QuerySet[User]:
    """Return the user to whom this former name is reserved."""
    reserved = get_reserved().filter(username=username)
    return User.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=reserved.values("user"))


def find_active_user_ids(names: Collection[str]) -> dict[str, int]:
    """Return the ids of active users by name, whether the name is their present or a former one, in one query."""
    if not names:
        return {}
    users = User.objects.using(DEFAULT_DB_ALIAS).filter(username__in=names, is_active=True)
    former = get_reserved().filter(username__in=names, user__is_active=True)
    return dict(users.values_list("username", "pk").union(former.values_list("username", "user_id")))


def get_reserved() -> QuerySet[FormerUsername]:
    return FormerUsername.objects.using(DEFAULT_DB_ALIAS).filter(reserved_until__gt=timezone.now())


def delete_expired() -> None:
    """Delete reservations that have ended."""
    expired = FormerUsername.objects.using(DEFAULT_DB_ALIAS).filter(reserved_until__lte=timezone.now())
    delete_all_in_batches(expired, DELETE_BATCH_SIZE)
