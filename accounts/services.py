"""What changes an account. Each function is one transaction that also drops the caches it makes stale."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.utils import timezone
from psycopg.errors import UniqueViolation

from accounts import avatars, sessions
from accounts.models import User
from accounts.signals import access_changed, privacy_changed, privacy_changing
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate

LIFT_BATCH_SIZE = 500  # suspensions


class AlreadyTaken(Exception):
    """`field` (username or email) belongs to somebody else, whatever its case."""

    def __init__(self, field: str) -> None:
        super().__init__(f"this {field} is taken")
        self.field = field


class WrongPassword(Exception):
    """The current password was not given right, or has just been changed by somebody else."""


def register(username: str, email: str, password: str) -> User:
    """A new account. Raises Taken; the database decides, so that of two at once one gets it."""
    with _raise_already_taken():
        user = User.objects.create_user(username, email, password)
        _invalidate_user(user.pk)  # somebody may have asked for this id before, and "absent" is cached too
    return user


def verify_password(username: str, password: str) -> User | None:
    """The account with this password, None if there is none or it has no access.

    Reads the primary. Takes about as long for an unknown username as for a wrong password.
    """
    user = User.objects.using(DEFAULT_DB_ALIAS).filter(username=username.strip().lower()).first()
    if user is None:
        make_password(password)
        return None
    return user if user.check_password(password) and user.is_active else None


def change_password(user_id: int, current: str, new: str, *, keep_session: int | None) -> None:
    """Set a new password and end all other sessions. Raises WrongPassword."""
    user = User.objects.using(DEFAULT_DB_ALIAS).get(pk=user_id)
    if not user.check_password(current):
        raise WrongPassword
    hashed = make_password(new)  # slow by design: before the row is locked
    with transaction.atomic():
        if not User.objects.filter(pk=user_id, password=user.password).update(password=hashed):
            raise WrongPassword
        sessions.end_all(user_id, but=keep_session)


def update_profile(user_id: int, changes: dict[str, Any]) -> User:
    """Set profile fields, already validated; `avatar` is a media id or None.

    Raises Taken, avatars.UnknownPicture, PartAway, User.DoesNotExist.
    """
    changes = dict(changes)
    if "avatar" in changes:
        changes["avatar_path"] = avatars.create_copy(user_id, changes.pop("avatar"))
    with transaction.atomic():
        if "is_private" in changes:
            privacy_changing.send(User, user_id=user_id)
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        changed = [field for field, value in changes.items() if getattr(user, field) != value]
        if "avatar_path" in changed:
            avatars.confirm(changes["avatar_path"])
            avatars.schedule_deletion(user.avatar_path)
        for field in changed:
            setattr(user, field, changes[field])
        if "is_staff" in changed:
            user.admin_epoch += 1
            changed.append("admin_epoch")
        if changed:
            with _raise_already_taken():
                user.save(update_fields=changed)
            _invalidate_user(user_id)
        if "is_private" in changed:
            privacy_changed.send(User, user_id=user_id, is_private=user.is_private)
    return user


def suspend(user_id: int, until: datetime | None = None) -> bool:
    """Take an account's access away at once, for good or until a moment; again: only the moment changes.

    Returns whether it had access. Sessions survive, asleep. Raises User.DoesNotExist.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        had_access = user.is_active
        if user.suspended_at is None:
            user.suspended_at = timezone.now()
        user.suspended_until = until
        user.is_active = False
        user.admin_epoch += 1  # unlike the API's, the admin's sessions do not sleep
        user.save(update_fields=["suspended_at", "suspended_until", "is_active", "admin_epoch"])
        if had_access:
            announce_access_change(user)
    return had_access


def reinstate(user_id: int) -> bool:
    """End a suspension; returns whether the account has its access back by that.

    Of an account that is being deleted only the suspension ends. Raises User.DoesNotExist.
    """
    with transaction.atomic():
        return _reinstate(User.objects.select_for_update(no_key=True).get(pk=user_id))


def lift_due_suspensions() -> int:
    """Reinstate those whose suspension ends by now; returns their number."""
    with transaction.atomic():
        due = User.objects.select_for_update(no_key=True, skip_locked=True).filter(suspended_until__lte=timezone.now())
        users = list(due.order_by("pk")[:LIFT_BATCH_SIZE])
        for user in users:
            _reinstate(user)
    return len(users)


def _reinstate(user: User) -> bool:
    regains = not user.is_active and user.deleted_at is None
    user.suspended_at = user.suspended_until = None
    user.is_active = user.is_active or regains
    user.save(update_fields=["suspended_at", "suspended_until", "is_active"])
    if regains:
        announce_access_change(user)
    return regains


def announce_access_change(user: User) -> None:
    """Drop what is cached of a user whose access was just given or taken, and tell the other apps."""
    _invalidate_user(user.pk)
    access_changed.send(User, user_id=user.pk, is_active=user.is_active)


def _invalidate_user(user_id: int) -> None:
    invalidate([keys.user_card(user_id), keys.auth_state(user_id)])


@contextmanager
def _raise_already_taken() -> Iterator[None]:
    """A transaction or savepoint in which a username or email that is in use raises Taken."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        violation = error.__cause__
        if isinstance(violation, UniqueViolation):
            name = violation.diag.constraint_name or ""
            raise AlreadyTaken("email" if "email" in name else "username") from error
        raise
