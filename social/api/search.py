"""GET /users?search=: translate and call."""

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
    parse_limit,
    raw_cursor,
    raw_page_response,
)
from instafeed.core.api.pagination.filtered import fetch_filtered_page
from instafeed.core.db.snowflake import parse_id
from social.api.base import render_visible_users
from social.api.serializers import PersonSerializer

CURSOR_KIND = "people_found"  # names the list in its cursors
_CURSOR_PATTERN = (
    rf"^{CURSOR_KIND}\.3[01]3a3[1-9](3[0-9]){{0,17}}3a([0-9a-f]{{2}}){{0,900}}$"  # a `SearchPosition`, in hexadecimal
)


class SearchSerializer(serializers.Serializer[Any]):
    search = VerbatimCharField(
        trim_whitespace=True, help_text="How the username or the display name begins, in any case."
    )


class SearchView(APIView):
    @extend_schema(
        operation_id="search_users",
        parameters=[SearchSerializer, *limit_and_cursor_parameters(_CURSOR_PATTERN)],
        responses=page_serializer(PersonSerializer),
        tags=["users"],
    )
    def get(self, request: Request) -> HttpResponse:
        """People by the beginning of their username or display name: usernames first."""
        query = SearchSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        viewer_id, limit, raw = current_user(request).pk, parse_limit(request), raw_cursor(request)
        after = _decode_cursor(raw) if raw is not None else None

        def show(found: Sequence[SearchPosition]) -> list[tuple[SearchPosition, bytes]]:
            cards = render_visible_users(viewer_id, [place.user_id for place in found])
            return [(place, cards[place.user_id]) for place in found if place.user_id in cards]

        page, last = fetch_filtered_page(partial(find_users, query.validated_data["search"]), show, after, limit)
        return raw_page_response(request, page, None if last is None else _encode_cursor(last))


def _encode_cursor(place: SearchPosition) -> str:
    return encode_text_cursor(CURSOR_KIND, f"{place.by_display_name:d}:{place.user_id}:{place.key}")


def _decode_cursor(raw: str) -> SearchPosition:
    phase, _, rest = decode_text_cursor(CURSOR_KIND, raw).partition(":")
    digits, _, key = rest.partition(":")
    user_id = parse_id(digits)
    if phase not in ("0", "1") or user_id is None:
        raise invalid_cursor()
    return SearchPosition(phase == "1", key, user_id)
