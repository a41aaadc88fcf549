"""What operators do to accounts with management commands. Each is one transaction that also writes its audit entry.

A command has no user who is signed in. Its entries name `SHELL` as the actor, which no account can be called.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import audit, moderation, second_factor, services, sessions
from accounts.models import User
from accounts.signals import public_files_revoked

SHELL = User(pk=0, username="management command", is_superuser=True)
_GENERATED_PASSWORD_SIZE = 15  # bytes: 20 characters


class AddressChanged(Exception):
    """The account has another address than the one that the operator saw."""


def create_user(username: str, email: str, password: str, *, is_admin: bool) -> User:
    """Create an account, with all rights in the admin if `is_admin`. Raises services.AlreadyTaken."""
    with transaction.atomic():
        user = services.register(username, email, password)
        if is_admin:
            user.is_staff = user.is_superuser = True
            user.save(update_fields=["is_staff", "is_superuser"])
            audit.record(SHELL, "create_admin", "user", user.pk, user_id=user.pk)
    return user


def generate_password() -> str:
    return secrets.token_urlsafe(_GENERATED_PASSWORD_SIZE)


def reset_password(user_id: int, password: str) -> int:
    """Set a password and end all sessions, those of the admin too. Return the number of those of the API.

    Raises User.DoesNotExist.
    """
    hashed = make_password(password)  # slow by design, so before the row is locked
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        User.objects.filter(pk=user_id).update(password=hashed, session_epoch=user.session_epoch + 1)
        ended = sessions.end_all(user_id)
        audit.record(SHELL, "reset_password", "user", user_id, user_id=user_id)
    return ended


def remove_second_factor(user_id: int) -> int:
    """Remove the second factor and end all sessions like `reset_password`.

    Raises second_factor.NotEnrolled, User.DoesNotExist.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        if not second_factor.remove(user_id):
            raise second_factor.NotEnrolled
        User.objects.filter(pk=user_id).update(session_epoch=user.session_epoch + 1)
        ended = sessions.end_all(user_id)
        audit.record(SHELL, "remove_otp", "user", user_id, user_id=user_id)
    return ended


def confirm_email(user_id: int, address: str) -> None:
    """Mark the account's address as verified. Raises AddressChanged, services.AlreadyTaken, User.DoesNotExist."""
    with transaction.atomic():
        if User.objects.select_for_update(no_key=True).get(pk=user_id).email != address:
            raise AddressChanged
        services.update_profile(user_id, {"email_verified": True})
        audit.record(SHELL, "confirm_email", "user", user_id, user_id=user_id)


def suspend(user_id: int, until: datetime | None, reason: str) -> bool:
    """Suspend an account like a moderator. Return whether that changed anything. Raises moderation.ActionRefused."""
    changed = moderation.suspend(SHELL, user_id, until, reason)
    public_files_revoked.send(User, user_ids=[user_id])
    return changed


def lift_suspension(user_id: int, reason: str) -> bool:
    """End a suspension like a moderator. Return whether there was one. Raises moderation.ActionRefused."""
    return moderation.lift_suspension(SHELL, user_id, reason)
