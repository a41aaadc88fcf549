"""Users in the admin: found by the start of a name or by address, without counting a million rows."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connection, models
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.functional import cached_property

from accounts import services
from accounts.models import User

# Kept exact by the code that owns them: never typed in by hand.
OWNED = (
    *("is_active", "suspended_at", "suspended_until", "deleted_at", "celebrity_state", "celebrity_pin"),
    *("post_count", "follower_count", "following_count", "created_at", "last_login"),
)
POWERS = ("is_staff", "is_superuser", "groups")  # a moderator could make itself a superuser with these
EDITABLE = ("username", "email", "display_name", "bio", "website", "is_private", "is_staff", "is_superuser")


class EstimatingPaginator(Paginator):
    """Takes the size of an unfiltered list from PostgreSQL's statistics."""

    @cached_property
    def count(self) -> int:
        query = cast("QuerySet[User]", self.object_list).query
        if query.where:
            return super().count
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
                [User._meta.db_table],
            )
            estimate = cursor.fetchone()[0]
        return estimate if estimate > 10_000 else super().count


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "follower_count", "created_at")
    list_filter = ("is_staff",)
    search_fields = ("username", "email")
    search_help_text = "The start of a username, or a whole email address."
    paginator = EstimatingPaginator
    show_full_result_count = False
    ordering = ("-id",)
    fields = (*EDITABLE, "groups", *OWNED)
    filter_horizontal = ("groups",)
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
    actions = ("suspend", "reinstate")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return OWNED if cast(User, request.user).is_superuser else (*OWNED, *POWERS)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # people register themselves, staff is made by `createsuperuser`

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # a cascade through posts and follows would leave feeds and counts behind

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """Only what an index answers; Django's own search would read the whole table."""
        term = search_term.strip().lower()
        if not term:
            return queryset, False
        by_email = Q(lower_email=term) & ~Q(email="")
        found = queryset.alias(lower_email=Lower("email")).filter(Q(username__startswith=term) | by_email)
        return found, False

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        """Through the service, which drops caches and tells the other apps."""
        changes = {name: getattr(obj, name) for name in form.changed_data if name in EDITABLE}
        services.update_profile(obj.pk, changes)

    @admin.action(description="Suspend", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        changed = sum(services.suspend(user_id) for user_id in _ids(queryset))
        self.message_user(request, f"{changed} suspended.")

    @admin.action(description="End the suspension", permissions=["change"])
    def reinstate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        changed = sum(services.reinstate(user_id) for user_id in _ids(queryset))
        self.message_user(request, f"{changed} have their access back.")


def _ids(queryset: QuerySet[Any]) -> list[int]:
    return list(queryset.values_list("pk", flat=True))
