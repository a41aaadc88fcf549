"""Approve or reject registrations of a site with REGISTRATION=approval. Each is one transaction with its audit entry.

The decision locks the user's row, so of two moderators the first decides. Changing REGISTRATION approves no one: the
accounts that wait keep waiting for a decision.
"""

from __future__ import annotations

from datetime import datetime

from django.db import DEFAULT_DB_ALIAS, transaction

from accounts import deletion
from accounts.audit import Changes
from accounts.mail import outbox
from accounts.models import MailKind, User
from accounts.moderation import ActionRefused, lock_for_moderation, require_reason
from accounts.services import announce_access_change

DELETE_BATCH_SIZE = 100  # accounts


@transaction.atomic
def approve(actor: User, user_id: int, reason: str = "") -> bool:
    """Give a pending account access, and mail a notice. Return False if it is not pending. Raises ActionRefused."""
    user = lock_for_moderation(actor, user_id)
    if user.pending_since is None:
        return False
    _end_wait(user)
    user.is_active = user.suspended_at is None
    user.save(update_fields=["is_active"])
    if user.is_active:
        announce_access_change(user)
        outbox.enqueue(MailKind.APPROVAL_NOTICE, user.email, user)
    return _record(actor, "approve", user_id, reason)


@transaction.atomic
def reject(actor: User, user_id: int, reason: str) -> bool:
    """Delete a pending account; its erasure frees the username. Return False if it is not pending.

    Raises ActionRefused. No mail is sent.
    """
    require_reason(reason)
    user = lock_for_moderation(actor, user_id)
    if user.pending_since is None:
        return False
    if user.is_staff or user.is_superuser:
        raise ActionRefused("Remove the staff rights first.")
    _delete(user)
    return _record(actor, "reject", user_id, reason)


def delete_undecided(before: datetime) -> bool:
    """Delete a batch of accounts that have waited since before a time. Return True when none is left."""
    with transaction.atomic():
        waiting = User.objects.using(DEFAULT_DB_ALIAS).filter(pending_since__lt=before, is_staff=False)
        locked = waiting.exclude(is_superuser=True).select_for_update(no_key=True, skip_locked=True)
        undecided = list(locked.order_by("pending_since", "pk")[:DELETE_BATCH_SIZE])
        for user in undecided:
            _delete(user)
    return len(undecided) < DELETE_BATCH_SIZE


def _delete(user: User) -> None:
    _end_wait(user)
    deletion.delete_account(user.pk)


def _end_wait(user: User) -> None:
    user.pending_since, user.registration_address = None, ""
    user.save(update_fields=["pending_since", "registration_address"])


def _record(actor: User, action: str, user_id: int, reason: str) -> bool:
    changes = Changes()
    changes.add("pending", True, False)
    return changes.record(actor, action, "user", user_id, user_id=user_id, reason=reason)
