"""What a moderator decides: each act is one transaction that does it, writes its audit entry, and closes the case.

All return whether anything changed by it: of two moderators at once the second changes nothing, and leaves no entry.
All raise `ActionRefused`, with words for the moderator, and have then changed nothing. Locks: the author's row, the case, the
post or comment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import transaction

from accounts import moderation
from accounts.audit import Changes
from accounts.models import User
from accounts.moderation import ActionRefused, lock_for_moderation, lock_for_moderation_if_exists, require_reason
from posts import services
from posts.models import CaseState, Comment, Post, TargetType
from posts.moderation.cases import close_case, lock_case
from posts.moderation.history import ModerationHistory
from posts.services import Target
from social import notifications
from social.services.locks import retry_on_conflict

# By what they do it to; an account is neither hidden nor deleted, but suspended.
_HIDE_SERVICES: dict[TargetType, Callable[[int], bool]] = {
    TargetType.POST: services.hide_post,
    TargetType.COMMENT: services.hide_comment,
}
_RESTORE_SERVICES: dict[TargetType, Callable[[int], bool]] = {
    TargetType.POST: services.restore_post,
    TargetType.COMMENT: services.restore_comment,
}


@retry_on_conflict
@transaction.atomic
def dismiss(actor: User, target: Target, *, seen: int, reason: str = "") -> bool:
    """Close a case without doing anything, whatever has become of its target and author. `seen`: how many reports the
    moderator has looked at; Refused if there are more."""
    lock_for_moderation_if_exists(actor, target.user_id)
    case = lock_case(target)
    if case is None:
        raise ActionRefused("Nobody has reported this.")
    if case.state == CaseState.OPEN and case.report_count > seen:
        raise ActionRefused(f"{case.report_count - seen} more reports have come in: look again.")
    changes = Changes()
    close_case(case, CaseState.DISMISSED, actor, changes)
    return _record_audit_entry(changes, actor, "dismiss", target, reason)


@retry_on_conflict
@transaction.atomic
def hide(actor: User, target: Target, reason: str) -> bool:
    """Take a post or comment out of everybody's sight."""
    require_reason(reason)
    changes = _begin_action(actor, target)
    if _get_service(_HIDE_SERVICES, target)(target.id):
        changes.add("hidden", False, True)
    return _record_audit_entry(changes, actor, "hide", target, reason)


@retry_on_conflict
@transaction.atomic
def restore(actor: User, target: Target, reason: str = "") -> bool:
    """Bring a hidden post or comment back, in its old place. Its case stays as it is."""
    _require_target_exists(target, lock_for_moderation(actor, target.user_id))
    changes = Changes()
    if _get_service(_RESTORE_SERVICES, target)(target.id):
        changes.add("hidden", True, False)
    return _record_audit_entry(changes, actor, "restore", target, reason)


@retry_on_conflict
@transaction.atomic
def delete(actor: User, target: Target, reason: str) -> bool:
    """Delete a post or comment for good, as its author would. What is gone already is not deleted again."""
    require_reason(reason)
    lock_for_moderation(actor, target.user_id)
    case, changes = lock_case(target), Changes()
    if not _delete_content(target):
        return False
    changes.add("deleted", False, True)
    close_case(case, CaseState.ACTED, actor, changes)
    return _record_audit_entry(changes, actor, "delete", target, reason)


@retry_on_conflict
@transaction.atomic
def warn(actor: User, target: Target, text: str, *, seen: int) -> bool:
    """Tell the author `text`, which is also the act's reason. Once: whoever does not know of the newest warning
    (`seen`: how many there were about this) changes nothing."""
    require_reason(text)
    lock_for_moderation(actor, target.user_id)
    times = ModerationHistory([target]).times_warned(target)
    if times > seen:
        return False
    changes = _begin_action(actor, target)
    changes.add("warned", times, times + 1)
    post_id, comment_id = _get_post_and_comment_ids(target)
    notifications.warn(target.user_id, text, post_id, comment_id)
    return _record_audit_entry(changes, actor, "warn", target, text)


@retry_on_conflict
@transaction.atomic
def suspend_author(
    actor: User, target: Target, until: datetime | None, reason: str, *, seen: int | None = None
) -> bool:
    """Suspend whoever is behind the target, until a moment or for good (`accounts.moderation.suspend`)."""
    require_reason(reason)
    changes = _begin_action(actor, target)  # undone should it be refused
    return moderation.suspend(actor, target.user_id, until, reason, expected_version=seen, changes=changes)


@retry_on_conflict
@transaction.atomic
def close_related_case(actor: User, target: Target, reason: str) -> bool:
    """Close the case of an author whom the same decision has suspended for something else."""
    require_reason(reason)
    return _record_audit_entry(_begin_action(actor, target), actor, "close", target, reason)


@retry_on_conflict
def lift_suspension(actor: User, target: Target, reason: str = "") -> bool:
    """End the suspension of whoever is behind the target. Its case stays as it is."""
    return moderation.lift_suspension(actor, target.user_id, reason)


def _begin_action(actor: User, target: Target) -> Changes:
    """What an act against something that is there begins with: locks, and a case that is closed by it."""
    _require_target_exists(target, lock_for_moderation(actor, target.user_id))
    changes = Changes()
    close_case(lock_case(target), CaseState.ACTED, actor, changes)
    return changes


def _require_target_exists(target: Target, author: User) -> None:
    if author.deleted_at is not None:
        raise ActionRefused("The account is being erased.")
    if target.type == TargetType.POST and not Post.objects.filter(pk=target.id, deleted_at=None).exists():
        raise ActionRefused("The post is gone.")
    comments = Comment.objects.filter(pk=target.id, post__deleted_at=None)
    if target.type == TargetType.COMMENT and not comments.exists():
        raise ActionRefused("The comment is gone.")


def _get_service(services_of: Mapping[TargetType, Callable[[int], bool]], target: Target) -> Callable[[int], bool]:
    try:
        return services_of[target.type]
    except KeyError:
        raise ActionRefused("An account is suspended, not hidden.") from None


def _delete_content(target: Target) -> bool:
    if target.type == TargetType.POST:
        services.hide_post(target.id)  # else its pictures would be in public until the purge comes to them
        return services.delete_post(target.id, target.user_id)
    if target.type == TargetType.COMMENT:
        return services.delete_comment(target.id)
    raise ActionRefused("Accounts are deleted by their owners.")


def _get_post_and_comment_ids(target: Target) -> tuple[int | None, int | None]:
    """The post and the comment that a warning is about."""
    if target.type == TargetType.POST:
        return target.id, None
    if target.type == TargetType.COMMENT:
        return Comment.objects.values_list("post_id", flat=True).get(pk=target.id), target.id
    return None, None


def _record_audit_entry(changes: Changes, actor: User, action: str, target: Target, reason: str) -> bool:
    return changes.record(actor, action, target.type, target.id, user_id=target.user_id, reason=reason)
