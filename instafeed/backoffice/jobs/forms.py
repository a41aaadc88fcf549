"""The forms that start jobs: the arguments of each kind, validated."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings

MAX_RATE = 100_000


class JobForm(forms.Form):
    field_order: tuple[str, ...] = ()

    rate = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=MAX_RATE,
        label="at most this many items a second",
        help_text="Empty: no limit. A limit spares the database and Redis while many users are on the site.",
    )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a valid form as JSON values, without those that were left empty."""
        chosen = {name: value for name, value in self.cleaned_data.items() if value not in (None, False)}
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in chosen.items()}


class DryRunForm(JobForm):
    dry_run = forms.BooleanField(
        required=False, label="dry run", help_text="Only find out what would be done, and change nothing."
    )
    field_order: tuple[str, ...] = ("dry_run",)


class BackfillForm(DryRunForm):
    active_since = forms.DateTimeField(
        required=False,
        label="signed in since (UTC)",
        widget=forms.DateTimeInput({"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Empty: all active users.",
    )
    field_order: tuple[str, ...] = ("active_since", "dry_run")


class VerifyForm(JobForm):
    repair = forms.BooleanField(
        required=False, label="repair", help_text="Delete wrong keys from Redis; the next read rebuilds them."
    )
    field_order: tuple[str, ...] = ("repair",)


class ReclassifyForm(DryRunForm):
    threshold = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        label="followers of a celebrity",
        help_text="For this job only. The setting applies again at an author's next follower.",
    )
    field_order: tuple[str, ...] = ("threshold", "dry_run")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["threshold"].help_text += f" Empty: CELEBRITY_THRESHOLD, {settings.CELEBRITY_THRESHOLD:,}."
