"""/hashtags: translate and call."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.api.fields import TextField
from instafeed.api.lists import page
from instafeed.api.pagination import (
    decode_text_cursor,
    encode_text_cursor,
    parse_limit,
    raw_cursor,
    raw_page_response,
)
from instafeed.api.schema import example, list_parameters, page_of, text_list_parameters, words_pattern
from instafeed.refill import filled_page
from posts import hashtags, text
from posts.api.serializers import PostSerializer
from posts.visibility import shown

POSTS = "hashtag_posts"  # names the list in its cursors
TAGS = "hashtags"


@extend_schema_field({"type": "string", "pattern": words_pattern(ignored="#＃")})
class PrefixField(TextField):
    """How a hashtag begins, with or without its #; not blank."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if not "".join(value.split()).strip("#＃"):
            self.fail("blank")
        return value


class HashtagSearchSerializer(serializers.Serializer[Any]):
    search = PrefixField(help_text="How the hashtag begins, in any case, with or without its #.")


@extend_schema_serializer(examples=[example("A hashtag", {"name": "sunset", "post_count": 17})])
class HashtagSerializer(serializers.Serializer[Any]):
    """Documents what `posts.hashtags` renders; never runs."""

    name = serializers.CharField(help_text="In lower case, without its #.")
    post_count = serializers.IntegerField(
        min_value=1,
        max_value=hashtags.COUNTED,
        help_text=f"Public posts with it that you may see; {hashtags.COUNTED} stands for that many or more.",
    )


class HashtagSearchView(APIView):
    @extend_schema(
        operation_id="search_hashtags",
        parameters=[HashtagSearchSerializer, *text_list_parameters(TAGS)],
        responses=page_of(HashtagSerializer),
        tags=["explore"],
    )
    def get(self, request: Request) -> HttpResponse:
        """Hashtags by how they begin, by name; those that a public post uses which you may see."""
        query = HashtagSearchSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        limit, raw = parse_limit(request), raw_cursor(request)
        after = hashtags.Tag(decode_text_cursor(TAGS, raw)) if raw is not None else None
        prefix = text.hashtag_prefix(query.validated_data["search"])
        if prefix is None:
            return raw_page_response(request, [], None)
        fetch = partial(hashtags.beginning_with, prefix)
        show = partial(hashtags.counted, current_user(request).pk)
        rows, last = filled_page(fetch, show, after, limit)
        return raw_page_response(request, rows, None if last is None else encode_text_cursor(TAGS, last.name))


class HashtagPostsView(APIView):
    @extend_schema(
        operation_id="list_hashtag_posts",
        parameters=list_parameters(POSTS),
        responses=page_of(PostSerializer),
        tags=["explore"],
    )
    def get(self, request: Request, tag: str) -> HttpResponse:
        """Posts of public accounts with a hashtag, newest first; an unused one has none."""
        name = text.hashtag_name(tag)
        if name is None:
            raise Http404
        show = partial(shown, current_user(request).pk, public_only=True)
        return page(request, POSTS, partial(hashtags.ids_by_hashtag, name), show)
