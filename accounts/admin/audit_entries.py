"""The audit log in the admin: read-only and newest first, with an export."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import chain
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts import audit
from accounts.admin import audit_export
from accounts.audit_targets import TARGET_MODELS, target_link, with_user_names
from accounts.models import AuditEntry, User
from instafeed.core.admin.base import BaseModelAdmin, BoundedChangeList
from instafeed.core.admin.display import object_link
from instafeed.core.admin.filters import ChoiceFilter, DateRangeFilter, is_date
from instafeed.core.admin.urls import changelist_url, url_name
from instafeed.core.db.snowflake import parse_id

ACTIONS = (
    *("dismiss", "hide", "restore", "delete", "warn", "suspend", "close", "escalate", "lift"),
    *("end_sessions", "pin", "unpin"),
    *("edit_user", "add_group", "change_group", "delete_group", "add_policy", "change_policy", "resume", "reprocess"),
    *("start_job", "cancel_job", "end_job"),
    *("approve", "reject", "create_invite", "revoke_invite"),
    *("block_domain", "unblock_domain", "block_network", "unblock_network"),
    *("create_admin", "reset_password", "remove_otp", "confirm_email"),
    "export",
)


class ActionFilter(ChoiceFilter):
    title = parameter_name = "action"
    values = tuple((action, action.replace("_", " ")) for action in ACTIONS)

    def condition_for(self, value: str) -> Q:
        return Q(action=value)


class NamedChangeList(BoundedChangeList):
    """Reads the names that a page of entries shows with the entries. The export and the count do without them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = with_user_names(self.result_list)


@admin.register(AuditEntry)
class AuditEntryAdmin(BaseModelAdmin):
    change_list_template = "accounts/admin/audit_log.html"
    list_display = ("at", "actor", "what", "target", "affected_user", "policy", "reason", "changes")
    list_filter = (DateRangeFilter, ActionFilter)
    linked_by = ("user_id", "actor_id", "policy_id")
    search_fields = ("actor_name",)  # shows the search box; get_search_results runs the search
    search_help_text = "The full username of a member of staff, or the id of a post, a comment or a user."
    fields = readonly_fields = list_display

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        return [path("export/", export, name=url_name(self.model, "export")), *super().get_urls()]

    # --- The list --------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NamedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "title": "Staff actions",
            "query_string": request.GET.urlencode(),
            "max_exported_entries": f"{audit_export.MAX_EXPORTED_ENTRIES:,}",
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> AuditEntry | None:
        entry = super().get_object(request, object_id, from_field)
        return with_user_names(AuditEntry.objects.filter(pk=entry.pk)).first() if entry else None

    @admin.display(description="when (UTC)")
    def at(self, entry: AuditEntry) -> str:
        return f"{entry.created_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="by")
    def actor(self, entry: AuditEntry) -> SafeString | str:
        # Management commands have the id 0.
        return object_link(User, entry.actor_id, entry.actor_name) if entry.actor_id else entry.actor_name

    @admin.display(description="action")
    def what(self, entry: AuditEntry) -> str:
        return entry.action.replace("_", " ")

    @admin.display(description="target")
    def target(self, entry: AuditEntry) -> SafeString | str:
        return target_link(entry)

    @admin.display(description="affected user")
    def affected_user(self, entry: AuditEntry) -> SafeString | str:
        if not entry.user_id:
            return "–"
        return object_link(User, entry.user_id, cast(Any, entry).user_name or f"user {entry.user_id}")

    @admin.display(description="policy")
    def policy(self, entry: AuditEntry) -> str:
        return entry.policy_name or "–"

    @admin.display(description="changes")
    def changes(self, entry: AuditEntry) -> str:
        names = dict.fromkeys([*entry.before, *entry.after])
        changes = ((name, _format_state(entry.before, name), _format_state(entry.after, name)) for name in names)
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
        actor_id = _find_actor_id(term)
        return queryset.none() if actor_id is None else queryset.filter(actor_id=actor_id), False

    # --- The export ------------------------------------------------------------------------------------

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Send the entries that the list's filters find, as a CSV file. The export is an audit entry itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method != "POST":  # for example after signing in again
            return HttpResponseRedirect(changelist_url(self.model))
        try:
            found = self.get_changelist_instance(request)
        except IncorrectLookupParameters:  # Django's list goes there too
            return HttpResponseRedirect(f"{changelist_url(self.model)}?{ERROR_FLAG}=1")
        filters = _describe_filters(request, found.query)
        audit.record(cast(User, request.user), "export", "audit_log", 0, user_id=None, after=filters)
        pieces = audit_export.stream_csv(found.queryset)
        # Create the header and the first batch now: if the database fails, the response is a 503, not a short file.
        body = chain([next(pieces), next(pieces)], pieces)
        response = StreamingHttpResponse(body, content_type="text/csv; charset=utf-8")
        name = f"audit-log-{timezone.now():%Y-%m-%d-%H%M}.csv"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


def _format_state(state: Mapping[str, Any], name: str) -> str:
    """Return a value of `before` or `after`: yes or no, a time without its fractions, or as it is."""
    value = state.get(name)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _format_time(value) if isinstance(value, str) else str(value)


def _format_time(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}" if "T" in text else text
    except ValueError:
        return text


def _find_actor_id(username: str) -> int | None:
    return User.objects.filter(username=username).values_list("pk", flat=True).first()


def _describe_filters(request: HttpRequest, search: str) -> dict[str, Any]:
    """Return the filters of an export for its audit entry: with ids, never with a text that was typed.

    `search` is the valid term of the search, or "".
    """
    given = request.GET
    days = {name: given.get(name, "") for name in DateRangeFilter.parameter_names}
    found: dict[str, Any] = {name: day for name, day in days.items() if day and is_date(day)}
    if given.get("action") in ACTIONS:
        found["action"] = given["action"]
    found |= {name: id_ for name in AuditEntryAdmin.linked_by if (id_ := parse_id(given.get(name, "")))}
    if term := search.strip().lower():
        id_ = parse_id(term)
        found |= {"id": id_} if id_ else {"actor_id": _find_actor_id(term)}
    return found
