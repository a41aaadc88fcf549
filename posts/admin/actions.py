"""What moderators may do to what they see (`posts.moderation.targets.TargetSnapshot`), on the pages of cases, posts, comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accounts.admin.actions import ActionInput, AdminAction, OptionalReasonForm, SuspendForm, WarnForm, with_reason
from accounts.models import User
from media.unpublish import unpublish_files
from posts import moderation
from posts.models import CaseState
from posts.moderation.targets import TargetSnapshot

_MODERATE_PERMISSION, _SUSPEND_PERMISSION = "posts.moderate_post", "accounts.suspend_user"


def _dismiss(actor: User, sight: TargetSnapshot, given: ActionInput) -> bool:
    return moderation.dismiss(actor, sight.target, seen=given["expected_version"], reason=given["reason"])


def _warn(actor: User, sight: TargetSnapshot, given: ActionInput) -> bool:
    return moderation.warn(actor, sight.target, given["reason"], seen=given["expected_version"])


def _suspend(actor: User, sight: TargetSnapshot, given: ActionInput) -> bool:
    return moderation.suspend_author(
        actor, sight.target, given["until"], given["reason"], seen=given["expected_version"]
    )


def _count_reports(sights: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: sight.case.report_count for pk, sight in sights.items() if sight.case is not None}


def _count_warnings(sights: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: sight.record.times_warned(sight.target) for pk, sight in sights.items()}


def _count_suspensions(sights: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: sight.record.times_suspended(sight.target) for pk, sight in sights.items()}


def _unpublish_media(sights: Sequence[TargetSnapshot]) -> None:
    """Old URLs are dead when the page is back: of the pictures that were judged first."""
    pictures = [picture.media.pk for sight in sights for picture in sight.pictures]
    unpublish_files({sight.target.user_id for sight in sights}, pictures)


def _is_open(sight: TargetSnapshot) -> bool:
    return sight.case is not None and sight.case.state == CaseState.OPEN


DISMISS = AdminAction(
    "dismiss",
    "Dismiss",
    "dismissed",
    "Nothing is wrong with it: the case is closed until somebody reports it anew.",
    _MODERATE_PERMISSION,
    perform=_dismiss,
    form=OptionalReasonForm,
    applies_to=_is_open,
    get_versions=_count_reports,
)
HIDE = AdminAction(
    *("hide", "Hide", "hidden", "Out of everybody's sight at once, its author's too; can be restored."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.hide, "target"),
    is_destructive=True,
    applies_to=lambda sight: sight.is_content and sight.hidden_at is None,
    after_commit=_unpublish_media,
)
RESTORE = AdminAction(
    *("restore", "Restore", "restored", "Back in its old place, for everybody who saw it."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.restore, "target"),
    form=OptionalReasonForm,
    applies_to=lambda sight: sight.is_content and sight.hidden_at is not None,
)
DELETE = AdminAction(
    *("delete", "Delete", "deleted", "For good, as if its author did it. There is no way back."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.delete, "target"),
    is_destructive=True,
    applies_to=lambda sight: sight.is_content,
    after_commit=_unpublish_media,
)
WARN = AdminAction(
    *("warn", "Warn the author", "warned", "A notification with your words. It stays, whatever becomes of this."),
    _SUSPEND_PERMISSION,
    perform=_warn,
    form=WarnForm,
    is_destructive=True,
    applies_to=lambda sight: sight.is_there,
    get_versions=_count_warnings,
)
SUSPEND = AdminAction(
    *("suspend", "Suspend the author", "suspended", "Nobody sees the account or anything it wrote; no access for it."),
    _SUSPEND_PERMISSION,
    perform=_suspend,
    form=SuspendForm,
    is_destructive=True,
    applies_to=lambda sight: sight.is_there,
    get_versions=_count_suspensions,
    after_commit=_unpublish_media,
    perform_for_same_account=with_reason(moderation.close_related_case, "target"),
    on_account=True,
)
LIFT = AdminAction(
    *("lift", "Lift the suspension", "reinstated", "The author has their access back, and all they wrote its place."),
    _SUSPEND_PERMISSION,
    perform=with_reason(moderation.lift_suspension, "target"),
    form=OptionalReasonForm,
    applies_to=lambda sight: sight.is_there and sight.is_suspended,
    on_account=True,
)
