"""What the pages of cases, posts and comments share: rows that are looked at through a sight, and one page for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.action_admin import ActionModelAdmin
from accounts.admin.users import render_state_badges
from accounts.models import User
from instafeed.core.admin.display import object_link, state_badge
from instafeed.core.admin.urls import changelist_url
from posts.moderation.case_detail import load_case_detail
from posts.moderation.targets import TargetSnapshot


class TargetAdmin(ActionModelAdmin):
    """Lists show `row.sight`, which `get_subjects` has made."""

    def get_subjects(self, request: HttpRequest, rows: Sequence[Any]) -> Mapping[int, TargetSnapshot]:
        raise NotImplementedError

    def get_target(self, subject: Any) -> tuple[str, int]:
        target = cast(TargetSnapshot, subject).target
        return str(target.type), target.id

    def get_affected_user_id(self, subject: Any) -> int:
        return cast(TargetSnapshot, subject).target.user_id

    def preload_rows(self, request: HttpRequest, rows: list[Any]) -> list[Any]:
        seen = self.get_subjects(request, rows)
        for row in rows:
            row.sight = seen[row.pk]
        return rows

    @admin.display(description="what")
    def what(self, row: Any) -> SafeString:
        return SafeString(render_to_string("posts/admin/glimpse.html", {"sight": row.sight}))

    @admin.display(description="author")
    def author_shown(self, row: Any) -> SafeString | str:
        return render_author(row.sight.author)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The row's own page, with all that a moderator needs to decide."""
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            self.message_user(request, "This does not exist any more.", "warning")
            return HttpResponseRedirect(changelist_url(self.model))
        sight = self.get_subjects(request, [row])[row.pk]
        context = {
            **self.admin_site.each_context(request),
            "title": str(sight),
            "opts": self.opts,
            "media": self.media,
            "row": row,
            "sight": sight,
            "dossier": load_case_detail(sight),
            "author": render_author(sight.author),
            "author_badges": render_state_badges(sight.author) if sight.author else "",
            "bound_actions": self.get_bound_actions(request, row, sight),
            "action_route": f"admin:{self._action_route()}",
            "may_view_reports": request.user.has_perm("posts.view_report"),
            "may_view_entries": request.user.has_perm("accounts.view_auditentry"),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "posts/admin/sight.html", context)


def render_author(author: User | None) -> SafeString | str:
    if author is None:
        return "erased"
    name = object_link(User, author.pk, f"@{author.username}")
    return name if author.suspended_at is None else format_html("{} {}", name, state_badge("suspended", "bad"))
