"""Deleting an account: gone for everybody at the commit, erased in the background (`accounts.erasure_worker`).

Its username and address stay taken until then. There is no way back.
"""

from __future__ import annotations

from functools import partial

from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone

from accounts import erasure_worker, sessions, tasks
from accounts.models import User
from accounts.services import WrongPassword, announce_access_change
from instafeed.core.jobs import enqueue


class StaffAccount(Exception):
    """Staff lose their powers first: what they did in the admin stays attributable until somebody decides so."""


def delete_own_account(user_id: int, password: str) -> bool:
    """`delete_account` for whoever knows the password. Raises WrongPassword and what that raises."""
    user = User.objects.using(DEFAULT_DB_ALIAS).get(pk=user_id)
    if not user.check_password(password):  # slow by design: before anything is locked
        raise WrongPassword
    return _delete(user_id, user.password)


def delete_account(user_id: int) -> bool:
    """Take the account out of everybody's sight, end its sessions, and have it erased; False if that is done already.

    A fixed number of statements, whatever the account holds. Raises StaffAccount, User.DoesNotExist.
    """
    return _delete(user_id, None)


@transaction.atomic
def _delete(user_id: int, hashed: str | None) -> bool:
    """The same, if the password is still the one that was checked. Raises WrongPassword otherwise."""
    user = User.objects.select_for_update(no_key=True).get(pk=user_id)
    if hashed is not None and user.password != hashed:
        raise WrongPassword
    if user.is_staff or user.is_superuser:
        raise StaffAccount
    if user.deleted_at is not None:
        return False
    had_access = user.is_active
    user.is_active, user.deleted_at = False, timezone.now()
    user.save(update_fields=["is_active", "deleted_at"])
    sessions.end_all(user_id)
    erasure_worker.enqueue(user_id)
    if had_access:
        announce_access_change(user)
    # robust: the deletion is committed, whatever happens to the hint; beat makes up for it.
    transaction.on_commit(partial(enqueue.try_enqueue, tasks.erase_accounts), robust=True)
    return True
