"""The audit log in the admin: read-only and newest first."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join

from accounts.models import AuditEntry, User
from instafeed.core.admin.base import BaseModelAdmin
from instafeed.core.admin.display import object_link
from instafeed.core.admin.filters import ChoiceFilter
from instafeed.core.db.snowflake import parse_id

ACTIONS = (
    *("dismiss", "hide", "restore", "delete", "warn", "suspend", "close", "lift", "end_sessions", "pin", "unpin"),
    *("edit_user", "add_group", "change_group", "delete_group", "resume", "reprocess"),
    *("start_job", "cancel_job", "end_job"),
    *("approve", "reject", "create_invite", "revoke_invite"),
    *("block_domain", "unblock_domain", "block_network", "unblock_network"),
)
# The models of target types, by name: most belong to apps above this one.
TARGET_MODELS = {
    "user": "accounts.User",
    "post": "posts.Post",
    "comment": "posts.Comment",
    "media": "media.Media",
    "fan_out": "feeds.FanOut",
    "group": "auth.Group",
    "operator_job": "backoffice.OperatorJob",
    "invite": "accounts.Invite",
    "email_domain": "accounts.BlockedEmailDomain",
    "network": "accounts.BlockedNetwork",
}


class ActionFilter(ChoiceFilter):
    title = parameter_name = "action"
    values = tuple((action, action.replace("_", " ")) for action in ACTIONS)

    def condition_for(self, value: str) -> Q:
        return Q(action=value)


@admin.register(AuditEntry)
class AuditEntryAdmin(BaseModelAdmin):
    list_display = ("at", "actor", "what", "target", "affected_user", "reason", "changes")
    list_filter = (ActionFilter,)
    linked_by = ("user_id", "actor_id")
    search_fields = ("actor_name",)  # shows the search box; get_search_results runs the search
    search_help_text = "The full username of a member of staff, or the id of a post, a comment or a user."
    fields = readonly_fields = ("at", "actor", "what", "target", "affected_user", "reason", "changes")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Staff actions", **(extra_context or {})})

    @admin.display(description="when (UTC)")
    def at(self, entry: AuditEntry) -> str:
        return f"{entry.created_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="by")
    def actor(self, entry: AuditEntry) -> str:
        return object_link(User, entry.actor_id, entry.actor_name)

    @admin.display(description="action")
    def what(self, entry: AuditEntry) -> str:
        return entry.action.replace("_", " ")

    @admin.display(description="target")
    def target(self, entry: AuditEntry) -> str:
        text = f"{entry.target_type} {entry.target_id}"
        label = TARGET_MODELS.get(entry.target_type)
        return object_link(apps.get_model(label), entry.target_id, text) if label else text

    @admin.display(description="affected user")
    def affected_user(self, entry: AuditEntry) -> str:
        return object_link(User, entry.user_id, f"user {entry.user_id}") if entry.user_id else "–"

    @admin.display(description="changes")
    def changes(self, entry: AuditEntry) -> str:
        names = dict.fromkeys([*entry.before, *entry.after])
        changes = ((name, _format_value(entry.before, name), _format_value(entry.after, name)) for name in names)
        return format_html_join(", ", "{}: {} → {}", changes)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Search only by indexed columns. A name finds the entries of the user who has it now."""
        term = search_term.strip().lower()
        if not term:
            return queryset, False
        if (id_ := parse_id(term)) is not None:
            of_target = Q(target_type__in=TARGET_MODELS, target_id=id_)
            return queryset.filter(of_target | Q(user_id=id_)), False
        actors = list(User.objects.filter(username=term).values_list("pk", flat=True))
        return queryset.filter(actor_id__in=actors), False


def _format_value(state: dict[str, Any], name: str) -> str:
    value = state.get(name)
    if value is None:
        return "–"
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"
