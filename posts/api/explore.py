"""/explore: translate and call."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.api.pagination import (
    decode_cursor,
    encode_cursor,
    invalid_cursor,
    parse_limit,
    raw_cursor,
    raw_page_response,
)
from instafeed.api.schema import list_parameters, page_of
from posts import explore
from posts.api.serializers import PostSerializer

KIND = "explore"  # names the list in its cursors


class ExploreView(APIView):
    @extend_schema(
        operation_id="explore", parameters=list_parameters(KIND, 2), responses=page_of(PostSerializer), tags=["explore"]
    )
    def get(self, request: Request) -> HttpResponse:
        """Recent posts of public accounts, the most liked and discussed first; a cursor works for a day."""
        limit, raw = parse_limit(request), raw_cursor(request)
        after = explore.Place(*decode_cursor(KIND, raw, 2)) if raw is not None else None
        try:
            rows, last = explore.page(current_user(request).pk, after, limit)
        except explore.Expired:
            raise invalid_cursor() from None
        return raw_page_response(request, rows, None if last is None else encode_cursor(KIND, *last))
