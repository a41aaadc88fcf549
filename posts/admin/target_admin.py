"""The base of the case, post and comment admins: list columns and one detail page, both built from a TargetSnapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.action_model_admin import ActionModelAdmin
from accounts.admin.users import render_state_badges
from accounts.models import User
from instafeed.core.admin.display import object_link, state_badge
from posts.admin.actions import NOTE
from posts.moderation.case_detail import load_case_detail
from posts.moderation.targets import TargetSnapshot


class TargetAdmin(ActionModelAdmin):
    """Adds the target's snapshot to each row of a list, as `row.snapshot`. Subclasses load it in `get_subjects`."""

    def get_subjects(self, request: HttpRequest, rows: Sequence[Any]) -> Mapping[int, TargetSnapshot]:
        raise NotImplementedError

    def get_page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what else the template of a row's page needs."""
        return {}

    def get_target(self, subject: Any) -> tuple[str, int]:
        target = cast(TargetSnapshot, subject).target
        return str(target.type), target.id

    def get_affected_user_id(self, subject: Any) -> int:
        return cast(TargetSnapshot, subject).target.user_id

    def preload_rows(self, request: HttpRequest, rows: list[Any]) -> list[Any]:
        snapshots = self.get_subjects(request, rows)
        for row in rows:
            row.snapshot = snapshots[row.pk]
        return rows

    @admin.display(description="target")
    def preview(self, row: Any) -> SafeString:
        return SafeString(render_to_string("posts/admin/target_preview.html", {"snapshot": row.snapshot}))

    @admin.display(description="author")
    def author_link(self, row: Any) -> SafeString | str:
        return render_author(row.snapshot.author)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The detail page of a row, with everything that a moderator needs to decide."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            self.message_user(request, "This does not exist any more.", "warning")
            return HttpResponseRedirect(self.get_list_url(request))
        snapshot = self.get_subjects(request, [row])[row.pk]
        detail = load_case_detail(snapshot)
        snapshot = replace(snapshot, history=detail.history)
        context = {
            **self.admin_site.each_context(request),
            "title": str(snapshot),
            "opts": self.opts,
            "media": self.media,
            "row": row,
            "snapshot": snapshot,
            "detail": detail,
            "author": render_author(snapshot.author),
            "author_badges": render_state_badges(snapshot.author) if snapshot.author else "",
            "bound_actions": self.get_bound_actions(request, row, snapshot),
            "action_route": f"admin:{self._action_route()}",
            "may_view_reports": request.user.has_perm("posts.view_report"),
            "may_view_notes": request.user.has_perm(NOTE.permission),
            "may_view_entries": request.user.has_perm("accounts.view_auditentry"),
            "list_url": self.get_list_url(request),
            "preserved_filters": self.get_preserved_filters(request),
            **self.get_page_context(request, row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "posts/admin/target.html", context)


def render_author(author: User | None) -> SafeString | str:
    if author is None:
        return "erased"
    name = object_link(User, author.pk, f"@{author.username}")
    return name if author.suspended_at is None else format_html("{} {}", name, state_badge("suspended", "bad"))
