"""The moderators' queue of reported targets, the most reported first, and the page of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from accounts.models import User
from instafeed.core.admin.display import format_duration, state_badge
from instafeed.core.admin.filters import ChoiceFilter
from instafeed.core.db.snowflake import parse_id
from posts.admin.actions import DELETE, DISMISS, HIDE, LIFT, RESTORE, SUSPEND, WARN
from posts.admin.target_admin import TargetAdmin
from posts.models import Case, CaseState, Reason, TargetType
from posts.moderation.case_detail import get_next_open_case
from posts.moderation.targets import TargetSnapshot, load_snapshots_for_cases

CLOSED_CASES_WINDOW = timedelta(days=90)
_STATE_STYLES = {CaseState.OPEN: "busy", CaseState.DISMISSED: "good", CaseState.ACTED: "bad"}


class StateFilter(SimpleListFilter):
    """Filters by state. The default is open, or any state when the list shows the cases of one user or target."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        self.default = "" if _is_targeted_lookup(request) else str(CaseState.OPEN.value)
        return [(str(value), label) for value, label in CaseState.choices]

    def choices(self, changelist: ChangeList) -> Any:
        every, *states = super().choices(changelist)
        if self.default:
            states[0]["selected"] = self.value() in (None, self.default)
            return iter(states)
        return iter([every, *states])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        wanted = self.value() or ""
        if wanted not in {str(value) for value in CaseState.values}:
            wanted = self.default
        if not wanted:
            return queryset
        found = queryset.filter(state=int(wanted))
        if self.default and int(wanted) != CaseState.OPEN:
            found = found.filter(closed_at__gte=timezone.now() - CLOSED_CASES_WINDOW)
        return found


class TypeFilter(ChoiceFilter):
    title = parameter_name = "type"
    values = TargetType.choices

    def condition_for(self, value: str) -> Q:
        return Q(target_type=value)


class ReasonFilter(ChoiceFilter):
    title = parameter_name = "reason"
    values = Reason.choices

    def condition_for(self, value: str) -> Q:
        return Q(reasons__contains=[value])


def _is_targeted_lookup(request: HttpRequest) -> bool:
    return bool(request.GET.get(SEARCH_VAR, "").strip() or request.GET.get("user_id"))


@admin.register(Case)
class CaseAdmin(TargetAdmin):
    admin_actions = (DISMISS, HIDE, RESTORE, DELETE, WARN, SUSPEND, LIFT)
    list_title = "Reported content and accounts"
    list_display = ("preview", "author_link", "reports", "reason_list", "first_report", "last_report", "state_label")
    list_filter = (StateFilter, TypeFilter, ReasonFilter)
    linked_by = ("user_id",)
    search_fields = ("target_id",)  # shows the search box; get_search_results does the search
    search_help_text = "The exact username of an author, or the id of a post, comment or user."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Case]:
        moderator = User.objects.filter(pk=OuterRef("closed_by_id")).values("username")
        return super().get_queryset(request).annotate(closed_by=Subquery(moderator))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Order by index: open cases by report count, closed cases by closing time."""
        if _is_targeted_lookup(request):
            return ("-pk",)
        closed = {str(state.value) for state in CaseState if state != CaseState.OPEN}
        is_closed = request.GET.get(StateFilter.parameter_name) in closed
        return ("-closed_at", "-pk") if is_closed else ("-report_count", "pk")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Case], search_term: str
    ) -> tuple[QuerySet[Case], bool]:
        term = search_term.strip().lower().removeprefix("@")
        if not term:
            return queryset, False
        author = User.objects.filter(username=term).values_list("pk", flat=True).first()
        if author is None and (id_ := parse_id(term)) is not None:
            return queryset.filter(target_type__in=TargetType.values, target_id=id_), False
        return queryset.filter(user_id=author or 0), False  # no account has the id 0

    def get_subjects(self, request: HttpRequest, rows: Sequence[Any]) -> Mapping[int, TargetSnapshot]:
        return load_snapshots_for_cases(rows)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        case = parse_id(object_id)
        return super().change_view(
            request, object_id, form_url, {"next_case": get_next_open_case(case) if case else None}
        )

    def reports(self, case: Case) -> int:
        return case.report_count

    @admin.display(description="reasons")
    def reason_list(self, case: Case) -> str:
        return ", ".join(case.reasons)

    @admin.display(description="first report")
    def first_report(self, case: Case) -> str:
        return _format_age(case.first_reported_at)

    @admin.display(description="last report")
    def last_report(self, case: Case) -> str:
        return _format_age(case.last_reported_at)

    @admin.display(description="state")
    def state_label(self, case: Case) -> SafeString:
        return state_badge(case.get_state_display(), _STATE_STYLES[CaseState(case.state)])


def _format_age(moment: datetime) -> str:
    """Return how long ago that was, such as "3 days ago"."""
    return f"{format_duration(timezone.now() - moment)} ago"
