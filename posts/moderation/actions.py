"""Moderation actions. Each is one transaction that acts on the target, writes an audit entry and closes the case.

All return whether they changed anything: if two moderators act at once, the second changes nothing and writes no audit
entry. All raise `ActionRefused` with a message for the moderator, and then nothing is changed. Lock order: the author's
row, the case, the post or comment.
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

# Services by target type. An account cannot be hidden or restored, only suspended.
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
def dismiss(actor: User, target: Target, *, expected_version: int, reason: str = "") -> bool:
    """Close a case without acting on its target, even if the target or its author no longer exists.

    `expected_version` is the number of reports that the moderator has seen. Raises ActionRefused if there are more.
    """
    lock_for_moderation_if_exists(actor, target.user_id)
    case = lock_case(target)
    if case is None:
        raise ActionRefused("This has no reports.")
    if case.state == CaseState.OPEN and case.report_count > expected_version:
        new = case.report_count - expected_version
        raise ActionRefused(f"{new} new {'report' if new == 1 else 'reports'}: review first.")
    changes = Changes()
    close_case(case, CaseState.DISMISSED, actor, changes)
    return _record_audit_entry(changes, actor, "dismiss", target, reason)


@retry_on_conflict
@transaction.atomic
def hide(actor: User, target: Target, reason: str) -> bool:
    """Hide a post or comment from all viewers."""
    require_reason(reason)
    changes = _begin_action(actor, target)
    if _get_service(_HIDE_SERVICES, target)(target.id):
        changes.add("hidden", False, True)
    return _record_audit_entry(changes, actor, "hide", target, reason)


@retry_on_conflict
@transaction.atomic
def restore(actor: User, target: Target, reason: str = "") -> bool:
    """Show a hidden post or comment again, in its old place. Does not change its case."""
    _require_target_exists(target, lock_for_moderation(actor, target.user_id))
    changes = Changes()
    if _get_service(_RESTORE_SERVICES, target)(target.id):
        changes.add("hidden", True, False)
    return _record_audit_entry(changes, actor, "restore", target, reason)


@retry_on_conflict
@transaction.atomic
def delete(actor: User, target: Target, reason: str) -> bool:
    """Delete a post or comment permanently, as its author would. Return False if it is deleted already."""
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
def warn(actor: User, target: Target, text: str, *, expected_version: int) -> bool:
    """Send the author a warning with `text`, which is also the reason in the audit log.

    `expected_version` is the number of warnings about this target that the moderator has seen. Returns False if there
    are more, so that two moderators at once send one warning.
    """
    require_reason(text)
    lock_for_moderation(actor, target.user_id)
    warnings = ModerationHistory([target]).count_warnings(target)
    if warnings > expected_version:
        return False
    changes = _begin_action(actor, target)
    changes.add("warned", warnings, warnings + 1)
    post_id, comment_id = _get_post_and_comment_ids(target)
    notifications.warn(target.user_id, text, post_id, comment_id)
    return _record_audit_entry(changes, actor, "warn", target, text)


@retry_on_conflict
@transaction.atomic
def suspend_author(
    actor: User, target: Target, until: datetime | None, reason: str, *, expected_version: int | None = None
) -> bool:
    """Suspend the target's author until a time or indefinitely (`accounts.moderation.suspend`)."""
    require_reason(reason)
    changes = _begin_action(actor, target)  # rolled back if the suspension is refused
    return moderation.suspend(actor, target.user_id, until, reason, expected_version=expected_version, changes=changes)


@retry_on_conflict
@transaction.atomic
def close_related_case(actor: User, target: Target, reason: str) -> bool:
    """Close another case of an author who was suspended by the same decision."""
    require_reason(reason)
    return _record_audit_entry(_begin_action(actor, target), actor, "close", target, reason)


@retry_on_conflict
def lift_suspension(actor: User, target: Target, reason: str = "") -> bool:
    """Lift the suspension of the target's author. Does not change the case."""
    return moderation.lift_suspension(actor, target.user_id, reason)


def _begin_action(actor: User, target: Target) -> Changes:
    """Lock the author and the case of an existing target, and close the case. Return the changes so far."""
    _require_target_exists(target, lock_for_moderation(actor, target.user_id))
    changes = Changes()
    close_case(lock_case(target), CaseState.ACTED, actor, changes)
    return changes


def _require_target_exists(target: Target, author: User) -> None:
    """Raise ActionRefused if the account, the post or the comment is deleted."""
    if author.deleted_at is not None:
        raise ActionRefused("The account is being erased.")
    if target.type == TargetType.POST and not Post.objects.filter(pk=target.id, deleted_at=None).exists():
        raise ActionRefused("The post was deleted.")
    comments = Comment.objects.filter(pk=target.id, post__deleted_at=None)
    if target.type == TargetType.COMMENT and not comments.exists():
        raise ActionRefused("The comment was deleted.")


def _get_service(services_of: Mapping[TargetType, Callable[[int], bool]], target: Target) -> Callable[[int], bool]:
    try:
        return services_of[target.type]
    except KeyError:
        raise ActionRefused("An account cannot be hidden or restored. Suspend it instead.") from None


def _delete_content(target: Target) -> bool:
    if target.type == TargetType.POST:
        services.hide_post(target.id)  # so that its media are not public until the purge deletes them
        return services.delete_post(target.id, target.user_id)
    if target.type == TargetType.COMMENT:
        return services.delete_comment(target.id)
    raise ActionRefused("Accounts are deleted by their owners.")


def _get_post_and_comment_ids(target: Target) -> tuple[int | None, int | None]:
    """Return the ids of the post and the comment that a warning is about."""
    if target.type == TargetType.POST:
        return target.id, None
    if target.type == TargetType.COMMENT:
        return Comment.objects.values_list("post_id", flat=True).get(pk=target.id), target.id
    return None, None


def _record_audit_entry(changes: Changes, actor: User, action: str, target: Target, reason: str) -> bool:
    return changes.record(actor, action, target.type, target.id, user_id=target.user_id, reason=reason)
