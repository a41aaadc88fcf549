"""Pictures in the admin: their state, and the action to reprocess them."""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import User
from instafeed.core.admin import display, search
from instafeed.core.admin.buttons import ActionButtonsAdmin
from instafeed.core.admin.filters import ChoiceFilter
from media import reprocessing, storage, variants
from media.models import Media, ProcessingJob, Status

_STATUS_STYLES = {Status.UPLOADING: "busy", Status.PROCESSING: "busy", Status.READY: "good", Status.FAILED: "bad"}
_THUMBNAIL_SIZE, _LARGE_SIZE = 150, 1080  # of media.processing.SIZES
_MAX_REFUSALS_SHOWN = 5  # refused pictures that are listed with the reason


class StatusFilter(ChoiceFilter):
    """Filter by status, answered by indexes. Nearly every row is ready."""

    title = parameter_name = "status"
    values = [(status.label, status.label) for status in Status]

    def condition_for(self, value: str) -> Q:
        status = Status[value.upper()]
        match status:
            case Status.UPLOADING:  # in no post: the index on unattached rows answers
                return Q(status=status, is_attached=False)
            case Status.PROCESSING:  # the small table of jobs answers
                return Q(status=status, processing_job__isnull=False)
        return Q(status=status)


@admin.register(Media)
class MediaAdmin(ActionButtonsAdmin):
    list_display = ("thumbnail", "id", "owner_link", "outcome", "post_link", "bytes", "created_at")
    list_display_links = ("thumbnail", "id")
    list_filter = (StatusFilter,)
    search_fields = ("id",)
    search_help_text = "A picture's id, or an owner's full username."
    fields = (
        *("picture", "owner_link", "post_link", "status_badge", "error", "original", "alt_text"),
        *("content_type", "bytes", "dimensions", "is_public", "is_withheld", "is_barred_as_avatar"),
        *("created_at", "reprocessed_at"),
        *("due_at", "attempts", "last_failure"),
    )
    readonly_fields = fields
    actions = ("reprocess",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Media]:
        # `post_media` is the reverse relation of a model of the posts app, which this app must not import.
        return super().get_queryset(request).select_related("owner", "post_media", "processing_job")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Media], search_term: str
    ) -> tuple[QuerySet[Media], bool]:
        return search.search_by_id_or_username(queryset, search_term, "owner_id"), False

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("media.reprocess_media")

    @admin.action(description="Process again", permissions=["reprocess"])
    def reprocess(self, request: HttpRequest, queryset: QuerySet[Media]) -> None:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True))
        started, refused = reprocessing.reprocess(ids, cast(User, request.user))
        if started:
            self.message_user(request, f"{started} queued for reprocessing.")
        for media_id, reason in list(refused.items())[:_MAX_REFUSALS_SHOWN]:
            self.message_user(request, f"Picture {media_id} was not reprocessed: {reason}.", messages.WARNING)
        if len(refused) > _MAX_REFUSALS_SHOWN:
            others = len(refused) - _MAX_REFUSALS_SHOWN
            self.message_user(request, f"{others} other pictures were not reprocessed.", messages.WARNING)

    @admin.display(description="")
    def thumbnail(self, media: Media) -> SafeString | str:
        return _img_tag(media, _THUMBNAIL_SIZE, "thumbnail")

    @admin.display(description="picture")
    def picture(self, media: Media) -> SafeString | str:
        return _img_tag(media, _LARGE_SIZE, "picture")

    @admin.display(description="owner")
    def owner_link(self, media: Media) -> str:
        return display.object_link(User, media.owner_id, media.owner.username)

    @admin.display(description="post")
    def post_link(self, media: Media) -> str:
        post_media = getattr(media, "post_media", None)
        if post_media is None:
            return "–"
        return display.object_link(post_media._meta.get_field("post").related_model, post_media.post_id)

    @admin.display(description="status")
    def status_badge(self, media: Media) -> SafeString:
        return display.state_badge(Status(media.status).label, _STATUS_STYLES[Status(media.status)])

    @admin.display(description="status")
    def outcome(self, media: Media) -> SafeString:
        return format_html("{} {}", self.status_badge(media), media.error)

    @admin.display(description="original")
    def original(self, media: Media) -> str:
        return "kept: it can be reprocessed" if media.original_path else "not kept"

    @admin.display(description="next attempt")
    def due_at(self, media: Media) -> datetime | None:
        job = _get_job(media)
        return job.due_at if job else None

    @admin.display(description="failed attempts")
    def attempts(self, media: Media) -> int | None:
        job = _get_job(media)
        return job.attempts if job else None

    @admin.display(description="last failure")
    def last_failure(self, media: Media) -> str | None:
        job = _get_job(media)
        return job.error if job else None

    @admin.display(description="size")
    def bytes(self, media: Media) -> str:
        return filesizeformat(media.size)

    @admin.display(description="pixels")
    def dimensions(self, media: Media) -> str:
        return f"{media.width} × {media.height}" if media.width else "–"


def _get_job(media: Media) -> ProcessingJob | None:
    return getattr(media, "processing_job", None)


def _img_tag(media: Media, size: int, kind: str) -> SafeString | str:
    """Return an `<img>` of a variant, or a dash. Withheld pictures are shown, too, by a signed URL that expires."""
    try:
        url = variants.variant_url(media, size)
    except storage.StorageError:
        url = None
    alt = media.alt_text or f"Picture {media.pk}"
    return format_html('<img class="{}" src="{}" alt="{}">', kind, url, alt) if url else "–"
