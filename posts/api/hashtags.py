"""The endpoints of hashtags."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core.api.fields import VerbatimCharField
from instafeed.core.api.openapi.components import (
    example,
    list_parameters,
    non_blank_pattern,
    page_serializer,
    text_list_parameters,
)
from instafeed.core.api.pagination.cursors import (
    decode_text_cursor,
    encode_text_cursor,
    page_response,
    parse_limit,
    raw_cursor,
)
from instafeed.core.api.pagination.filtered import fetch_filtered_page
from instafeed.core.api.pagination.list_page import filtered_page_response
from posts import entities, hashtag_index
from posts.api.serializers import PostSerializer
from posts.visibility import render_visible_posts

POSTS_LIST_NAME = "hashtag_posts"  # identifies the list in its cursors
HASHTAGS_LIST_NAME = "hashtags"


@extend_schema_field({"type": "string", "pattern": non_blank_pattern(ignored="#＃")})
class HashtagPrefixField(VerbatimCharField):
    """The beginning of a hashtag, with or without its #; not blank."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        value = super().to_internal_value(data)
        if not "".join(value.split()).strip("#＃"):
            self.fail("blank")
        return value


class HashtagSearchSerializer(serializers.Serializer[Any]):
    search = HashtagPrefixField(help_text="The beginning of the hashtag, in any case, with or without its #.")


@extend_schema_serializer(
    examples=[example("A hashtag", {"name": "sunset", "post_count": 17})], description="A hashtag of public posts."
)
class HashtagSerializer(serializers.Serializer[Any]):
    """Documents the JSON that `posts.hashtag_index` renders; used for the schema only."""

    name = serializers.CharField(help_text="Lower case, without its #.")
    post_count = serializers.IntegerField(
        min_value=1,
        max_value=hashtag_index.MAX_POST_COUNT,
        help_text=f"Number of visible public posts; {hashtag_index.MAX_POST_COUNT} means that many or more.",
    )


class HashtagSearchView(APIView):
    @extend_schema(
        operation_id="search_hashtags",
        parameters=[HashtagSearchSerializer, *text_list_parameters(HASHTAGS_LIST_NAME)],
        responses=page_serializer(HashtagSerializer),
        tags=["explore"],
    )
    def get(self, request: Request) -> HttpResponse:
        """Search hashtags by prefix, ordered by name. Only hashtags of public posts that you can see are found."""
        query = HashtagSearchSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        limit, raw = parse_limit(request), raw_cursor(request)
        after = hashtag_index.HashtagRef(decode_text_cursor(HASHTAGS_LIST_NAME, raw)) if raw is not None else None
        prefix = entities.parse_hashtag_prefix(query.validated_data["search"])
        if prefix is None:
            return page_response(request, [], None)
        fetch_keys = partial(hashtag_index.find_by_prefix, prefix)
        render_visible = partial(hashtag_index.render_visible_hashtags, current_user(request).pk)
        rows, last = fetch_filtered_page(fetch_keys, render_visible, after, limit)
        return page_response(request, rows, None if last is None else encode_text_cursor(HASHTAGS_LIST_NAME, last.name))


class HashtagPostsView(APIView):
    @extend_schema(
        operation_id="list_hashtag_posts",
        parameters=list_parameters(POSTS_LIST_NAME),
        responses=page_serializer(PostSerializer),
        tags=["explore"],
    )
    def get(self, request: Request, tag: str) -> HttpResponse:
        """List the posts of public accounts with a hashtag, newest first. An unused hashtag has an empty list."""
        name = entities.parse_hashtag(tag)
        if name is None:
            raise Http404
        render_visible = partial(render_visible_posts, current_user(request).pk, public_only=True)
        return filtered_page_response(
            request, POSTS_LIST_NAME, partial(hashtag_index.list_post_ids, name), render_visible
        )
