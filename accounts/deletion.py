"""Delete accounts: invisible to everyone at the commit, then erased in the background (`accounts.erasure_worker`).

The username and email address stay taken until the erasure has finished. A deletion cannot be undone.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

from accounts import erasure_worker, sessions
from accounts.models import User
from accounts.services import WrongPassword, announce_access_change, remove_avatar


class StaffAccount(Exception):
    """Staff accounts cannot be deleted before their staff rights are removed: admin actions stay attributable."""


def delete_own_account(user_id: int, password: str) -> None:
    """Delete the account if the password is right. See `delete_account`.

    Raises WrongPassword, StaffAccount, User.DoesNotExist.
    """
    user = User.objects.using(DEFAULT_DB_ALIAS).get(pk=user_id)
    if not user.check_password(password):  # slow by design, so before any row is locked
        raise WrongPassword
    delete_account(user_id, expected_password_hash=user.password)


@transaction.atomic
def delete_account(user_id: int, *, expected_password_hash: str | None = None) -> bool:
    """Hide the account, end its sessions and queue its erasure. Return False if it was deleted before.

    Runs a fixed number of statements, however much the account holds. Raises StaffAccount, User.DoesNotExist, and
    WrongPassword if the password changed since it was checked.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user_id)
    if expected_password_hash is not None and user.password != expected_password_hash:
        raise WrongPassword
    if user.is_staff or user.is_superuser:
        raise StaffAccount
    if user.deleted_at is not None:
        return False
    was_active = user.is_active
    user.is_active, user.deleted_at = False, timezone.now()
    user.save(update_fields=["is_active", "deleted_at"])
    if user.avatar_path:
        remove_avatar(user_id)
    sessions.end_all(user_id)
    erasure_worker.enqueue(user_id)
    if was_active:
        announce_access_change(user)
    return True
