"""The actions that moderators can take on a target, offered on the pages of cases, posts and comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accounts.admin.actions import ActionInput, AdminAction, OptionalReasonForm, SuspendForm, WarnForm, with_reason
from accounts.models import User
from media.unpublish import unpublish_files
from posts import moderation
from posts.models import CaseState
from posts.moderation.targets import TargetSnapshot

_MODERATE_PERMISSION, _SUSPEND_PERMISSION = "posts.moderate_post", "accounts.suspend_user"


def _dismiss(actor: User, snapshot: TargetSnapshot, given: ActionInput) -> bool:
    return moderation.dismiss(
        actor, snapshot.target, expected_version=given["expected_version"], reason=given["reason"]
    )


def _warn(actor: User, snapshot: TargetSnapshot, given: ActionInput) -> bool:
    return moderation.warn(actor, snapshot.target, given["reason"], expected_version=given["expected_version"])


def _suspend(actor: User, snapshot: TargetSnapshot, given: ActionInput) -> bool:
    return moderation.suspend_author(
        actor, snapshot.target, given["until"], given["reason"], expected_version=given["expected_version"]
    )


def _count_reports(snapshots: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: snapshot.case.report_count for pk, snapshot in snapshots.items() if snapshot.case is not None}


def _count_warnings(snapshots: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: snapshot.history.count_warnings(snapshot.target) for pk, snapshot in snapshots.items()}


def _count_suspensions(snapshots: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: snapshot.history.count_suspensions(snapshot.target) for pk, snapshot in snapshots.items()}


def _unpublish_media(snapshots: Sequence[TargetSnapshot]) -> None:
    """Revoke the public URLs of the authors' media before the response, those of the moderated targets first."""
    pictures = [picture.media.pk for snapshot in snapshots for picture in snapshot.pictures]
    unpublish_files({snapshot.target.user_id for snapshot in snapshots}, pictures)


def _is_open(snapshot: TargetSnapshot) -> bool:
    return snapshot.case is not None and snapshot.case.state == CaseState.OPEN


DISMISS = AdminAction(
    "dismiss",
    "Dismiss",
    "dismissed",
    "Close the case without action. A new report reopens it.",
    _MODERATE_PERMISSION,
    perform=_dismiss,
    form=OptionalReasonForm,
    applies_to=_is_open,
    get_versions=_count_reports,
)
HIDE = AdminAction(
    *("hide", "Hide", "hidden", "Hide it from everyone. Its author is notified. Can be restored."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.hide, "target"),
    is_destructive=True,
    applies_to=lambda snapshot: snapshot.is_content and snapshot.hidden_at is None,
    after_commit=_unpublish_media,
)
RESTORE = AdminAction(
    *("restore", "Restore", "restored", "Show it again, in its old place."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.restore, "target"),
    form=OptionalReasonForm,
    applies_to=lambda snapshot: snapshot.is_content and snapshot.hidden_at is not None,
)
DELETE = AdminAction(
    *("delete", "Delete", "deleted", "Delete it permanently, as its author would. Cannot be undone."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.delete, "target"),
    is_destructive=True,
    applies_to=lambda snapshot: snapshot.is_content,
    after_commit=_unpublish_media,
)
WARN = AdminAction(
    *(
        "warn",
        "Warn the author",
        "warned",
        "Send a notification with your text. It stays even if the content is deleted.",
    ),
    _SUSPEND_PERMISSION,
    perform=_warn,
    form=WarnForm,
    is_destructive=True,
    applies_to=lambda snapshot: snapshot.exists,
    get_versions=_count_warnings,
)
SUSPEND = AdminAction(
    *("suspend", "Suspend the author", "suspended", "Hide the account and all its content, and block its access."),
    _SUSPEND_PERMISSION,
    perform=_suspend,
    form=SuspendForm,
    is_destructive=True,
    applies_to=lambda snapshot: snapshot.exists,
    get_versions=_count_suspensions,
    after_commit=_unpublish_media,
    perform_for_same_account=with_reason(moderation.close_related_case, "target"),
    on_account=True,
)
LIFT = AdminAction(
    *("lift", "Lift the suspension", "reinstated", "Restore the author's access and content."),
    _SUSPEND_PERMISSION,
    perform=with_reason(moderation.lift_suspension, "target"),
    form=OptionalReasonForm,
    applies_to=lambda snapshot: snapshot.exists and snapshot.is_suspended,
    on_account=True,
)
