"""Groups of staff: superusers only, as whoever edits a group hands out rights, and every change is in the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from accounts.audit import Changes
from accounts.models import User

admin.site.unregister(Group)  # Django's own: `django.contrib.auth` stands before this app


@admin.register(Group)
class SuperusersGroupAdmin(GroupAdmin):
    def has_module_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def save_related(self, request: HttpRequest, form: ModelForm[Group], formsets: Any, change: bool) -> None:
        """The last step of adding or changing, inside its transaction."""
        super().save_related(request, form, formsets, change)
        given, changes = form.cleaned_data, Changes()
        changes.note("name", form.initial.get("name"), given["name"])
        changes.note("permissions", _codenames(form.initial.get("permissions", ())), _codenames(given["permissions"]))
        _record_changes(request, changes, "change_group" if change else "add_group", form.instance)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        changes = Changes()
        changes.note("name", obj.name, None)
        changes.note("permissions", _codenames(obj.permissions.all()), "")
        changes.note("members", obj.user_set.count(), 0)
        _record_changes(request, changes, "delete_group", obj)
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        """Those ticked in the list; there are a few groups in all."""
        for group in queryset:
            self.delete_model(request, group)


def _codenames(permissions: Iterable[Permission]) -> str:
    return ", ".join(sorted(permission.codename for permission in permissions))


def _record_changes(request: HttpRequest, changes: Changes, action: str, group: Group) -> None:
    changes.record(cast(User, request.user), action, "group", group.pk, user_id=None)


def _is_superuser(request: HttpRequest) -> bool:
    return request.user.is_active and request.user.is_superuser
