"""An act as the admin offers it: its words, its form, the right that it needs, and the service that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from operator import attrgetter
from typing import Any

from django import forms
from django.utils import timezone

from accounts.models import User
from accounts.moderation import MAX_SUSPENSION as LONGEST_SUSPENSION

ActionInput = Mapping[str, Any]  # the cleaned data of an act's form, and `seen`
PerformAction = Callable[[User, Any, ActionInput], bool]
MAX_REASON_LENGTH = 1000  # characters of a reason


class ReasonForm(forms.Form):
    """For acts that hurt somebody."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH, widget=forms.Textarea({"rows": 2}), help_text="For the audit log."
    )


class OptionalReasonForm(ReasonForm):
    """For all others."""

    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        required=False,
        widget=forms.Textarea({"rows": 2}),
        help_text="For the audit log; optional.",
    )


class WarnForm(ReasonForm):
    reason = forms.CharField(
        label="What the author is told",
        max_length=MAX_REASON_LENGTH,
        widget=forms.Textarea({"rows": 3}),
        help_text="They read it among their notifications, from nobody in particular. Also for the audit log.",
    )


class SuspendForm(ReasonForm):
    """Cleaned, `until` is the moment at which the suspension ends, or None for good."""

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
        given = super().clean() or {}
        length, until, now = given.get("length"), given.get("until"), timezone.now()
        if length == "x" and "until" in given and not (until and now < until < now + LONGEST_SUSPENSION):
            self.add_error("until", "Say when it ends, in the future, within ten years.")
        elif length != "x" and until is not None:
            self.add_error("until", "Choose “until …”, or leave this empty.")
        elif length != "x":
            given["until"] = now + timedelta(days=int(length)) if length else None
        return given


def with_reason(service: Callable[[User, Any, str], bool], target: str) -> PerformAction:
    """For a service that asks for nothing but a reason: `target` is the attribute of the subject that it is done to."""
    target_of = attrgetter(target)
    return lambda actor, subject, given: service(actor, target_of(subject), given["reason"])


def _always(subject: Any) -> bool:
    return True


def _no_versions(subjects: Mapping[int, Any]) -> dict[int, int]:
    return {}


def _do_nothing(subjects: Sequence[Any]) -> None:
    return None


@dataclass(frozen=True)
class AdminAction:
    """What may be done to a row's subject (`ActingAdmin.subjects`).

    * `perform(actor, subject, given)`: whether anything changed; raises `accounts.moderation.ActionRefused`.
    * `applies(subject)`: whether it makes sense for it as it is; the service decides again.
    * `seen(subjects)`: by row, as they come, how much there is now of what must not be overlooked: `given["seen"]`
      when it comes to it.
    * `afterwards(subjects)`: once, for those that changed, after their commits; also if something unexpected ended a
      bulk act in the middle. Does not raise.
    * `along(actor, subject, given)`: in bulk, done instead of `perform` to further subjects of an account to which this
      was done just now; whether anything changed. For acts `on_account`.
    * `entry`: what it is called in the audit log, if not by its name; `on_account`: its entry is about the account, not
      about what it wrote.
    """

    name: str
    label: str
    done: str  # “3 hidden.”
    help: str
    permission: str
    perform: PerformAction
    form: type[ReasonForm] = ReasonForm
    hurts: bool = False
    in_bulk: bool = True
    applies: Callable[[Any], bool] = _always
    seen: Callable[[Mapping[int, Any]], Mapping[int, int]] = _no_versions
    afterwards: Callable[[Sequence[Any]], None] = _do_nothing
    along: PerformAction | None = None
    entry: str = ""
    on_account: bool = False


@dataclass(frozen=True)
class BoundAction:
    """An act with its form, for one subject on its page or for several to confirm."""

    act: AdminAction
    form: ReasonForm
    seen: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def make(cls, act: AdminAction, subjects: Mapping[int, Any], data: Any = None) -> BoundAction:
        form = act.form(data, auto_id=f"id_{act.name}_%s")
        return cls(act, form, act.seen(subjects))
