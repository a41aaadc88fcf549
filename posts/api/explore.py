"""The explore endpoint."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core.api.openapi.components import list_parameters, page_serializer
from instafeed.core.api.pagination.cursors import (
    decode_cursor,
    encode_cursor,
    invalid_cursor,
    page_response,
    parse_limit,
    raw_cursor,
)
from posts import explore
from posts.api.serializers import PostSerializer

LIST_NAME = "explore"  # identifies the list in its cursors


class ExploreView(APIView):
    @extend_schema(
        operation_id="list_explore_posts",
        parameters=list_parameters(LIST_NAME, 2),
        responses=page_serializer(PostSerializer),
        tags=["explore"],
    )
    def get(self, request: Request) -> HttpResponse:
        """List recent posts of public accounts, those with the most engagement first. A cursor is valid for a day."""
        limit, raw = parse_limit(request), raw_cursor(request)
        after = explore.RankingPosition(*decode_cursor(LIST_NAME, raw, 2)) if raw is not None else None
        try:
            rows, last = explore.get_page(current_user(request).pk, after, limit)
        except explore.RankingExpired:
            raise invalid_cursor() from None
        return page_response(request, rows, None if last is None else encode_cursor(LIST_NAME, *last))
