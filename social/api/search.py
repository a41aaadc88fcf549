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
from accounts.search import Place, places
from instafeed.api.fields import TextField
from instafeed.api.pagination import (
    decode_text_cursor,
    encode_text_cursor,
    invalid_cursor,
    parse_limit,
    raw_cursor,
    raw_page_response,
)
from instafeed.api.schema import limit_and_cursor, page_of
from instafeed.ids import parse_id
from instafeed.refill import filled_page
from social.api.base import people_seen
from social.api.serializers import PersonSerializer

KIND = "people_found"  # names the list in its cursors
_CURSOR = rf"^{KIND}\.3[01]3a3[1-9](3[0-9]){{0,17}}3a([0-9a-f]{{2}}){{0,900}}$"  # a `Place`, in hexadecimal


class SearchSerializer(serializers.Serializer[Any]):
    search = TextField(trim_whitespace=True, help_text="How the username or the display name begins, in any case.")


class SearchView(APIView):
    @extend_schema(
        operation_id="search_users",
        parameters=[SearchSerializer, *limit_and_cursor(_CURSOR)],
        responses=page_of(PersonSerializer),
        tags=["users"],
    )
    def get(self, request: Request) -> HttpResponse:
        """People by the beginning of their username or display name: usernames first."""
        query = SearchSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        viewer_id, limit, raw = current_user(request).pk, parse_limit(request), raw_cursor(request)
        after = _decode(raw) if raw is not None else None

        def show(found: Sequence[Place]) -> list[tuple[Place, bytes]]:
            cards = people_seen(viewer_id, [place.user_id for place in found])
            return [(place, cards[place.user_id]) for place in found if place.user_id in cards]

        page, last = filled_page(partial(places, query.validated_data["search"]), show, after, limit)
        return raw_page_response(request, page, None if last is None else _encode(last))


def _encode(place: Place) -> str:
    return encode_text_cursor(KIND, f"{place.by_display_name:d}:{place.user_id}:{place.key}")


def _decode(raw: str) -> Place:
    phase, _, rest = decode_text_cursor(KIND, raw).partition(":")
    digits, _, key = rest.partition(":")
    user_id = parse_id(digits)
    if phase not in ("0", "1") or user_id is None:
        raise invalid_cursor()
    return Place(phase == "1", key, user_id)
