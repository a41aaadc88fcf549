"""The policies that moderators cite. Only superusers change them, and each change is audited."""

from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.audit import Changes
from accounts.models import Policy, User
from instafeed.core.admin.base import BaseModelAdmin, is_superuser
from instafeed.core.admin.display import state_badge

_FIELDS = ("name", "text", "severity", "reason", "default_action", "is_active")


@admin.register(Policy)
class PolicyAdmin(BaseModelAdmin):
    list_display = ("name", "severity", "reason", "default_action", "state")
    fields = _FIELDS
    ordering = ("-is_active", "-severity", "name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return is_superuser(request)

    @admin.display(description="state")
    def state(self, policy: Policy) -> SafeString:
        return state_badge("in use", "good") if policy.is_active else state_badge("out of use", "bad")

    def save_model(self, request: HttpRequest, obj: Policy, form: ModelForm[Policy], change: bool) -> None:
        """Save and audit. Runs inside a transaction."""
        super().save_model(request, obj, form, change)
        changes = Changes()
        for name in form.changed_data:
            changes.add(name, form.initial.get(name) if change else None, form.cleaned_data[name])
        action = "change_policy" if change else "add_policy"
        changes.record(cast(User, request.user), action, "policy", obj.pk, user_id=None)
