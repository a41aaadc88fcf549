"""The actions that moderators can take on a target, offered on the pages of cases, posts and comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

from django import forms

from accounts.admin.actions import (
    ActionForm,
    ActionInput,
    AdminAction,
    NoteForm,
    OptionalReasonForm,
    PerformAction,
    PolicyForm,
    SuspendForm,
    WarnForm,
    with_inputs,
    with_reason,
)
from accounts.models import User
from media.unpublish import unpublish_files
from posts import moderation
from posts.models import CaseState
from posts.moderation import Recipients
from posts.moderation.targets import TargetSnapshot

_MODERATE_PERMISSION, _SUSPEND_PERMISSION = "posts.moderate_post", "accounts.suspend_user"


class TellReportersForm(ActionForm):
    """Adds the choice whether to inform the reporters. After cleaning, `recipients` is a Recipients."""

    tell_reporters = forms.BooleanField(required=False, initial=True, label="Tell the reporters")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        told = Recipients(author=data.get("tell_author", False), reporters=data.get("tell_reporters", False))
        return {**data, "recipients": told}


class TellForm(TellReportersForm):
    """Adds the choice whom to inform."""

    tell_author = forms.BooleanField(required=False, initial=True, label="Tell the author")


class HideForm(PolicyForm, TellForm):
    field_order = ("policy", "reason", "tell_author", "tell_reporters")


class HideAndWarnForm(WarnForm, TellReportersForm):
    field_order = ("policy", "reason", "tell_reporters")


class SuspendAuthorForm(SuspendForm, TellForm):
    field_order = ("policy", "reason", "length", "until", "tell_author", "tell_reporters")


class DismissForm(OptionalReasonForm, TellForm):
    field_order = ("reason", "tell_author", "tell_reporters")

    tell_author = forms.BooleanField(required=False, label="Tell the author")
    tell_reporters = forms.BooleanField(required=False, label="Tell the reporters")


# The inputs of the services that a user's page offers too.
WARN_INPUTS = ("reason", "policy", "expected_version")
SUSPEND_INPUTS = (*WARN_INPUTS, "until", "recipients")
_get_target = attrgetter("target")


def _once(perform: PerformAction) -> PerformAction:
    """Refuse the action if the moderator saw the case open, and a colleague has decided it meanwhile."""

    def perform_once(actor: User, snapshot: TargetSnapshot, given: ActionInput) -> bool:
        if given["seen"] != "open":
            return perform(actor, snapshot, given)
        return moderation.decide_open_case(actor, snapshot.target, partial(perform, actor, snapshot, given))

    return perform_once


def _count_reports(snapshots: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: snapshot.case.report_count for pk, snapshot in snapshots.items() if snapshot.case is not None}


def _count_warnings(snapshots: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: snapshot.history.count_warnings(snapshot.target) for pk, snapshot in snapshots.items()}


def _count_suspensions(snapshots: Mapping[int, TargetSnapshot]) -> dict[int, int]:
    return {pk: snapshot.history.count_suspensions(snapshot.target) for pk, snapshot in snapshots.items()}


def _get_report_reasons(snapshots: Mapping[int, TargetSnapshot]) -> Sequence[str]:
    """Return the reasons of the only target's reports; none for several targets."""
    snapshot = next(iter(snapshots.values())) if len(snapshots) == 1 else None
    return snapshot.case.reasons if snapshot is not None and snapshot.case is not None else ()


def _unpublish_media(snapshots: Sequence[TargetSnapshot]) -> None:
    """Revoke the public URLs of the authors' media before the response, those of the moderated targets first."""
    pictures = [picture.media.pk for snapshot in snapshots for picture in snapshot.pictures]
    unpublish_files({snapshot.target.user_id for snapshot in snapshots}, pictures)


def _is_open(snapshot: TargetSnapshot) -> bool:
    return snapshot.case is not None and snapshot.case.state == CaseState.OPEN


def _may_be_escalated(snapshot: TargetSnapshot) -> bool:
    case = snapshot.case
    return case is not None and case.state == CaseState.OPEN and case.escalated_at is None


def _is_visible_content(snapshot: TargetSnapshot) -> bool:
    return snapshot.is_content and snapshot.hidden_at is None


