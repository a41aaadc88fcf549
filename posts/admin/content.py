"""Posts and comments in the admin, reported or not, with the same detail page as a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from instafeed.core.admin.display import object_link
from instafeed.core.admin.filters import FlagFilter
from instafeed.core.admin.search import SEARCH_HELP_TEXT, search_by_id_or_username
from posts.admin.actions import CONTENT_ACTIONS
from posts.admin.target_admin import TargetAdmin
from posts.models import Case, Comment, Post, TargetType
from posts.moderation.targets import TargetSnapshot, load_snapshots
from posts.services import Target


class HiddenFilter(FlagFilter):
    title = parameter_name = "hidden"
    choice, condition = "hidden", Q(hidden_at__isnull=False)


class ContentAdmin(TargetAdmin):
    target_type: TargetType
    admin_actions = CONTENT_ACTIONS
    list_display: tuple[str, ...] = ("preview", "author_link", "created", "case")
    list_filter = (HiddenFilter,)
    linked_by = ("author",)
    search_fields = ("pk",)  # shows the search box; get_search_results does the search
    search_help_text = SEARCH_HELP_TEXT

    def get_unfit_bulk_actions(self, request: HttpRequest) -> tuple[str, ...]:
        is_hidden = request.GET.get(HiddenFilter.parameter_name) == "1"
        return ("hide", "hide_and_warn") if is_hidden else ("restore", "lift")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return search_by_id_or_username(queryset, search_term, "author_id"), False

    def get_subjects(self, request: HttpRequest, rows: Sequence[Any]) -> Mapping[int, TargetSnapshot]:
        targets = {row.pk: Target(self.target_type, row.pk, row.author_id) for row in rows}
        snapshots = load_snapshots(targets.values())
        reported = Case.objects.filter(target_type=self.target_type, target_id__in=targets)
        cases = {case.target_id: case for case in reported}
        return {pk: replace(snapshots[target], case=cases.get(pk)) for pk, target in targets.items()}

    @admin.display(description="created (UTC)")
    def created(self, row: Any) -> str:
        return f"{row.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description="case")
    def case(self, row: Any) -> SafeString | str:
        case = cast(TargetSnapshot, row.snapshot).case
        return object_link(Case, case.pk, f"{case.report_count} ({case.get_state_display()})") if case else "–"


@admin.register(Post)
class PostAdmin(ContentAdmin):
    target_type = TargetType.POST
    list_title = "Posts"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Post]:
        return super().get_queryset(request).filter(deleted_at=None)


@admin.register(Comment)
class CommentAdmin(ContentAdmin):
    target_type = TargetType.COMMENT
    list_title = "Comments"
    list_display = ("preview", "author_link", "post_link", "created", "case")

    @admin.display(description="post")
    def post_link(self, comment: Comment) -> SafeString | str:
        return object_link(Post, comment.post_id)
