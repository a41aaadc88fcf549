"""Groups of staff. Only superusers may see or edit them, since groups grant permissions. Changes are audited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group, Permission
from django.db import models, transaction
from django.db.models import QuerySet
from django.forms import CheckboxSelectMultiple, ModelForm
from django.http import HttpRequest

from accounts.audit import Changes
from accounts.models import User
from instafeed.core.admin.base import is_superuser

admin.site.unregister(Group)  # registered by `django.contrib.auth`, which comes first in INSTALLED_APPS


@admin.register(Group)
class SuperusersGroupAdmin(GroupAdmin):
    # Django's pair of lists is not accessible and too wide for phones.
    formfield_overrides = {models.ManyToManyField: {"widget": CheckboxSelectMultiple}}

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_superuser(request)

    def save_related(self, request: HttpRequest, form: ModelForm[Group], formsets: Any, change: bool) -> None:
        """Audit the change. Django calls this last, inside the transaction that adds or changes the group."""
        super().save_related(request, form, formsets, change)
        before, after, changes = form.initial, form.cleaned_data, Changes()
        changes.add("name", before.get("name"), after["name"])
        changes.add("permissions", _codenames(before.get("permissions", ())), _codenames(after["permissions"]))
        _record_changes(request, changes, "change_group" if change else "add_group", form.instance)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        changes = Changes()
        changes.add("name", obj.name, None)
        changes.add("permissions", _codenames(obj.permissions.all()), "")
        changes.add("members", obj.user_set.count(), 0)
        _record_changes(request, changes, "delete_group", obj)
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        """Delete the selected groups one by one, so that each is audited. There are only a few groups."""
        for group in queryset:
            self.delete_model(request, group)


def _codenames(permissions: Iterable[Permission]) -> str:
    return ", ".join(sorted(permission.codename for permission in permissions))


def _record_changes(request: HttpRequest, changes: Changes, action: str, group: Group) -> None:
    changes.record(cast(User, request.user), action, "group", group.pk, user_id=None)
