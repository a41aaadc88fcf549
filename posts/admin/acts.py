"""What moderators may do to what they see (`posts.moderation.sights.Sight`), on the pages of cases, posts, comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accounts.admin.acts import Act, Given, MildForm, SuspendForm, WarnForm, by_reason
from accounts.models import User
from media.withdrawal import withdraw
from posts import moderation
from posts.models import CaseState
from posts.moderation.sights import Sight

_JUDGE, _SUSPEND = "posts.moderate_post", "accounts.suspend_user"


def _dismiss(actor: User, sight: Sight, given: Given) -> bool:
    return moderation.dismiss(actor, sight.target, seen=given["seen"], reason=given["reason"])


def _warn(actor: User, sight: Sight, given: Given) -> bool:
    return moderation.warn(actor, sight.target, given["reason"], seen=given["seen"])


def _suspend(actor: User, sight: Sight, given: Given) -> bool:
    return moderation.suspend_author(actor, sight.target, given["until"], given["reason"], seen=given["seen"])


def _reports(sights: Mapping[int, Sight]) -> dict[int, int]:
    return {pk: sight.case.report_count for pk, sight in sights.items() if sight.case is not None}


def _warnings(sights: Mapping[int, Sight]) -> dict[int, int]:
    return {pk: sight.record.times_warned(sight.target) for pk, sight in sights.items()}


def _suspensions(sights: Mapping[int, Sight]) -> dict[int, int]:
    return {pk: sight.record.times_suspended(sight.target) for pk, sight in sights.items()}


def _withdraw(sights: Sequence[Sight]) -> None:
    """Old URLs are dead when the page is back: of the pictures that were judged first."""
    pictures = [picture.media.pk for sight in sights for picture in sight.pictures]
    withdraw({sight.target.user_id for sight in sights}, pictures)


def _is_open(sight: Sight) -> bool:
    return sight.case is not None and sight.case.state == CaseState.OPEN


DISMISS = Act(
    "dismiss",
    "Dismiss",
    "dismissed",
    "Nothing is wrong with it: the case is closed until somebody reports it anew.",
    _JUDGE,
    perform=_dismiss,
    form=MildForm,
    applies=_is_open,
    seen=_reports,
)
HIDE = Act(
    *("hide", "Hide", "hidden", "Out of everybody's sight at once, its author's too; can be restored."),
    _JUDGE,
    perform=by_reason(moderation.hide, "target"),
    hurts=True,
    applies=lambda sight: sight.is_content and sight.hidden_at is None,
    afterwards=_withdraw,
)
RESTORE = Act(
    *("restore", "Restore", "restored", "Back in its old place, for everybody who saw it."),
    _JUDGE,
    perform=by_reason(moderation.restore, "target"),
    form=MildForm,
    applies=lambda sight: sight.is_content and sight.hidden_at is not None,
)
DELETE = Act(
    *("delete", "Delete", "deleted", "For good, as if its author did it. There is no way back."),
    _JUDGE,
    perform=by_reason(moderation.delete, "target"),
    hurts=True,
    applies=lambda sight: sight.is_content,
    afterwards=_withdraw,
)
WARN = Act(
    *("warn", "Warn the author", "warned", "A notification with your words. It stays, whatever becomes of this."),
    _SUSPEND,
    perform=_warn,
    form=WarnForm,
    hurts=True,
    applies=lambda sight: sight.is_there,
    seen=_warnings,
)
SUSPEND = Act(
    *("suspend", "Suspend the author", "suspended", "Nobody sees the account or anything it wrote; no access for it."),
    _SUSPEND,
    perform=_suspend,
    form=SuspendForm,
    hurts=True,
    applies=lambda sight: sight.is_there,
    seen=_suspensions,
    afterwards=_withdraw,
    along=by_reason(moderation.close_along, "target"),
    on_account=True,
)
LIFT = Act(
    *("lift", "Lift the suspension", "reinstated", "The author has their access back, and all they wrote its place."),
    _SUSPEND,
    perform=by_reason(moderation.lift, "target"),
    form=MildForm,
    applies=lambda sight: sight.is_there and sight.is_suspended,
    on_account=True,
)
