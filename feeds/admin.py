"""Fan-outs in the admin: a read-only list of the outbox, and the action "Resume"."""

from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.models import User
from feeds import admin_actions
from feeds.models import DeliveryMode, FanOut
from instafeed.core.admin import display, search
from instafeed.core.admin.buttons import ActionButtonsAdmin
from instafeed.core.admin.filters import ChoiceFilter
from instafeed.core.jobs.leased import JobState
from posts.models import Post

_STATE_STYLES = {JobState.PENDING: "busy", JobState.RUNNING: "busy", JobState.DONE: "good", JobState.DEAD: "bad"}


class StateFilter(ChoiceFilter):
    """Filter by state. Partial indexes cover open and dead rows; nearly all other rows are done."""

    title = parameter_name = "state"
    values = (("open", "pending or running"), ("dead", "dead letter"), ("done", "done"))

    def condition_for(self, value: str) -> Q:
        if value == "open":
            return Q(state__in=[JobState.PENDING, JobState.RUNNING])
        return Q(state=JobState[value.upper()])


@admin.register(FanOut)
class FanOutAdmin(ActionButtonsAdmin):
    list_display = ("post_id", "author_link", "mode", "state_label", "progress", "lag", "failures")
    list_filter = (StateFilter,)
    search_fields = ("post_id",)
    search_help_text = "A post's id, or an author's full username."
    fields = (
        *("post_link", "author_link", "mode", "state_label", "progress", "lag", "attempts"),
        *("created_at", "due_at", "finished_at", "error"),
    )
    readonly_fields = fields
    actions = ("resume",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[FanOut]:
        return super().get_queryset(request).select_related("author")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[FanOut], search_term: str
    ) -> tuple[QuerySet[FanOut], bool]:
        return search.search_by_id_or_username(queryset, search_term, "author_id"), False

    def has_resume_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("feeds.resume_fanout")

    @admin.action(description="Resume", permissions=["resume"])
    def resume(self, request: HttpRequest, queryset: QuerySet[FanOut]) -> None:
        post_ids = list(queryset.values_list("pk", flat=True))
        result = admin_actions.resume_fan_outs(post_ids, cast(User, request.user))
        parts = [f"Dead letters requeued: {result.requeued}", f"waiting fan-outs resumed: {result.waiting}"]
        if result.skipped:
            parts.append(f"skipped because done or running: {result.skipped}")
        self.message_user(request, "; ".join(parts) + ".")

    @admin.display(description="post")
    def post_link(self, fan_out: FanOut) -> str:
        return display.object_link(Post, fan_out.pk)

    @admin.display(description="author")
    def author_link(self, fan_out: FanOut) -> str:
        return display.object_link(User, fan_out.author_id, fan_out.author.username)

    @admin.display(description="state")
    def state_label(self, fan_out: FanOut) -> SafeString:
        return display.state_badge(JobState(fan_out.state).label, _STATE_STYLES[JobState(fan_out.state)])

    @admin.display(description="progress")
    def progress(self, fan_out: FanOut) -> str:
        """Return how far the delivery has come. The checkpoint is a follower's id, so how many are left is unknown."""
        if fan_out.mode == DeliveryMode.PULL:
            return "nothing to deliver: followers pull it"
        delivered = f"{fan_out.deliveries:,} warm feeds of {fan_out.author.follower_count:,} followers"
        if fan_out.state == JobState.DONE or not fan_out.last_follower_id:
            return delivered
        return f"{delivered}; done up to user {fan_out.last_follower_id}"

    @admin.display(description="lag")
    def lag(self, fan_out: FanOut) -> str:
        if fan_out.finished_at is not None:
            return display.format_duration(fan_out.finished_at - fan_out.created_at)
        return f"{display.format_duration(timezone.now() - fan_out.created_at)} so far"

    @admin.display(description="failures")
    def failures(self, fan_out: FanOut) -> str:
        """Return how many attempts in a row failed, and the last error."""
        if not fan_out.attempts:
            return "–"
        return Truncator(f"{fan_out.attempts} × {fan_out.error or 'worker died'}").chars(120)