DISMISS = AdminAction(
    *("dismiss", "Dismiss", "dismissed", "Close the case without action. A new report opens it again."),
    _MODERATE_PERMISSION,
    perform=with_inputs(moderation.dismiss, _get_target, "reason", "expected_version", "recipients"),
    form=DismissForm,
    key="d",
    applies_to=_is_open,
    get_versions=_count_reports,
)
HIDE = AdminAction(
    *("hide", "Hide", "hidden", "Hide it from everyone. It can be restored."),
    _MODERATE_PERMISSION,
    perform=_once(with_inputs(moderation.hide, _get_target, "reason", "policy", "recipients")),
    form=HideForm,
    key="h",
    is_destructive=True,
    applies_to=_is_visible_content,
    get_reasons=_get_report_reasons,
    after_commit=_unpublish_media,
)
HIDE_AND_WARN = AdminAction(
    *("hide_and_warn", "Hide and warn", "hidden, and the author warned", "Hide it and warn its author."),
    _SUSPEND_PERMISSION,
    perform=_once(with_inputs(moderation.hide_and_warn, _get_target, *WARN_INPUTS, "recipients")),
    form=HideAndWarnForm,
    key="e",
    audit_action="warn",
    is_destructive=True,
    applies_to=_is_visible_content,
    get_versions=_count_warnings,
    get_reasons=_get_report_reasons,
    after_commit=_unpublish_media,
)
RESTORE = AdminAction(
    *("restore", "Restore", "restored", "Show it again, in its old place."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.restore, "target"),
    form=OptionalReasonForm,
    key="r",
    applies_to=lambda snapshot: snapshot.is_content and snapshot.hidden_at is not None,
)
DELETE = AdminAction(
    *("delete", "Delete", "deleted", "Delete it permanently, as its author would. Cannot be undone."),
    _MODERATE_PERMISSION,
    perform=_once(with_inputs(moderation.delete, _get_target, "reason", "policy")),
    form=PolicyForm,
    key="x",
    is_destructive=True,
    applies_to=lambda snapshot: snapshot.is_content,
    get_reasons=_get_report_reasons,
    after_commit=_unpublish_media,
)
WARN = AdminAction(
    *("warn", "Warn the author", "warned", "Send a notification. It stays even if the content is deleted."),
    _SUSPEND_PERMISSION,
    perform=_once(with_inputs(moderation.warn, _get_target, *WARN_INPUTS)),
    form=WarnForm,
    key="w",
    is_destructive=True,
    applies_to=lambda snapshot: snapshot.exists,
    get_versions=_count_warnings,
    get_reasons=_get_report_reasons,
)
SUSPEND = AdminAction(
    *("suspend", "Suspend the author", "suspended", "Hide the account and all its content, and block its access."),
    _SUSPEND_PERMISSION,
    perform=_once(with_inputs(moderation.suspend_author, _get_target, *SUSPEND_INPUTS)),
    form=SuspendAuthorForm,
    key="s",
    is_destructive=True,
    applies_to=lambda snapshot: snapshot.exists,
    get_versions=_count_suspensions,
    get_reasons=_get_report_reasons,
    after_commit=_unpublish_media,
    perform_for_same_account=with_inputs(moderation.close_related_case, _get_target, "reason", "policy", "recipients"),
    on_account=True,
)
LIFT = AdminAction(
    *("lift", "Lift the suspension", "reinstated", "Restore the author's access and content."),
    _SUSPEND_PERMISSION,
    perform=with_reason(moderation.lift_suspension, "target"),
    form=OptionalReasonForm,
    key="l",
    applies_to=lambda snapshot: snapshot.exists and snapshot.is_suspended,
    on_account=True,
)
ESCALATE = AdminAction(
    *("escalate", "Ask for a second opinion", "left to senior moderators", "Leave the case to senior moderators."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.ask_second_opinion, "target"),
    key="o",
    in_bulk=False,
    applies_to=_may_be_escalated,
)
NOTE = AdminAction(
    *("note", "Add a note", "noted", "Write a note for other moderators."),
    _MODERATE_PERMISSION,
    perform=with_reason(moderation.add_note, "target"),
    form=NoteForm,
    key="n",
    in_bulk=False,
    applies_to=lambda snapshot: snapshot.author is not None,
)
CASE_ACTIONS = (DISMISS, HIDE, HIDE_AND_WARN, RESTORE, DELETE, WARN, SUSPEND, LIFT, ESCALATE, NOTE)
CONTENT_ACTIONS = (HIDE, HIDE_AND_WARN, RESTORE, DELETE, DISMISS, WARN, SUSPEND, LIFT, NOTE)
