"""What a moderator decides: each act is one transaction that does it, writes its audit entry, and closes the case.

All return whether anything changed by it: of two moderators at once the second changes nothing, and leaves no entry.
All raise `Refused`, with words for the moderator, and have then changed nothing. Locks: the author's row, the case, the
post or comment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import transaction

from accounts import moderation
from accounts.audit import Changes
from accounts.models import User
from accounts.moderation import Refused, demand, judged, judged_or_gone
from posts import services
from posts.models import CaseState, Comment, Post, TargetType
from posts.moderation.cases import case_of, close
from posts.moderation.record import Record
from posts.services import Target
from social import notifications
from social.services.locks import retried

# By what they do it to; an account is neither hidden nor deleted, but suspended.
_HIDE: dict[TargetType, Callable[[int], bool]] = {
    TargetType.POST: services.hide_post,
    TargetType.COMMENT: services.hide_comment,
}
_RESTORE: dict[TargetType, Callable[[int], bool]] = {
    TargetType.POST: services.restore_post,
    TargetType.COMMENT: services.restore_comment,
}


@retried
@transaction.atomic
def dismiss(actor: User, target: Target, *, seen: int, reason: str = "") -> bool:
    """Close a case without doing anything, whatever has become of its target and author. `seen`: how many reports the
    moderator has looked at; Refused if there are more."""
    judged_or_gone(actor, target.user_id)
    case = case_of(target)
    if case is None:
        raise Refused("Nobody has reported this.")
    if case.state == CaseState.OPEN and case.report_count > seen:
        raise Refused(f"{case.report_count - seen} more reports have come in: look again.")
    changes = Changes()
    close(case, CaseState.DISMISSED, actor, changes)
    return _record(changes, actor, "dismiss", target, reason)


@retried
@transaction.atomic
def hide(actor: User, target: Target, reason: str) -> bool:
    """Take a post or comment out of everybody's sight."""
    demand(reason)
    changes = _begun(actor, target)
    if _of(_HIDE, target)(target.id):
        changes.note("hidden", False, True)
    return _record(changes, actor, "hide", target, reason)


@retried
@transaction.atomic
def restore(actor: User, target: Target, reason: str = "") -> bool:
    """Bring a hidden post or comment back, in its old place. Its case stays as it is."""
    _not_gone(target, judged(actor, target.user_id))
    changes = Changes()
    if _of(_RESTORE, target)(target.id):
        changes.note("hidden", True, False)
    return _record(changes, actor, "restore", target, reason)


@retried
@transaction.atomic
def delete(actor: User, target: Target, reason: str) -> bool:
    """Delete a post or comment for good, as its author would. What is gone already is not deleted again."""
    demand(reason)
    judged(actor, target.user_id)
    case, changes = case_of(target), Changes()
    if not _deleted(target):
        return False
    changes.note("deleted", False, True)
    close(case, CaseState.ACTED, actor, changes)
    return _record(changes, actor, "delete", target, reason)


@retried
@transaction.atomic
def warn(actor: User, target: Target, text: str, *, seen: int) -> bool:
    """Tell the author `text`, which is also the act's reason. Once: whoever does not know of the newest warning
    (`seen`: how many there were about this) changes nothing."""
    demand(text)
    judged(actor, target.user_id)
    times = Record([target]).times_warned(target)
    if times > seen:
        return False
    changes = _begun(actor, target)
    changes.note("warned", times, times + 1)
    post_id, comment_id = _place(target)
    notifications.warn(target.user_id, text, post_id, comment_id)
    return _record(changes, actor, "warn", target, text)


@retried
@transaction.atomic
def suspend_author(
    actor: User, target: Target, until: datetime | None, reason: str, *, seen: int | None = None
) -> bool:
    """Suspend whoever is behind the target, until a moment or for good (`accounts.moderation.suspend`)."""
    demand(reason)
    changes = _begun(actor, target)  # undone should it be refused
    return moderation.suspend(actor, target.user_id, until, reason, seen=seen, changes=changes)


@retried
@transaction.atomic
def close_along(actor: User, target: Target, reason: str) -> bool:
    """Close the case of an author whom the same decision has suspended for something else."""
    demand(reason)
    return _record(_begun(actor, target), actor, "close", target, reason)


@retried
def lift(actor: User, target: Target, reason: str = "") -> bool:
    """End the suspension of whoever is behind the target. Its case stays as it is."""
    return moderation.lift(actor, target.user_id, reason)


def _begun(actor: User, target: Target) -> Changes:
    """What an act against something that is there begins with: locks, and a case that is closed by it."""
    _not_gone(target, judged(actor, target.user_id))
    changes = Changes()
    close(case_of(target), CaseState.ACTED, actor, changes)
    return changes


def _not_gone(target: Target, author: User) -> None:
    if author.deleted_at is not None:
        raise Refused("The account is being erased.")
    if target.type == TargetType.POST and not Post.objects.filter(pk=target.id, deleted_at=None).exists():
        raise Refused("The post is gone.")
    comments = Comment.objects.filter(pk=target.id, post__deleted_at=None)
    if target.type == TargetType.COMMENT and not comments.exists():
        raise Refused("The comment is gone.")


def _of(services_of: Mapping[TargetType, Callable[[int], bool]], target: Target) -> Callable[[int], bool]:
    try:
        return services_of[target.type]
    except KeyError:
        raise Refused("An account is suspended, not hidden.") from None


def _deleted(target: Target) -> bool:
    if target.type == TargetType.POST:
        services.hide_post(target.id)  # else its pictures would be in public until the purge comes to them
        return services.delete_post(target.id, target.user_id)
    if target.type == TargetType.COMMENT:
        return services.delete_comment(target.id)
    raise Refused("Accounts are deleted by their owners.")


def _place(target: Target) -> tuple[int | None, int | None]:
    """The post and the comment that a warning is about."""
    if target.type == TargetType.POST:
        return target.id, None
    if target.type == TargetType.COMMENT:
        return Comment.objects.values_list("post_id", flat=True).get(pk=target.id), target.id
    return None, None


def _record(changes: Changes, actor: User, action: str, target: Target, reason: str) -> bool:
    return changes.record(actor, action, target.type, target.id, user_id=target.user_id, reason=reason)
