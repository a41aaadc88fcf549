"""Two feeds that are pulled when they are read, as bare views of Django REST framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from actstream.models import Action, user_stream
from django.contrib.contenttypes.prefetch import GenericPrefetch
from django.db.models import Exists, OuterRef, Prefetch, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from benchmarks.rivals.serializers import PostSerializer
from instafeed.core.db.snowflake import MAX_ID, timestamp_of_id
from posts.models import Counter, Like, Post, PostMedia, Save

PAGE = 20  # posts


def shown_posts(viewer_id: int) -> QuerySet[Post]:
    """Return the visible posts with everything that a page shows: two statements, however many posts it has."""
    media = Prefetch("post_media_set", PostMedia.objects.select_related("media").order_by("position"))
    visible = Post.objects.filter(hidden_at=None, deleted_at=None, media_pending=False, author__is_active=True)
    return (
        visible.select_related("author")
        .prefetch_related(media)
        .annotate(
            like_count=_count("likes"),
            comment_count=_count("comments"),
            liked=Exists(Like.objects.filter(user=viewer_id, post=OuterRef("pk"))),
            saved=Exists(Save.objects.filter(user=viewer_id, post=OuterRef("pk"))),
        )
    )


def _count(column: str) -> Coalesce:
    slots = Counter.objects.filter(subject_id=OuterRef("pk")).order_by().values("subject_id")
    return Coalesce(Subquery(slots.annotate(sum=Sum(column)).values("sum")), 0)


class PulledFeed(APIView, ABC):
    """`GET /{viewer}?before={post id}`: the newest posts below an id."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []

    def get(self, request: Request, viewer_id: int) -> Response:
        posts = self.fetch_posts(viewer_id, int(request.query_params.get("before", MAX_ID)))
        return Response({"results": PostSerializer(list(posts), many=True).data})

    @abstractmethod
    def fetch_posts(self, viewer_id: int, before: int) -> Iterable[Post]:
        """Return the next posts, newest first."""


class OrmFeed(PulledFeed):
    """Posts of followed authors by one join, with keyset pagination."""

    def fetch_posts(self, viewer_id: int, before: int) -> Iterable[Post]:
        followed = shown_posts(viewer_id).filter(author__follower_set__follower=viewer_id, pk__lt=before)
        return followed.order_by("-pk")[:PAGE]


class ActivityStreamFeed(PulledFeed):
    """The user stream of django-activity-stream, newest first, with keyset pagination instead of its OFFSET."""

    def fetch_posts(self, viewer_id: int, before: int) -> Iterable[Post]:
        older: dict[str, Any] = {} if before == MAX_ID else {"timestamp__lt": timestamp_of_id(before)}
        actions: QuerySet[Action] = user_stream(User(pk=viewer_id), **older)
        posts = GenericPrefetch("action_object", [shown_posts(viewer_id)])
        shown = [action.action_object for action in actions.prefetch_related(posts)[:PAGE]]
        return [post for post in shown if post is not None]  # the action of a hidden post leaves a gap
