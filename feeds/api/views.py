"""GET /feed and GET /feed/unread-count: where the read path begins."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.api.views import current_user
from feeds import timeline
from instafeed.core.api import early_reads
from instafeed.core.api.etags import ETAG_PARAMETERS, NOT_MODIFIED_RESPONSE, add_etag
from instafeed.core.api.openapi.components import example, list_parameters, page_serializer
from instafeed.core.api.pagination.cursors import (
    decode_cursor,
    encode_cursor,
    page_response,
    parse_limit,
    raw_cursor,
)
from instafeed.core.cache.lua import Command
from instafeed.core.db.snowflake import MAX_ID
from posts.api.serializers import PostSerializer

FEED_CURSOR = "feed"
_PAGE = "feed_page"  # the name of an early read
_SINCE_SCHEMA = {"type": "string", "pattern": "^([0-9]{1,18}|[0-8][0-9]{18})$", "example": "382835763848413185"}
MAX_UNREAD_COUNT = 100


@extend_schema_serializer(examples=[example("Three new posts", {"count": 3, "capped": False})])
class UnreadCountSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(min_value=0, max_value=MAX_UNREAD_COUNT)
    capped = serializers.BooleanField(help_text="There are more unread posts than `count`.")


class FeedViewSet(ViewSet):
    """The home feed of the signed-in user."""

    def early_commands(self, request: Request, user_id: int) -> dict[str, Command]:
        """Read the timelines together with what authentication reads."""
        if self.action != "list":
            return {}
        try:
            before, limit = _parse_page(request)
        except ValidationError:
            return {}
        return {_PAGE: timeline.page_command(user_id, before, limit)}

    @extend_schema(
        operation_id="get_feed",
        parameters=[*list_parameters(FEED_CURSOR), *ETAG_PARAMETERS],
        responses={200: page_serializer(PostSerializer), **NOT_MODIFIED_RESPONSE},
        tags=["feed"],
    )
    def list(self, request: Request) -> HttpResponse:
        """List the posts of the signed-in user and of followed accounts, newest first, back to the first post.

        The first page has an `ETag`.
        """
        before, limit = _parse_page(request)
        reply = early_reads.take(request, _PAGE)
        posts, after = timeline.get_page(current_user(request).pk, before, limit, reply)
        page = page_response(request, posts, None if after is None else encode_cursor(FEED_CURSOR, after))
        return add_etag(request, page) if before is None else page

    @extend_schema(
        operation_id="count_unread_posts",
        parameters=[OpenApiParameter("since", _SINCE_SCHEMA, required=True, description="A post id.")],
        responses=UnreadCountSerializer,
        tags=["feed"],
    )
    def unread_count(self, request: Request) -> Response:
        """Count the posts of the feed that are newer than the post `since`, which need not exist any more."""
        raw = request.query_params.get("since", "")
        if not (raw.isascii() and raw.isdecimal() and len(raw) <= 19 and int(raw) <= MAX_ID):
            raise ValidationError({"since": "A post id is required."}, code="invalid")
        count, capped = timeline.count_newer(current_user(request).pk, int(raw), MAX_UNREAD_COUNT)
        return Response({"count": count, "capped": capped})


def _parse_page(request: Request) -> tuple[int | None, int]:
    """Return cursor and limit of the feed. Raises ValidationError."""
    limit, raw = parse_limit(request), raw_cursor(request)
    return None if raw is None else decode_cursor(FEED_CURSOR, raw)[0], limit
