"""The endpoints of posts and of a user's posts."""

from __future__ import annotations

from functools import partial

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.permissions import IsAuthenticatedOrReadOnly
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from instafeed.core.api.errors import Conflict
from instafeed.core.api.etags import ETAG_PARAMETERS, NOT_MODIFIED_RESPONSE, add_etag
from instafeed.core.api.idempotency import IDEMPOTENCY_PARAMETER, KEY_REUSED_RESPONSE, respond_idempotently
from instafeed.core.api.openapi.components import error_response, list_parameters, not_found_response, page_serializer
from instafeed.core.api.pagination.list_page import filtered_page_response
from instafeed.core.api.requests import id_or_404
from instafeed.core.api.throttling import AnonThrottle, PostThrottle, UserThrottle
from posts import post_parts, selectors, services
from posts.api.serializers import CaptionSerializer, PostInputSerializer, PostSerializer
from posts.visibility import get_visible_post_author_id, is_own_post, render_visible_post
from social.api.base import RENAMED_LOCATION, RENAMED_RESPONSE, UserReadView
from social.visibility import can_see_posts, get_visible_user_and_relationship

USER_POSTS_LIST_NAME = "user_posts"  # identifies the list in its cursors
_NOT_AUTHOR_MESSAGE = "Only the author of a post can change it."
_NOT_AUTHOR_RESPONSE = error_response(403, "permission_denied", _NOT_AUTHOR_MESSAGE)
_UNKNOWN_MEDIA_RESPONSE = not_found_response("Some media do not exist or are not yours.")
_MEDIA_USED_RESPONSE = error_response(
    409,
    "media_used",
    "Some media are part of another post, have failed, or were never uploaded.",
    detail="Some media are part of another post.",
)
_PRIVATE_ACCOUNT_RESPONSE = error_response(
    403, "permission_denied", "The account is private and you do not follow it.", detail="This account is private."
)


class PostListView(APIView):
    throttle_classes = [UserThrottle, PostThrottle]

    @extend_schema(
        operation_id="create_post",
        parameters=[IDEMPOTENCY_PARAMETER],
        request=PostInputSerializer,
        responses={201: PostSerializer, **_UNKNOWN_MEDIA_RESPONSE, **_MEDIA_USED_RESPONSE, **KEY_REUSED_RESPONSE},
        tags=["posts"],
    )
    def post(self, request: Request) -> HttpResponse:
        """Create a post. It appears in followers' feeds once it is fanned out."""
        data = PostInputSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        author_id, given = current_user(request).pk, data.validated_data

        def create() -> tuple[int, bytes]:
            post = services.create_post(author_id, given["caption"], given["media"])
            return 201, post_parts.render_new_post(post)

        try:
            return respond_idempotently(request, author_id, create)
        except services.UnknownMedia:
            raise NotFound from None
        except services.UnusableMedia as error:
            raise Conflict(str(error), "media_used") from None


class PostView(APIView):
    permission_classes = [IsAuthenticatedOrReadOnly]
    throttle_classes = [AnonThrottle, UserThrottle, PostThrottle]

    @extend_schema(
        operation_id="get_post",
        parameters=ETAG_PARAMETERS,
        responses={200: PostSerializer, **NOT_MODIFIED_RESPONSE},
        tags=["posts"],
    )
    def get(self, request: Request, post_id: str) -> HttpResponse:
        """Return one post. Posts of public accounts can be read without signing in."""
        return add_etag(request, _json_response(render_visible_post(request.user.pk, id_or_404(post_id))))

    @extend_schema(
        operation_id="edit_post",
        request=CaptionSerializer,
        responses={200: PostSerializer, **_NOT_AUTHOR_RESPONSE},
        tags=["posts"],
    )
    def patch(self, request: Request, post_id: str) -> HttpResponse:
        """Change the caption of your post."""
        id_ = self._get_own_post_id(request, post_id)
        data = CaptionSerializer(data=request.data, partial=True)
        data.is_valid(raise_exception=True)
        if "caption" in data.validated_data:
            try:
                services.edit_post(id_, data.validated_data["caption"])
            except services.EmptyPost as error:
                raise ValidationError({"caption": str(error)}, code="required") from None
        return _json_response(render_visible_post(current_user(request).pk, id_))

    @extend_schema(operation_id="delete_post", responses={204: None, **_NOT_AUTHOR_RESPONSE}, tags=["posts"])
    def delete(self, request: Request, post_id: str) -> Response:
        """Delete your post, also if a moderator has hidden it."""
        user_id, id_ = current_user(request).pk, id_or_404(post_id)
        if not is_own_post(user_id, id_):
            self._get_own_post_id(request, post_id)  # raises what the viewer may know
        services.delete_post(id_, user_id)
        return Response(status=204)

    def _get_own_post_id(self, request: Request, post_id: str) -> int:
        """Return the post's id. Raises Http404 if the viewer cannot see it, PermissionDenied if it is not theirs."""
        id_ = id_or_404(post_id)
        if get_visible_post_author_id(request.user.pk, id_) != request.user.pk:
            raise PermissionDenied(_NOT_AUTHOR_MESSAGE)
        return id_


class UserPostsView(UserReadView):
    permission_classes = [IsAuthenticatedOrReadOnly]

    @extend_schema(
        operation_id="list_user_posts",
        parameters=[*list_parameters(USER_POSTS_LIST_NAME), RENAMED_LOCATION],
        responses={200: page_serializer(PostSerializer), **RENAMED_RESPONSE, **_PRIVATE_ACCOUNT_RESPONSE},
        tags=["users"],
    )
    def get(self, request: Request, username: str) -> HttpResponse:
        """List a user's posts, newest first. Only approved followers see those of a private account."""
        user, relation = get_visible_user_and_relationship(request.user.pk, username)
        blocking = relation is not None and relation.blocking
        if not blocking and not can_see_posts(request.user.pk, user, relation):
            raise PermissionDenied("This account is private.")
        # The profile of an account that the viewer blocks is visible, without posts.
        fetch_keys = _list_no_posts if blocking else partial(selectors.list_post_ids_by_author, user.pk)
        return filtered_page_response(
            request, USER_POSTS_LIST_NAME, fetch_keys, partial(post_parts.render_posts, request.user.pk)
        )


def _json_response(body: bytes) -> HttpResponse:
    return HttpResponse(body, content_type="application/json")


def _list_no_posts(before: int | None, limit: int) -> tuple[list[int], bool]:
    return [], True
