"""Comments over HTTP: translation only."""

from __future__ import annotations

from functools import partial

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.views import current_user
from accounts.cards import own_card
from instafeed.api.idempotency import IDEMPOTENCY_PARAMETER, idempotent
from instafeed.api.ids import id_or_404
from instafeed.api.lists import page
from instafeed.api.schema import list_parameters, page_of, refusal
from posts import comments, selectors, services
from posts.api.serializers import CommentInputSerializer, CommentSerializer
from posts.counters import Counts
from posts.models import Comment
from posts.visibility import author_of_visible

ON_POST = "comments"  # names the list in its cursors
_NOT_YOURS = refusal(403, "permission_denied", "Only its author and the post's author may delete a comment.")


class CommentsView(APIView):
    @extend_schema(
        operation_id="list_comments",
        parameters=list_parameters(ON_POST),
        responses=page_of(CommentSerializer),
        tags=["comments"],
    )
    def get(self, request: Request, post_id: str) -> HttpResponse:
        """A post's comments, oldest first; replies are among them and say what they answer."""
        viewer_id, id_ = current_user(request).pk, id_or_404(post_id)
        author_of_visible(viewer_id, id_)
        return page(request, ON_POST, partial(selectors.comments_on, id_), partial(comments.shown, viewer_id))

    @extend_schema(
        operation_id="create_comment",
        parameters=[IDEMPOTENCY_PARAMETER],
        request=CommentInputSerializer,
        responses={201: CommentSerializer},
        tags=["comments"],
    )
    def post(self, request: Request, post_id: str) -> HttpResponse:
        """Comment on a post, or reply to a comment on it."""
        user_id, id_ = current_user(request).pk, id_or_404(post_id)
        post_author_id = author_of_visible(user_id, id_)  # also for a repeated request: what one may not see is a 404
        data = CommentInputSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = data.validated_data

        def create() -> tuple[int, bytes]:
            answered = _answered(user_id, id_, given["reply_to"])
            comment = services.create_comment(user_id, id_, post_author_id, given["text"], answered)
            return 201, comments.compose(comment, own_card(user_id), Counts(), liked=False)

        return idempotent(request, user_id, create)


class CommentView(APIView):
    @extend_schema(operation_id="delete_comment", responses={204: None, **_NOT_YOURS}, tags=["comments"])
    def delete(self, request: Request, comment_id: str) -> Response:
        """Delete a comment of one's own, or one on one's own post; replies to it stay."""
        user_id = current_user(request).pk
        comment, post_author_id = comments.removable_comment(user_id, id_or_404(comment_id))
        if user_id not in (comment.author_id, post_author_id):
            raise PermissionDenied("Only its author and the post's author may delete a comment.")
        services.delete_comment(comment.pk)
        return Response(status=204)


def _answered(user_id: int, post_id: int, reply_to: int | None) -> Comment | None:
    """The comment that is replied to; Http404 unless it is on the same post and exists for the user."""
    if reply_to is None:
        return None
    comment, _ = comments.visible_comment(user_id, reply_to)
    if comment.post_id != post_id:
        raise Http404
    return comment
