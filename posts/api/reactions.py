"""The endpoints of likes and saves."""

from __future__ import annotations

from functools import partial

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core.api.openapi.components import list_parameters, page_serializer
from instafeed.core.api.pagination.list_page import filtered_page_response
from instafeed.core.api.requests import id_or_404
from posts import selectors, services, withdrawal
from posts.api.serializers import LikedSerializer, PostSerializer, SavedSerializer
from posts.comment_selectors import get_visible_comment
from posts.models import Like, Save
from posts.visibility import get_visible_post_author_id, render_visible_posts
from social.api.base import user_list_response
from social.api.serializers import ListedPersonSerializer

SAVED_LIST_NAME = "saved"  # identifies the list in its cursors


class PostLikeView(APIView):
    @extend_schema(operation_id="like_post", request=None, responses=LikedSerializer, tags=["posts"])
    def post(self, request: Request, post_id: str) -> Response:
        """Like a post. Repeating the request has no further effect."""
        return _liked_response(services.like_post(current_user(request).pk, id_or_404(post_id)), liked=True)

    @extend_schema(operation_id="unlike_post", responses={200: LikedSerializer}, tags=["posts"])
    def delete(self, request: Request, post_id: str) -> Response:
        """Remove your like of a post. Succeeds if there is none.

        If you can no longer see the post, your like is removed too, and `like_count` is 0.
        """
        user_id, id_ = current_user(request).pk, id_or_404(post_id)
        is_visible = withdrawal.can_see_post_to_withdraw(user_id, id_, Like)
        like_count = services.unlike_post(user_id, id_)
        return _liked_response(like_count if is_visible else 0, liked=False)


class PostLikesView(APIView):
    @extend_schema(
        operation_id="list_post_likes",
        parameters=list_parameters(selectors.LIKERS.kind),
        responses=page_serializer(ListedPersonSerializer),
        tags=["posts"],
    )
    def get(self, request: Request, post_id: str) -> HttpResponse:
        """List the accounts that like a post, the newest accounts first."""
        _, id_, _ = _resolve_post(request, post_id)
        return user_list_response(request, selectors.LIKERS, id_)


class PostSaveView(APIView):
    @extend_schema(operation_id="save_post", request=None, responses=SavedSerializer, tags=["posts"])
    def post(self, request: Request, post_id: str) -> Response:
        """Save a post. Only you can see what you saved."""
        user_id, id_, _ = _resolve_post(request, post_id)
        services.save_post(user_id, id_)
        return Response({"saved": True})

    @extend_schema(operation_id="unsave_post", responses={200: SavedSerializer}, tags=["posts"])
    def delete(self, request: Request, post_id: str) -> Response:
        """Unsave a post, also if you can no longer see it. Succeeds if it is not saved."""
        user_id, id_ = current_user(request).pk, id_or_404(post_id)
        withdrawal.can_see_post_to_withdraw(user_id, id_, Save)
        services.unsave_post(user_id, id_)
        return Response({"saved": False})


class SavedPostsView(APIView):
    @extend_schema(
        operation_id="list_saved_posts",
        parameters=list_parameters(SAVED_LIST_NAME),
        responses=page_serializer(PostSerializer),
        tags=["me"],
    )
    def get(self, request: Request) -> HttpResponse:
        """List your saved posts that you can still see, the newest save first."""
        user_id = current_user(request).pk
        return filtered_page_response(
            request, SAVED_LIST_NAME, partial(selectors.list_save_ids, user_id), partial(_render_saved_posts, user_id)
        )


class CommentLikeView(APIView):
    @extend_schema(operation_id="like_comment", request=None, responses=LikedSerializer, tags=["comments"])
    def post(self, request: Request, comment_id: str) -> Response:
        """Like a comment. Repeating the request has no further effect."""
        return _liked_response(services.like_comment(*_resolve_comment(request, comment_id)), liked=True)

    @extend_schema(operation_id="unlike_comment", responses={200: LikedSerializer}, tags=["comments"])
    def delete(self, request: Request, comment_id: str) -> Response:
        """Remove your like of a comment. Succeeds if there is none.

        If you can no longer see the comment, your like is removed too, and `like_count` is 0.
        """
        user_id, id_ = current_user(request).pk, id_or_404(comment_id)
        is_visible = withdrawal.can_see_comment_to_withdraw(user_id, id_)
        like_count = services.unlike_comment(user_id, id_)
        return _liked_response(like_count if is_visible else 0, liked=False)


def _resolve_post(request: Request, post_id: str) -> tuple[int, int, int]:
    """Return the ids of the user, the post and its author. Raises Http404 if the user cannot see the post."""
    user_id, id_ = current_user(request).pk, id_or_404(post_id)
    return user_id, id_, get_visible_post_author_id(user_id, id_)


def _resolve_comment(request: Request, comment_id: str) -> tuple[int, int, int, int]:
    """Return the ids of the user, the comment, its post and its author. Raises Http404 if the user cannot see it."""
    user_id = current_user(request).pk
    comment, _ = get_visible_comment(user_id, id_or_404(comment_id))
    return user_id, comment.pk, comment.post_id, comment.author_id


def _liked_response(like_count: int, *, liked: bool) -> Response:
    return Response({"liked": liked, "like_count": like_count})


def _render_saved_posts(user_id: int, save_ids: list[int]) -> list[tuple[int, bytes]]:
    """Return the save id and the post's JSON of those saves whose post the user can see."""
    posts = selectors.get_post_ids_by_save(save_ids)
    rendered = dict(render_visible_posts(user_id, list(posts.values())))
    return [(save_id, rendered[posts[save_id]]) for save_id in save_ids if posts.get(save_id) in rendered]
