"""Admin actions on users and content: label, form, permission, and the service that performs the action."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Any

from django import forms
from django.utils import timezone

from accounts.models import User
from accounts.moderation import MAX_SUSPENSION

ActionInput = Mapping[str, Any]  # the cleaned data of an action's form, and `expected_version`
PerformAction = Callable[[User, Any, ActionInput], bool]
MAX_REASON_LENGTH = 1000  # characters


class ReasonForm(forms.Form):
    """For destructive actions."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH, widget=forms.Textarea({"rows": 2}), help_text="For the audit log."
    )


class OptionalReasonForm(ReasonForm):
    """For all other actions."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        required=False,
        widget=forms.Textarea({"rows": 2}),
        help_text="For the audit log; optional.",
    )


class WarnForm(ReasonForm):
    reason = forms.CharField(
        label="Message to the author",
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea({"rows": 3}),
        help_text="The author gets it as a notification, without your name. It is also written to the audit log.",
    )


class SuspendForm(ReasonForm):
    """After cleaning, `until` is the time at which the suspension ends, or None for an indefinite suspension."""

    LENGTHS = (("1", "1 day"), ("3", "3 days"), ("7", "a week"), ("30", "30 days"), ("", "for good"), ("x", "until …"))

    length = forms.ChoiceField(choices=LENGTHS, initial="7", required=False)
    until = forms.DateTimeField(
        required=False,
        label="until (UTC)",
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="For “until …” only.",
    )
    field_order = ("length", "until", "reason")

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        length, until, now = data.get("length"), data.get("until"), timezone.now()
        if length == "x" and "until" in data and not (until and now < until < now + MAX_SUSPENSION):
            self.add_error("until", "Enter a time in the future, within ten years.")
        elif length != "x" and until is not None:
            self.add_error("until", "Choose “until …”, or leave this empty.")
        elif length != "x":
            data["until"] = now + timedelta(days=int(length)) if length else None
        return data


def with_reason(service: Callable[[User, Any, str], bool], target_attribute: str) -> PerformAction:
    """Adapt a service that takes an actor, a target and a reason.

    `target_attribute` is the dotted name of the subject's attribute that holds the target.
    """
    get_target = attrgetter(target_attribute)
    return lambda actor, subject, data: service(actor, get_target(subject), data["reason"])


@dataclass(frozen=True)
class AdminAction:
    """An action on the subject of an admin row (`ActionModelAdmin.get_subjects`).

    * `perform(actor, subject, data)`: returns whether anything changed. Raises `accounts.moderation.ActionRefused`.
    * `applies_to(subject)`: whether the action makes sense in the subject's state. The service checks again.
    * `get_versions(subjects)`: the current version by row, for example the number of reports. It is sent back with the
      form as `data["expected_version"]`; the service refuses the action if the version has grown.
    * `after_commit(subjects)`: called once for the changed subjects after their commits, even if an unexpected error
      ended a bulk action half-way. Must not raise.
    * `perform_for_same_account(actor, subject, data)`: in bulk, replaces `perform` for further subjects of an account
      that this action has just changed. Returns whether anything changed. For actions `on_account`.
    * `audit_action`: the action's name in the audit log, if it differs from `name`.
    * `on_account`: the audit entry is about the account, not about its content.
    """

    name: str
    label: str
    done_label: str  # as in "3 hidden."
    help: str
    permission: str
    perform: PerformAction
    form: type[ReasonForm] = ReasonForm
    is_destructive: bool = False
    in_bulk: bool = True
    applies_to: Callable[[Any], bool] = lambda subject: True
    get_versions: Callable[[Mapping[int, Any]], Mapping[int, int]] = lambda subjects: {}
    after_commit: Callable[[Sequence[Any]], None] = lambda subjects: None
    perform_for_same_account: PerformAction | None = None
    audit_action: str = ""
    on_account: bool = False


@dataclass(frozen=True)
class BoundAction:
    """An action with its form, for one subject on its page or for several on the confirmation page."""

    action: AdminAction
    form: ReasonForm
    versions: Mapping[int, int]

    @classmethod
    def make(cls, action: AdminAction, subjects: Mapping[int, Any], data: Any = None) -> BoundAction:
        form = action.form(data, auto_id=f"id_{action.name}_%s")
        return cls(action, form, action.get_versions(subjects))
