"""What moderators and operators do to accounts: each act is one transaction that also writes its audit entry.

An act that changes nothing, as somebody was faster, returns False and leaves no entry. Who holds the right to an act
at all is for the caller to ask; here is decided whom it may be done to.

Locks are taken in one order by all acts, those of `posts` too: the row of whom it concerns, the case, the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from unicodedata import category

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Count
from django.utils import timezone

from accounts import services, sessions
from accounts.audit import Changes
from accounts.models import AuditEntry, User
from accounts.signals import account_sanctioned, celebrity_pinned

MAX_SUSPENSION = timedelta(days=3653)  # of a suspension that ends


class ActionRefused(Exception):
    """The act is not for this moderator, or makes no sense any more; says why."""


def lock_for_moderation(actor: User, user_id: int) -> User:
    """Whom an act concerns, locked until the end of the transaction. Raises Refused for staff, but to superusers, and
    for whoever is gone."""
    user = lock_for_moderation_if_exists(actor, user_id)
    if user is None:
        raise ActionRefused("The account is gone.")
    return user


def lock_for_moderation_if_exists(actor: User, user_id: int) -> User | None:
    """The same, for acts that need nobody to be there."""
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user and (user.is_staff or user.is_superuser) and not actor.is_superuser:
        raise ActionRefused("Only superusers may act on staff.")
    return user


def require_reason(reason: str) -> None:
    """Whatever hurts somebody needs a reason. Raises Refused."""
    if not any(category(character)[0] not in "CZ" for character in reason):  # neither control, format nor space
        raise ActionRefused("Give a reason.")


@transaction.atomic
def suspend(
    actor: User,
    user_id: int,
    until: datetime | None,
    reason: str,
    *,
    seen: int | None = None,
    changes: Changes | None = None,
) -> bool:
    """Suspend an account until a moment, or for good; one that is suspended already from now on until that moment.

    `seen`: how many suspensions of the account the moderator knows of (`count_suspensions`); whoever does not know of the
    newest is refused. `changes`: what else the same act has changed. Raises Refused, and then nothing is to be kept of
    the transaction.
    """
    require_reason(reason)
    user = _lock_undeleted(actor, user_id)
    if user.pk == actor.pk:
        raise ActionRefused("Nobody suspends themselves.")
    if until is not None and until <= timezone.now():
        raise ActionRefused("The end of a suspension lies in the future.")
    if until is not None and until > timezone.now() + MAX_SUSPENSION:
        raise ActionRefused("Suspend for good, or for ten years at most.")
    if seen is not None and count_suspensions([user_id]).get(user_id, 0) > seen:
        raise ActionRefused(f"{_describe_suspension(user)}: look again.")
    changes = Changes() if changes is None else changes
    changes.note("suspended", user.suspended_at is not None, True)
    changes.note("until", user.suspended_until, until)
    if user.suspended_at is None or user.suspended_until != until:
        services.suspend(user_id, until)
    account_sanctioned.send(User, actor=actor, user_id=user_id, changes=changes)
    return changes.record(actor, "suspend", "user", user_id, user_id=user_id, reason=reason)


@transaction.atomic
def lift_suspension(actor: User, user_id: int, reason: str = "") -> bool:
    """End a suspension. Raises Refused."""
    user = lock_for_moderation(actor, user_id)
    changes = Changes()
    if user.suspended_at is not None:
        changes.note("suspended", True, False)
        changes.note("until", user.suspended_until, None)
        services.reinstate(user_id)
    return changes.record(actor, "lift", "user", user_id, user_id=user_id, reason=reason)


@transaction.atomic
def end_sessions(actor: User, user_id: int, reason: str) -> bool:
    """Sign the account out everywhere. Raises Refused."""
    require_reason(reason)
    user = lock_for_moderation(actor, user_id)
    changes = Changes()
    changes.note("sessions", sessions.end_all(user_id), 0)
    if user.is_staff:
        User.objects.filter(pk=user_id).update(admin_epoch=user.admin_epoch + 1)
        changes.note("admin_epoch", user.admin_epoch, user.admin_epoch + 1)
    account_sanctioned.send(User, actor=actor, user_id=user_id, changes=changes)
    return changes.record(actor, "end_sessions", "user", user_id, user_id=user_id, reason=reason)


@transaction.atomic
def pin(actor: User, user_id: int, side: bool | None, reason: str = "") -> bool:
    """Say on which side of the celebrity line an author is: pulled (True), pushed (False), or by its count (None).

    Raises Refused.
    """
    user = _lock_undeleted(actor, user_id)
    changes = Changes()
    changes.note("celebrity_pin", user.celebrity_pin, side)
    if changes:
        User.objects.filter(pk=user_id).update(celebrity_pin=side)
        celebrity_pinned.send(User, user_id=user_id)
    action = "unpin" if side is None else "pin"
    return changes.record(actor, action, "user", user_id, user_id=user_id, reason=reason)


def count_suspensions(user_ids: Collection[int]) -> dict[int, int]:
    """How often each of these accounts was suspended, whatever for; the others are left out."""
    entries = AuditEntry.objects.using(DEFAULT_DB_ALIAS)
    entries = entries.filter(target_type="user", target_id__in=user_ids, action="suspend")
    return dict(entries.values_list("target_id").annotate(Count("pk")))


def _describe_suspension(user: User) -> str:
    if user.suspended_at is None:
        return "Suspended and reinstated meanwhile"
    until = user.suspended_until
    return f"Suspended meanwhile until {until:%Y-%m-%d %H:%M} UTC" if until else "Suspended meanwhile for good"


def _lock_undeleted(actor: User, user_id: int) -> User:
    user = lock_for_moderation(actor, user_id)
    if user.deleted_at is not None:
        raise ActionRefused("The account is being erased.")
    return user
