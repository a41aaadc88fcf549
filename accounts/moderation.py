"""Actions of moderators and operators on accounts. Each is one transaction that also writes its audit entry.

An action that changes nothing, because a colleague was faster, returns False and writes no entry. The caller checks
the permission for the action; this module decides which accounts it may affect.

All actions, those of `posts` too, take locks in one order: the affected user's row, the case, then the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from unicodedata import category

from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Count
from django.utils import timezone

from accounts import services, sessions
from accounts.audit import Changes
from accounts.mail.outbox import describe_suspension_end
from accounts.models import AuditEntry, Policy, User
from accounts.signals import account_sanctioned, avatar_taken_down, celebrity_pinned

MAX_SUSPENSION = timedelta(days=3653)  # of a suspension with an end


class ProfilePart(StrEnum):
    """What a moderator can remove from a profile: the avatar, or the field of this name."""

    AVATAR = "avatar"
    DISPLAY_NAME = "display_name"
    BIO = "bio"
    WEBSITE = "website"


class ActionRefused(Exception):
    """The moderator may not do this, or it no longer applies. The message says why."""


def lock_for_moderation(actor: User, user_id: int) -> User:
    """Return the affected user, locked until the end of the transaction.

    Raises ActionRefused if the user does not exist, or is staff and the actor is not a superuser.
    """
    user = lock_for_moderation_if_exists(actor, user_id)
    if user is None:
        raise ActionRefused("The account is gone.")
    return user


def lock_for_moderation_if_exists(actor: User, user_id: int) -> User | None:
    """Do the same, but return None for a user that does not exist."""
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user and (user.is_staff or user.is_superuser) and not actor.is_superuser:
        raise ActionRefused("Only superusers may act on staff.")
    return user


def require_reason(reason: str, policy: Policy | None = None) -> None:
    """Raise ActionRefused unless there is a policy, or the reason has a visible character."""
    # Neither control, format nor space.
    if policy is None and not any(category(character)[0] not in "CZ" for character in reason):
        raise ActionRefused("Give a reason.")


@transaction.atomic
def suspend(
    actor: User,
    user_id: int,
    until: datetime | None,
    reason: str,
    *,
    policy: Policy | None = None,
    expected_version: int | None = None,
    changes: Changes | None = None,
) -> bool:
    """Suspend an account until a time, or indefinitely for None. Change the end if it is suspended already.

    `expected_version` is the number of suspensions of the account that the moderator has seen (`count_suspensions`);
    the action is refused if there are more. `changes` holds what else the same action changed. Raises ActionRefused;
    the caller must then roll back its transaction.
    """
    require_reason(reason, policy)
    user = _lock_undeleted(actor, user_id)
    if user.pk == actor.pk:
        raise ActionRefused("You cannot suspend yourself.")
    if until is not None and until <= timezone.now():
        raise ActionRefused("The end of the suspension must be in the future.")
    if until is not None and until > timezone.now() + MAX_SUSPENSION:
        raise ActionRefused("A suspension lasts ten years at most. Suspend indefinitely instead.")
    if expected_version is not None and count_suspensions([user_id]).get(user_id, 0) > expected_version:
        raise ActionRefused(f"{_describe_suspension(user)}. Check the account again.")
    changes = Changes() if changes is None else changes
    changes.add("suspended", user.suspended_at is not None, True)
    changes.add("until", user.suspended_until, until)
    if user.suspended_at is None or user.suspended_until != until:
        services.suspend(user_id, until)
    account_sanctioned.send(User, actor=actor, user_id=user_id, changes=changes)
    return changes.record(actor, "suspend", "user", user_id, user_id=user_id, reason=reason, policy=policy)


@transaction.atomic
def lift_suspension(actor: User, user_id: int, reason: str = "") -> bool:
    """End a suspension. Raises ActionRefused."""
    user = lock_for_moderation(actor, user_id)
    changes = Changes()
    if user.suspended_at is not None:
        changes.add("suspended", True, False)
        changes.add("until", user.suspended_until, None)
        services.reinstate(user_id)
    return changes.record(actor, "lift", "user", user_id, user_id=user_id, reason=reason)


@transaction.atomic
def end_sessions(actor: User, user_id: int, reason: str, *, policy: Policy | None = None) -> bool:
    """Sign the account out everywhere. Raises ActionRefused."""
    require_reason(reason, policy)
    user = lock_for_moderation(actor, user_id)
    changes = Changes()
    changes.add("sessions", sessions.end_all(user_id), 0)
    if user.is_staff:
        User.objects.filter(pk=user_id).update(session_epoch=user.session_epoch + 1)
        changes.add("session_epoch", user.session_epoch, user.session_epoch + 1)
    account_sanctioned.send(User, actor=actor, user_id=user_id, changes=changes)
    return changes.record(actor, "end_sessions", "user", user_id, user_id=user_id, reason=reason, policy=policy)


@transaction.atomic
def remove_profile_part(
    actor: User, user_id: int, part: ProfilePart, reason: str, *, policy: Policy | None = None
) -> bool:
    """Remove the avatar, or empty a text of the profile. Raises ActionRefused.

    The user may set a text again. The picture of the avatar cannot become the avatar again.

    The audit entry says which part, and not what it was: users' texts and pictures must stay erasable.
    """
    require_reason(reason, policy)
    user = _lock_undeleted(actor, user_id)
    changes = Changes()
    if part is ProfilePart.AVATAR:
        changes.add(part, bool(user.avatar_path), False)
        if user.avatar_media is not None:
            avatar_taken_down.send(User, user_id=user_id, media_id=user.avatar_media)
        services.remove_avatar(user_id, is_urgent=True)
    else:
        changes.add(part, bool(getattr(user, part)), False)
        services.update_profile(user_id, {part: ""})
    if changes:
        account_sanctioned.send(User, actor=actor, user_id=user_id, changes=changes)
    return changes.record(actor, f"remove_{part}", "user", user_id, user_id=user_id, reason=reason, policy=policy)


@transaction.atomic
def pin(actor: User, user_id: int, is_celebrity: bool | None, reason: str = "") -> bool:
    """Pin an author's delivery to pull (True) or push (False), or let the follower count decide (None).

    Raises ActionRefused.
    """
    user = _lock_undeleted(actor, user_id)
    changes = Changes()
    changes.add("celebrity_pin", user.celebrity_pin, is_celebrity)
    if changes:
        User.objects.filter(pk=user_id).update(celebrity_pin=is_celebrity)
        celebrity_pinned.send(User, user_id=user_id)
    action = "unpin" if is_celebrity is None else "pin"
    return changes.record(actor, action, "user", user_id, user_id=user_id, reason=reason)


def count_suspensions(user_ids: Collection[int]) -> dict[int, int]:
    """Return how often each account was suspended in its lifetime, without accounts that never were."""
    entries = AuditEntry.objects.using(DEFAULT_DB_ALIAS)
    entries = entries.filter(target_type="user", target_id__in=user_ids, action="suspend")
    return dict(entries.values_list("target_id").annotate(Count("pk")))


def _describe_suspension(user: User) -> str:
    if user.suspended_at is None:
        return "Suspended and reinstated meanwhile"
    end = describe_suspension_end(user.suspended_until)
    return f"Suspended meanwhile until {end}" if end else "Suspended meanwhile indefinitely"


def _lock_undeleted(actor: User, user_id: int) -> User:
    user = lock_for_moderation(actor, user_id)
    if user.deleted_at is not None:
        raise ActionRefused("The account is being erased.")
    return user
