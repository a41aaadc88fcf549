"""The moderators' queue of reported targets, the most severe first, and the page of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from accounts.admin.action_model_admin import NEXT_FIELD, ActionResult
from accounts.models import Reason, Severity, User
from accounts.templatetags.moderation import moment
from instafeed.core.admin.display import format_age, state_badge
from instafeed.core.admin.filters import ChoiceFilter, FlagFilter
from instafeed.core.admin.urls import url_name
from instafeed.core.db.snowflake import parse_id
from posts.admin.actions import CASE_ACTIONS
from posts.admin.case_list import CaseList
from posts.admin.target_admin import TargetAdmin
from posts.models import Case, CaseState, TargetType
from posts.moderation import claims
from posts.moderation.targets import TargetSnapshot, describe_reasons, load_snapshots_for_cases

CLOSED_CASES_WINDOW = timedelta(days=90)
_STATE_STYLES = {CaseState.OPEN: "busy", CaseState.DISMISSED: "good", CaseState.ACTED: "bad"}
_SEVERITY_STYLES = {Severity.LOW: "good", Severity.MEDIUM: "busy", Severity.HIGH: "bad", Severity.CRITICAL: "bad"}
_CLAIM_PERMISSION = "posts.moderate_post"


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
        return Q(reason_counts__has_key=value)


class SeverityFilter(ChoiceFilter):
    title = parameter_name = "severity"
    values = tuple((str(value), label) for value, label in reversed(Severity.choices))

    def condition_for(self, value: str) -> Q:
        return Q(severity=int(value))


class ClaimedFilter(FlagFilter):
    title = parameter_name = "claimed"
    choice = "by me"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        mine = Q(claimed_by_id=request.user.pk, claimed_until__gt=timezone.now())
        return queryset.filter(mine) if self.value() == "1" else queryset


class SecondOpinionFilter(FlagFilter):
    title, parameter_name = "second opinion", "escalated"
    choice, condition = "asked for", Q(escalated_at__isnull=False)


def _is_targeted_lookup(request: HttpRequest) -> bool:
    return bool(request.GET.get(SEARCH_VAR, "").strip() or request.GET.get("user_id"))


def _is_closed_list(request: HttpRequest) -> bool:
    closed = {str(state.value) for state in CaseState if state != CaseState.OPEN}
    return request.GET.get(StateFilter.parameter_name) in closed


@admin.register(Case)
class CaseAdmin(TargetAdmin):
    admin_actions = CASE_ACTIONS
    list_title = "Reported content and accounts"
    list_display = (
        "preview",
        "author_link",
        "severity_label",
        "reason_list",
        "age",
        "last_report",
        "claim",
        "state_label",
    )
    list_filter = (StateFilter, SeverityFilter, ClaimedFilter, SecondOpinionFilter, TypeFilter, ReasonFilter)
    linked_by = ("user_id",)
    search_fields = ("target_id",)  # shows the search box; get_search_results does the search
    search_help_text = "The exact username of an author, or the id of a post, comment or user."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Case]:
        names = {
            name: Subquery(User.objects.filter(pk=OuterRef(f"{name}_id")).values("username"))
            for name in ("closed_by", "claimed_by", "escalated_by")
        }
        return super().get_queryset(request).annotate(**names)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Order by index: open cases by severity and waiting time, closed cases by closing time."""
        if _is_targeted_lookup(request):
            return ("-pk",)
        return ("-closed_at", "-pk") if _is_closed_list(request) else ("-severity", "opened_at", "pk")

    def get_unfit_bulk_actions(self, request: HttpRequest) -> tuple[str, ...]:
        if _is_targeted_lookup(request):
            return ()
        return ("dismiss",) if _is_closed_list(request) else ("restore", "lift")

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

    def get_urls(self) -> list[URLPattern]:
        own = {"next": self.next_view, "claim": self.claim_view}
        urls = [
            path(f"{name}/", self.admin_site.admin_view(view), name=url_name(Case, name)) for name, view in own.items()
        ]
        return [*urls, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        start = f"{reverse('admin:posts_case_next')}?{self.get_preserved_filters(request)}"
        may_start = request.user.has_perm(_CLAIM_PERMISSION)
        return super().changelist_view(request, {"start_url": start if may_start else "", **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a case, and claim it if it is free."""
        case_id = parse_id(object_id)
        if case_id and request.method == "GET" and not _is_prefetch(request) and _may_claim(request):
            may_decide = _may_decide_escalated(request)
            claims.claim(case_id, cast(int, request.user.pk), may_decide_escalated=may_decide)
        return super().change_view(request, object_id, form_url, extra_context)

    def get_page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        case, moderator = cast(Case, row), cast(int, request.user.pk)
        filters = self.get_preserved_filters(request)
        next_url = f"{reverse('admin:posts_case_next')}?{filters}{'&' if filters else ''}"
        is_claimed = case.state == CaseState.OPEN and _is_claimed(case)
        return {
            "position": self.get_case_list(request).locate(case, moderator),
            "next_url": f"{next_url}after={case.pk}",
            "previous_url": f"{next_url}before={case.pk}",
            "moves_on": True,
            "severity": case.get_severity_display(),
            "severity_style": _SEVERITY_STYLES[Severity(case.severity)],
            "is_claimed": is_claimed,
            "is_claimed_by_me": is_claimed and case.claimed_by_id == moderator,
            "claim_url": reverse("admin:posts_case_claim") if _may_claim(request) else "",
        }

    def get_case_list(self, request: HttpRequest) -> CaseList:
        may_decide = _may_decide_escalated(request)
        return CaseList(self, request, self.get_list_query(request), may_decide_escalated=may_decide)

    # --- The next case and claims --------------------------------------------------------------------

    def next_view(self, request: HttpRequest) -> HttpResponseBase:
        """Redirect to a case of the list that no other moderator has and this one may decide, and claim it.

        `after` and `before` are ids of cases: take the next one in this direction. Without them take the first.
        """
        if not _may_claim(request):
            raise PermissionDenied
        return require_safe(self._redirect_to_next)(request)

    def _redirect_to_next(self, request: HttpRequest) -> HttpResponse:
        if _is_prefetch(request):
            return HttpResponse(status=503)  # browsers ask again when the moderator clicks
        is_backwards = "before" in request.GET
        current_id = parse_id(request.GET.get("before" if is_backwards else "after", ""))
        current = self.model.objects.filter(pk=current_id).first() if current_id else None
        cases = self.get_case_list(request)
        queue = cases.all()
        if current is not None:
            queue = cases.before(current) if is_backwards else cases.after(current)
        found = claims.claim_first([cases.decidable(queue)], cast(int, request.user.pk))
        if found is not None:
            return HttpResponseRedirect(self.get_row_url(request, found.pk))
        self.message_user(request, "No other case that a colleague does not have open.", messages.WARNING)
        return HttpResponseRedirect(self.get_row_url(request, current.pk) if current else self.get_list_url(request))

    def claim_view(self, request: HttpRequest) -> HttpResponseBase:
        """Renew the claim of the case `pk`, or release it if its page, which claimed it until `release`, is left."""
        if not _may_claim(request):
            raise PermissionDenied
        return require_POST(self._change_claim)(request)

    def _change_claim(self, request: HttpRequest) -> HttpResponse:
        case_id, moderator = parse_id(request.POST.get("pk", "")) or 0, cast(int, request.user.pk)
        if "release" in request.POST:
            until = _parse_time(request.POST["release"])
            return JsonResponse({"released": bool(until and claims.release(case_id, moderator, until))})
        end = claims.renew(case_id, moderator, may_decide_escalated=_may_decide_escalated(request))
        return JsonResponse({"until": end.isoformat() if end else None})

    def get_return_url(self, request: HttpRequest, ids: Sequence[int], result: ActionResult) -> str:
        """Go on to the next case if the moderator asked for it, and the action was not refused."""
        if NEXT_FIELD not in request.POST or result.refusals or len(ids) != 1:
            return super().get_return_url(request, ids, result)
        decided = self.model.objects.filter(pk=ids[0]).first()
        cases = self.get_case_list(request)
        queues = [cases.after(decided), cases.all().exclude(pk=decided.pk)] if decided else [cases.all()]
        found = claims.claim_first(list(map(cases.decidable, queues)), cast(int, request.user.pk))
        if found is not None:
            return self.get_row_url(request, found.pk)
        self.message_user(request, "That was the last case of the list that no colleague has open.")
        return self.get_list_url(request)

    # --- Columns -------------------------------------------------------------------------------------

    @admin.display(description="severity")
    def severity_label(self, case: Case) -> SafeString:
        return state_badge(case.get_severity_display(), _SEVERITY_STYLES[Severity(case.severity)])

    @admin.display(description="reports")
    def reason_list(self, case: Case) -> str:
        return describe_reasons(case)

    @admin.display(description="age")
    def age(self, case: Case) -> SafeString:
        """How long the case has been open, or was until it was closed."""
        end = case.closed_at or timezone.now()
        opened = f"{case.opened_at:%Y-%m-%d %H:%M} UTC"
        return format_html('<time title="{}">{}</time>', opened, format_age(end - case.opened_at))

    @admin.display(description="last report")
    def last_report(self, case: Case) -> SafeString:
        return moment(case.last_reported_at)

    @admin.display(description="claimed by", empty_value="")
    def claim(self, case: Case) -> SafeString | None:
        if case.state != CaseState.OPEN or not _is_claimed(case):
            return None
        until = f"{case.claimed_until:%H:%M} UTC"
        return format_html('@{} <span class="help">until {}</span>', cast(Any, case).claimed_by or "a colleague", until)

    @admin.display(description="state")
    def state_label(self, case: Case) -> SafeString:
        badge = state_badge(case.get_state_display(), _STATE_STYLES[CaseState(case.state)])
        if case.escalated_at is None:
            return badge
        return format_html("{} {}", badge, state_badge("second opinion", "busy"))


def _is_claimed(case: Case) -> bool:
    return case.claimed_by_id is not None and case.claimed_until is not None and case.claimed_until > timezone.now()


def _may_claim(request: HttpRequest) -> bool:
    return request.user.has_perm(_CLAIM_PERMISSION) and request.user.has_perm("posts.view_case")


def _may_decide_escalated(request: HttpRequest) -> bool:
    return request.user.has_perm("posts.decide_escalated_case")


def _is_prefetch(request: HttpRequest) -> bool:
    """Return whether the browser loads the page in advance, and the moderator may never see it."""
    return "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", ""))


def _parse_time(text: str) -> datetime | None:
    try:
        found = parse_datetime(text)
        # In UTC: PostgreSQL refuses some of the offsets that Python knows.
        return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
