"""Admin actions on users and content: label, form, permission, and the service that performs the action."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Any, cast

from django import forms
from django.utils import timezone

from accounts import policies as site_policies
from accounts.models import Policy, User
from accounts.moderation import MAX_SUSPENSION

# The cleaned data of an action's form; `expected_version`; and `seen`, "open" if the page showed an open case.
ActionInput = Mapping[str, Any]
PerformAction = Callable[[User, Any, ActionInput], bool]
MAX_REASON_LENGTH = 1000  # characters


class PolicySelect(forms.Select):
    """A select whose options have the policy's text as `data-text`, so that the page can show it."""

    texts: Mapping[str, str] = {}

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if text := self.texts.get(str(value)):
            option["attrs"]["data-text"] = text
        return option


class ActionForm(forms.Form):
    """The base of the actions' forms. `policies` are those in use; `suggested` is chosen at first."""

    def __init__(
        self, *args: Any, policies: Sequence[Policy] = (), suggested: Policy | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.policies = {str(policy.pk): policy for policy in policies}
        if (field := self.fields.get("policy")) is not None:
            names = [(pk, f"{policy.name} ({policy.get_severity_display()})") for pk, policy in self.policies.items()]
            cast(forms.ChoiceField, field).choices = [("", "No policy"), *names]
            cast(PolicySelect, field.widget).texts = {pk: policy.text for pk, policy in self.policies.items()}
            self.initial["policy"] = str(suggested.pk) if suggested else ""


def _text_field(label: str, help_text: str, *, rows: int = 2, required: bool = False) -> forms.CharField:
    widget = forms.Textarea({"rows": rows})
    return forms.CharField(
        label=label, max_length=MAX_REASON_LENGTH, required=required, widget=widget, help_text=help_text
    )


class ReasonForm(ActionForm):
    """For destructive actions that no policy covers."""

    reason = _text_field("Reason", "For the audit log.", required=True)


class OptionalReasonForm(ActionForm):
    """For actions that are not destructive."""

    reason = _text_field("Note", "For the audit log; optional.")


class PolicyForm(ActionForm):
    """For destructive actions: a policy, a note, or both. After cleaning, `policy` is a Policy or None."""

    policy = forms.ChoiceField(required=False, widget=PolicySelect)
    reason = _text_field("Note", "For the audit log; optional with a policy.")

    def clean_policy(self) -> Policy | None:
        return self.policies.get(self.cleaned_data["policy"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "policy" in data and data["policy"] is None and data.get("reason") == "":
            self.add_error("reason", "Choose a policy or write a note.")
        return data


class WarnForm(PolicyForm):
    reason = _text_field(
        "Message to the author",
        "The author gets the policy's text and your message as a notification, without your name. Both are "
        "also written to the audit log.",
        rows=3,
    )


class NoteForm(ActionForm):
    reason = _text_field(
        "Note", "For other moderators. They see it at each case of this author.", rows=3, required=True
    )


class SuspendForm(PolicyForm):
    """After cleaning, `until` is the time at which the suspension ends, or None for an indefinite suspension."""

    LENGTHS = (("1", "1 day"), ("3", "3 days"), ("7", "a week"), ("30", "30 days"), ("", "for good"), ("x", "until …"))

    length = forms.ChoiceField(choices=LENGTHS, initial="7", required=False)
    until = forms.DateTimeField(
        required=False,
        label="until (UTC)",
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="For “until …” only.",
    )
    field_order: Iterable[str] = ("policy", "reason", "length", "until")

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


def with_inputs(service: Callable[..., bool], get_target: Callable[[Any], Any], *names: str) -> PerformAction:
    """Adapt a service that takes an actor, the subject's target, and the inputs of these names by keyword."""
    return lambda actor, subject, data: service(actor, get_target(subject), **{name: data[name] for name in names})


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
    * `get_reasons(subjects)`: the reasons of their reports, the most frequent first. They suggest a policy.
    * `key`: the key that opens the form on the page of a row.
    * `audit_action`: the action's name in the audit log, if it differs from `name`.
    * `on_account`: the audit entry is about the account, not about its content.
    """

    name: str
    label: str
    done_label: str  # as in "3 hidden."
    help: str
    permission: str
    perform: PerformAction
    form: type[ActionForm] = ReasonForm
    key: str = ""
    is_destructive: bool = False
    in_bulk: bool = True
    applies_to: Callable[[Any], bool] = lambda subject: True
    get_versions: Callable[[Mapping[int, Any]], Mapping[int, int]] = lambda subjects: {}
    get_reasons: Callable[[Mapping[int, Any]], Sequence[str]] = lambda subjects: ()
    after_commit: Callable[[Sequence[Any]], None] = lambda subjects: None
    perform_for_same_account: PerformAction | None = None
    audit_action: str = ""
    on_account: bool = False


@dataclass(frozen=True)
class BoundAction:
    """An action with its form, for one subject on its page or for several on the confirmation page.

    `is_suggested`: it is the default action of the policy that the reports suggest.
    """

    action: AdminAction
    form: ActionForm
    versions: Mapping[int, int]
    is_suggested: bool = False

    @classmethod
    def make(cls, action: AdminAction, subjects: Mapping[int, Any], data: Any = None) -> BoundAction:
        return cls.make_all([action], subjects, data)[0]

    @classmethod
    def make_all(
        cls, actions: Sequence[AdminAction], subjects: Mapping[int, Any], data: Any = None
    ) -> list[BoundAction]:
        """Return the actions with their forms. One query for the policies of all."""
        needs_policies = any("policy" in action.form.base_fields for action in actions)
        policies = site_policies.list_active() if needs_policies else []
        return [cls._make(action, subjects, data, policies) for action in actions]

    @classmethod
    def _make(
        cls, action: AdminAction, subjects: Mapping[int, Any], data: Any, policies: Sequence[Policy]
    ) -> BoundAction:
        suggested = site_policies.suggest(policies, action.get_reasons(subjects))
        form = action.form(data, auto_id=f"id_{action.name}_%s", policies=policies, suggested=suggested)
        is_suggested = suggested is not None and suggested.default_action == action.name
        return cls(action, form, action.get_versions(subjects), is_suggested)
