"""The endpoints of comments."""

from __future__ import annotations

from functools import partial

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from accounts.user_cache import get_own_summary
from instafeed.core.api.idempotency import IDEMPOTENCY_PARAMETER, KEY_REUSED_RESPONSE, respond_idempotently
from instafeed.core.api.openapi.components import error_response, list_parameters, page_serializer
from instafeed.core.api.pagination.list_page import filtered_page_response
from instafeed.core.api.requests import id_or_404
from instafeed.core.api.throttling import CommentThrottle, UserThrottle
from posts import comment_selectors, selectors, services
from posts.api.serializers import CommentInputSerializer, CommentSerializer
from posts.counters import Counts
from posts.models import Comment
from posts.visibility import get_visible_post_author_id

LIST_NAME = "comments"  # identifies the list in its cursors
_NOT_AUTHOR_MESSAGE = "Only the author of the comment or of its post can delete it."
_NOT_AUTHOR_RESPONSE = error_response(403, "permission_denied", _NOT_AUTHOR_MESSAGE)


class CommentsView(APIView):
    throttle_classes = [UserThrottle, CommentThrottle]

    @extend_schema(
        operation_id="list_comments",
        parameters=list_parameters(LIST_NAME),
        responses=page_serializer(CommentSerializer),
        tags=["comments"],
    )
    def get(self, request: Request, post_id: str) -> HttpResponse:
        """List a post's comments, oldest first. Replies are in the same list and name their comment in `reply_to`."""
        viewer_id, id_ = current_user(request).pk, id_or_404(post_id)
        get_visible_post_author_id(viewer_id, id_)
        return filtered_page_response(
            request,
            LIST_NAME,
            partial(selectors.list_comment_ids, id_),
            partial(comment_selectors.render_visible_comments, viewer_id),
        )

    @extend_schema(
        operation_id="create_comment",
        parameters=[IDEMPOTENCY_PARAMETER],
        request=CommentInputSerializer,
        responses={201: CommentSerializer, **KEY_REUSED_RESPONSE},
        tags=["comments"],
    )
    def post(self, request: Request, post_id: str) -> HttpResponse:
        """Comment on a post, or reply to one of its comments."""
        user_id, id_ = current_user(request).pk, id_or_404(post_id)
        post_author_id = get_visible_post_author_id(user_id, id_)  # checked for repeated requests too
        data = CommentInputSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = data.validated_data

        def create() -> tuple[int, bytes]:
            reply_to = _resolve_reply_to(user_id, id_, given["reply_to"])
            comment = services.create_comment(user_id, id_, post_author_id, given["text"], reply_to)
            return 201, comment_selectors.render_comment(comment, get_own_summary(user_id), Counts(), liked=False)

        return respond_idempotently(request, user_id, create)


class CommentView(APIView):
    @extend_schema(operation_id="delete_comment", responses={204: None, **_NOT_AUTHOR_RESPONSE}, tags=["comments"])
    def delete(self, request: Request, comment_id: str) -> Response:
        """Delete your own comment, or any comment on your post, also after a block. Replies to it stay."""
        user_id = current_user(request).pk
        comment, post_author_id = comment_selectors.get_removable_comment(user_id, id_or_404(comment_id))
        if user_id not in (comment.author_id, post_author_id):
            raise PermissionDenied(_NOT_AUTHOR_MESSAGE)
        services.delete_comment(comment.pk)
        return Response(status=204)


def _resolve_reply_to(user_id: int, post_id: int, reply_to: int | None) -> Comment | None:
    """Return the comment to reply to. Raises Http404 unless the user can see it and it is on the same post."""
    if reply_to is None:
        return None
    comment, _ = comment_selectors.get_visible_comment(user_id, reply_to)
    if comment.post_id != post_id:
        raise Http404
    return comment
