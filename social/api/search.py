"""GET /users?search="""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.views import current_user
from accounts.search import SearchPosition, find_users
from instafeed.core.api.fields import VerbatimCharField
from instafeed.core.api.openapi.components import limit_and_cursor_parameters, page_serializer
from instafeed.core.api.pagination.cursors import (
    decode_text_cursor,
    encode_text_cursor,
    invalid_cursor,
    page_response,
    parse_limit,
    raw_cursor,
)
from instafeed.core.api.pagination.filtered import fetch_filtered_page
from instafeed.core.db.snowflake import parse_id
from social.api.base import get_visible_summaries
from social.api.serializers import ListedPersonSerializer

CURSOR_KIND = "people_found"  # identifies the list in its cursors
# A `SearchPosition`, hexadecimal.
_CURSOR_PATTERN = rf"^{CURSOR_KIND}\.3[01]3a3[1-9](3[0-9]){{0,17}}3a([0-9a-f]{{2}}){{0,900}}$"


class SearchSerializer(serializers.Serializer[Any]):
    search = VerbatimCharField(
        trim_whitespace=True, help_text="The beginning of a username or display name, case-insensitive."
    )


class SearchView(APIView):
    @extend_schema(
        operation_id="search_users",
        parameters=[SearchSerializer, *limit_and_cursor_parameters(_CURSOR_PATTERN)],
        responses=page_serializer(ListedPersonSerializer),
        tags=["users"],
    )
    def get(self, request: Request) -> HttpResponse:
        """Search users by the beginning of their username or display name. Matching usernames come first."""
        query = SearchSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        viewer_id, limit, raw = current_user(request).pk, parse_limit(request), raw_cursor(request)
        after = _decode_cursor(raw) if raw is not None else None

        def render(positions: Sequence[SearchPosition]) -> list[tuple[SearchPosition, bytes]]:
            summaries = get_visible_summaries(viewer_id, [position.user_id for position in positions])
            return [(position, summaries[position.user_id]) for position in positions if position.user_id in summaries]

        page, last = fetch_filtered_page(partial(find_users, query.validated_data["search"]), render, after, limit)
        return page_response(request, page, None if last is None else _encode_cursor(last))


def _encode_cursor(position: SearchPosition) -> str:
    return encode_text_cursor(CURSOR_KIND, f"{position.by_display_name:d}:{position.user_id}:{position.key}")


def _decode_cursor(raw: str) -> SearchPosition:
    phase, _, rest = decode_text_cursor(CURSOR_KIND, raw).partition(":")
    digits, _, key = rest.partition(":")
    user_id = parse_id(digits)
    if phase not in ("0", "1") or user_id is None:
        raise invalid_cursor()
    return SearchPosition(phase == "1", key, user_id)
