"""Moderation actions. Each is one transaction that acts on the target, writes an audit entry and closes the case.

All return whether they changed anything: if two moderators act at once, the second changes nothing and writes no audit
entry. All raise `ActionRefused` with a message for the moderator, and then nothing is changed. Lock order: the author's
row, the case, the post or comment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from django.db import transaction
from django.utils import timezone

from accounts import moderation
from accounts.audit import Changes
from accounts.models import Policy, User
from accounts.moderation import ActionRefused, lock_for_moderation, lock_for_moderation_if_exists, require_reason
from posts import services
from posts.models import CaseState, Comment, Note, Post, TargetType
from posts.moderation import messages
from posts.moderation.cases import close_case, lock_case, require_may_decide
from posts.moderation.history import ModerationHistory
from posts.moderation.messages import NO_ONE, Recipients
from posts.services import Target
from social.services.locks import retry_on_conflict

_Service = TypeVar("_Service", bound=Callable[..., bool])

# Services by target type. An account cannot be hidden or restored, only suspended.
_HIDE_SERVICES: dict[TargetType, Callable[..., bool]] = {
    TargetType.POST: services.hide_post,
    TargetType.COMMENT: services.hide_comment,
}
_RESTORE_SERVICES: dict[TargetType, Callable[[int], bool]] = {
    TargetType.POST: services.restore_post,
    TargetType.COMMENT: services.restore_comment,
}


@retry_on_conflict
@transaction.atomic
def decide_open_case(actor: User, target: Target, decide: Callable[[], bool]) -> bool:
    """Run one of the actions below for a moderator who saw the target's case open.

    Raises ActionRefused if the case was closed meanwhile and the action would still change something. Otherwise one
    moderator could hide what another has just dismissed.
    """
    lock_for_moderation(actor, target.user_id)
    case = lock_case(target)
    is_closed = case is not None and case.state != CaseState.OPEN
    changed = decide()
    if changed and is_closed:
        raise ActionRefused("This case was decided meanwhile. Check it again.")
    return changed


@retry_on_conflict
@transaction.atomic
def dismiss(
    actor: User, target: Target, *, expected_version: int, reason: str = "", recipients: Recipients = NO_ONE
) -> bool:
    """Close a case without acting on its target, even if the target or its author no longer exists.

    `expected_version` is the number of reports that the moderator has seen. Raises ActionRefused if there are more.
    """
    lock_for_moderation_if_exists(actor, target.user_id)
    case = lock_case(target)
    if case is None:
        raise ActionRefused("This has no reports.")
    require_may_decide(actor, case)
    if case.state == CaseState.OPEN and case.report_count > expected_version:
        new = case.report_count - expected_version
        raise ActionRefused(f"{new} new {'report' if new == 1 else 'reports'}: review first.")
    changes = Changes()
    close_case(case, CaseState.DISMISSED, actor, changes)
    if changes:
        messages.tell_dismissed(target, recipients)
    return _record_audit_entry(changes, actor, "dismiss", target, reason)


@retry_on_conflict
@transaction.atomic
def hide(
    actor: User,
    target: Target,
    reason: str,
    *,
    policy: Policy | None = None,
    recipients: Recipients = NO_ONE,
    is_warned: bool = False,
) -> bool:
    """Hide a post or comment from all viewers.

    Its author gets one notification: the message, the warning if `is_warned`, or else only that it is hidden.
    """
    require_reason(reason, policy)
    changes = _begin_action(actor, target)
    notify_author = not (recipients.author or is_warned)
    if _get_service(_HIDE_SERVICES, target)(target.id, notify_author=notify_author):
        changes.add("hidden", False, True)
        messages.tell_hidden(target, recipients, policy)
    return _record_audit_entry(changes, actor, "hide", target, reason, policy)


@retry_on_conflict
@transaction.atomic
def hide_and_warn(
    actor: User,
    target: Target,
    reason: str,
    *,
    policy: Policy | None = None,
    expected_version: int,
    recipients: Recipients = NO_ONE,
) -> bool:
    """Hide a post or comment and warn its author, with an audit entry for each. `expected_version` is that of `warn`.

    The warning is the author's only notification. Raises ActionRefused if it is hidden or deleted already.
    """
    if not warn(actor, target, reason, policy=policy, expected_version=expected_version, is_hidden=True):
        return False
    told = Recipients(reporters=recipients.reporters)
    if not hide(actor, target, reason, policy=policy, recipients=told, is_warned=True):
        # A colleague was faster. The case is closed above, so only the content could have changed.
        raise ActionRefused("It is hidden or deleted already. Warn the author instead.")
    return True


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
def delete(actor: User, target: Target, reason: str, *, policy: Policy | None = None) -> bool:
    """Delete a post or comment permanently, as its author would. Return False if it is deleted already."""
    require_reason(reason, policy)
    lock_for_moderation(actor, target.user_id)
    case, changes = lock_case(target), Changes()
    require_may_decide(actor, case)
    if not _delete_content(target):
        return False
    changes.add("deleted", False, True)
    close_case(case, CaseState.ACTED, actor, changes)
    return _record_audit_entry(changes, actor, "delete", target, reason, policy)


@retry_on_conflict
@transaction.atomic
def warn(
    actor: User,
    target: Target,
    reason: str,
    *,
    policy: Policy | None = None,
    expected_version: int,
    is_hidden: bool = False,
) -> bool:
    """Send the author a warning: the policy's text and `reason`, both of which are the reason in the audit log.

    `expected_version` is the number of warnings about this target that the moderator has seen. Returns False if there
    are more, so that two moderators at once send one warning. With `is_hidden` the warning also says that the target
    is hidden.
    """
    require_reason(reason, policy)
    lock_for_moderation(actor, target.user_id)
    warnings = ModerationHistory([target]).count_warnings(target)
    if warnings > expected_version:
        return False
    changes = _begin_action(actor, target)
    changes.add("warned", warnings, warnings + 1)
    text = messages.join_policy(policy, reason)
    messages.warn(target, text, is_hidden=is_hidden)
    return _record_audit_entry(changes, actor, "warn", target, text, policy)


@retry_on_conflict
@transaction.atomic
def suspend_author(
    actor: User,
    target: Target,
    until: datetime | None,
    reason: str,
    *,
    policy: Policy | None = None,
    expected_version: int | None = None,
    recipients: Recipients = NO_ONE,
) -> bool:
    """Suspend the target's author until a time or indefinitely (`accounts.moderation.suspend`)."""
    require_reason(reason, policy)
    changes = _begin_action(actor, target)  # rolled back if the suspension is refused
    changed = moderation.suspend(
        actor, target.user_id, until, reason, policy=policy, expected_version=expected_version, changes=changes
    )
    if changed:
        is_news = not changes.after.keys().isdisjoint(("suspended", "until"))  # and not only the end of another case
        told = Recipients(author=recipients.author and is_news, reporters=recipients.reporters)
        messages.tell_suspended(target, told, policy, until)
    return changed


