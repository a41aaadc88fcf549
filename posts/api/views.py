"""/posts and /users/{username}/posts: translate and call."""

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
from instafeed.api.errors import Conflict
from instafeed.api.idempotency import IDEMPOTENCY_PARAMETER, idempotent
from instafeed.api.ids import id_or_404
from instafeed.api.lists import page
from instafeed.api.schema import list_parameters, missing, page_of, refusal
from instafeed.api.viewer import viewer_id
from posts import hydration, selectors, services
from posts.api.serializers import CaptionSerializer, PostInputSerializer, PostSerializer
from posts.visibility import author_of_visible, visible_post
from social.visibility import can_see_posts, visible_user_and_relationship

BY_USER = "user_posts"  # names the list in its cursors
_NOT_YOURS = refusal(403, "permission_denied", "Only its author may change a post.")
_UNKNOWN_MEDIA = missing("Some media do not exist, or are not yours.")
_USED_MEDIA = refusal(409, "media_used", "Some media are part of another post, have failed, or were never uploaded.")
_PRIVATE = refusal(
    403, "permission_denied", "It is private, and you do not follow it.", detail="This account is private."
)


class PostListView(APIView):
    @extend_schema(
        operation_id="create_post",
        parameters=[IDEMPOTENCY_PARAMETER],
        request=PostInputSerializer,
        responses={201: PostSerializer, **_UNKNOWN_MEDIA, **_USED_MEDIA},
        tags=["posts"],
    )
    def post(self, request: Request) -> HttpResponse:
        """Create a post; it enters followers' feeds as soon as its fan-out ran."""
        data = PostInputSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        author_id, given = current_user(request).pk, data.validated_data

        def create() -> tuple[int, bytes]:
            post = services.create_post(author_id, given["caption"], given["media"])
            return 201, hydration.rendered_fresh(post)

        try:
            return idempotent(request, author_id, create)
        except services.UnknownMedia:
            raise NotFound from None
        except services.UnusableMedia as error:
            raise Conflict(str(error), "media_used") from None


class PostView(APIView):
    permission_classes = [IsAuthenticatedOrReadOnly]

    @extend_schema(operation_id="get_post", responses=PostSerializer, tags=["posts"])
    def get(self, request: Request, post_id: str) -> HttpResponse:
        """One post; those of public accounts can be read without signing in."""
        return _json(visible_post(viewer_id(request), id_or_404(post_id)))

    @extend_schema(
        operation_id="edit_post",
        request=CaptionSerializer,
        responses={200: PostSerializer, **_NOT_YOURS},
        tags=["posts"],
    )
    def patch(self, request: Request, post_id: str) -> HttpResponse:
        """Change the caption of an own post."""
        id_ = self._own(request, post_id)
        data = CaptionSerializer(data=request.data, partial=True)
        data.is_valid(raise_exception=True)
        if "caption" in data.validated_data:
            try:
                services.edit_post(id_, data.validated_data["caption"])
            except services.EmptyPost as error:
                raise ValidationError({"caption": str(error)}, code="required") from None
        return _json(visible_post(current_user(request).pk, id_))

    @extend_schema(operation_id="delete_post", responses={204: None, **_NOT_YOURS}, tags=["posts"])
    def delete(self, request: Request, post_id: str) -> Response:
        """Delete an own post."""
        services.delete_post(self._own(request, post_id), current_user(request).pk)
        return Response(status=204)

    def _own(self, request: Request, post_id: str) -> int:
        """404 for whoever does not see the post, 403 for whoever sees it but did not write it."""
        id_ = id_or_404(post_id)
        if author_of_visible(viewer_id(request), id_) != request.user.pk:
            raise PermissionDenied("Only its author may change a post.")
        return id_


class UserPostsView(APIView):
    permission_classes = [IsAuthenticatedOrReadOnly]

    @extend_schema(
        operation_id="list_user_posts",
        parameters=list_parameters(BY_USER),
        responses={200: page_of(PostSerializer), **_PRIVATE},
        tags=["users"],
    )
    def get(self, request: Request, username: str) -> HttpResponse:
        """A user's posts, newest first; those of a private account for approved followers only."""
        user, relation = visible_user_and_relationship(viewer_id(request), username)
        blocking = relation is not None and relation.blocking
        if not blocking and not can_see_posts(viewer_id(request), user, relation):
            raise PermissionDenied("This account is private.")
        # The profile of somebody one blocks is visible, without posts.
        fetch = _no_posts if blocking else partial(selectors.ids_by_author, user.pk)
        return page(request, BY_USER, fetch, partial(hydration.rendered, viewer_id(request)))


def _json(body: bytes) -> HttpResponse:
    return HttpResponse(body, content_type="application/json")


def _no_posts(before: int | None, wanted: int) -> tuple[list[int], bool]:
    return [], True
