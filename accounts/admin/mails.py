"""The outbox of mails in the admin: a read-only list. It shows neither texts nor tokens."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.models import OutgoingMail, User
from instafeed.core.admin import search
from instafeed.core.admin.base import BaseModelAdmin
from instafeed.core.admin.display import object_link, state_badge
from instafeed.core.admin.filters import ChoiceFilter
from instafeed.core.jobs.leased import JobState

_STATE_STYLES = {JobState.PENDING: "busy", JobState.RUNNING: "busy", JobState.DONE: "good", JobState.DEAD: "bad"}


class StateFilter(ChoiceFilter):
    """Filter by state. The table has only mails that were not sent yet, or given up in the last days."""

    title = parameter_name = "state"
    values = (("open", "pending or running"), ("dead", "given up"))

    def condition_for(self, value: str) -> Q:
        return Q(state=JobState.DEAD) if value == "dead" else Q(state__in=[JobState.PENDING, JobState.RUNNING])


@admin.register(OutgoingMail)
class OutgoingMailAdmin(BaseModelAdmin):
    list_display = ("pk", "kind", "address", "user_link", "state_label", "attempts", "due_at", "error")
    list_filter = (StateFilter,)
    search_fields = ("pk",)
    search_help_text = search.SEARCH_HELP_TEXT
    fields = readonly_fields = (
        *("kind", "address", "user_link", "state_label", "attempts", "uncertain", "created_at", "due_at", "error"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutgoingMail]:
        return super().get_queryset(request).select_related("user")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OutgoingMail], search_term: str
    ) -> tuple[QuerySet[OutgoingMail], bool]:
        return search.search_by_id_or_username(queryset, search_term, "user_id"), False

    @admin.display(description="user")
    def user_link(self, mail: OutgoingMail) -> str:
        return "–" if mail.user is None else object_link(User, mail.user.pk, mail.user.username)

    @admin.display(description="state")
    def state_label(self, mail: OutgoingMail) -> SafeString:
        state = JobState(mail.state)
        return state_badge("given up" if state is JobState.DEAD else state.label, _STATE_STYLES[state])