@retry_on_conflict
@transaction.atomic
def close_related_case(
    actor: User, target: Target, reason: str, *, policy: Policy | None = None, recipients: Recipients = NO_ONE
) -> bool:
    """Close another case of an author who was suspended by the same decision, and tell its reporters."""
    require_reason(reason, policy)
    changes = _begin_action(actor, target)
    if changes:
        messages.tell_suspended(target, Recipients(reporters=recipients.reporters), policy, None)
    return _record_audit_entry(changes, actor, "close", target, reason, policy)


@retry_on_conflict
def lift_suspension(actor: User, target: Target, reason: str = "") -> bool:
    """Lift the suspension of the target's author. Does not change the case."""
    return moderation.lift_suspension(actor, target.user_id, reason)


@retry_on_conflict
@transaction.atomic
def ask_second_opinion(actor: User, target: Target, reason: str) -> bool:
    """Leave an open case to those who may decide escalated cases. Return False if it is left to them already."""
    require_reason(reason)
    lock_for_moderation_if_exists(actor, target.user_id)
    case, changes = lock_case(target), Changes()
    if case is None or case.state != CaseState.OPEN:
        raise ActionRefused("Only an open case can wait for a second opinion.")
    if case.escalated_at is None:
        changes.add("escalated", False, True)
        case.escalated_at, case.escalated_by_id = timezone.now(), actor.pk
        case.claimed_by_id = case.claimed_until = None
        case.save(update_fields=["escalated_at", "escalated_by_id", "claimed_by_id", "claimed_until"])
    return _record_audit_entry(changes, actor, "escalate", target, reason)


@transaction.atomic
def add_note(actor: User, target: Target, text: str) -> bool:
    """Write a note for other moderators. It is not in the audit log, because it is erased with the account."""
    require_reason(text)
    if lock_for_moderation(actor, target.user_id).deleted_at is not None:  # or it could outlive the erasure
        raise ActionRefused("The account is being erased.")
    Note.objects.create(
        target_type=target.type,
        target_id=target.id,
        user_id=target.user_id,
        author_id=actor.pk,
        author_name=actor.username,
        text=text,
    )
    return True


def _begin_action(actor: User, target: Target) -> Changes:
    """Lock the author and the case of an existing target, and close the case. Return the changes so far."""
    _require_target_exists(target, lock_for_moderation(actor, target.user_id))
    case, changes = lock_case(target), Changes()
    require_may_decide(actor, case)
    close_case(case, CaseState.ACTED, actor, changes)
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


def _get_service(services_of: Mapping[TargetType, _Service], target: Target) -> _Service:
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


def _record_audit_entry(
    changes: Changes, actor: User, action: str, target: Target, reason: str, policy: Policy | None = None
) -> bool:
    return changes.record(actor, action, target.type, target.id, user_id=target.user_id, reason=reason, policy=policy)
