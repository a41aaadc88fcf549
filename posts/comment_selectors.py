"""Which comments a viewer can see, and their JSON.

A viewer sees a comment if they see its post, it is not hidden, its author is active, and neither of the two blocks the
other. Every read checks this on the primary.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404

from accounts.user_cache import get_user_summaries
from instafeed.core import compact_json
from instafeed.core.api.formats import optional_id, rfc3339
from posts import counters, entities
from posts.counters import Counts
from posts.models import Comment, CommentLike
from posts.visibility import get_visible_post_author_id
from social.selectors import Relationship, fetch_relationships


def get_visible_comment(viewer_id: int, comment_id: int) -> tuple[Comment, int]:
    """Return the comment and the id of its post's author. Raises Http404 if the viewer cannot see the comment."""
    comment, relation = _get_comment_and_relationship(viewer_id, comment_id)
    if relation.is_blocked_either_way:
        raise Http404
    return comment, get_visible_post_author_id(viewer_id, comment.post_id)


def get_removable_comment(viewer_id: int, comment_id: int) -> tuple[Comment, int]:
    """Return a comment that the viewer may delete or sees, and the id of its post's author. Raises Http404.

    Viewers may delete all of their own comments, also those that they no longer see, and comments on their posts.
    """
    comment = _existing_comments().filter(author=viewer_id, pk=comment_id).select_related("post").first()
    comment = comment or _find_comment_on_own_post(viewer_id, comment_id)
    return (comment, comment.post.author_id) if comment else get_visible_comment(viewer_id, comment_id)


def _find_comment_on_own_post(viewer_id: int, comment_id: int) -> Comment | None:
    """Return a comment on the viewer's post, whichever of the two blocks the other.

    Someone who comments and then blocks the author of the post must not escape the author's actions.
    """
    comments = _existing_comments().filter(post__author=viewer_id, hidden_at=None, author__is_active=True)
    return comments.select_related("post").filter(pk=comment_id).first()


def _existing_comments() -> QuerySet[Comment]:
    """Return the comments that are not deleted, nor their post, nor the accounts of their authors."""
    comments = Comment.objects.using(DEFAULT_DB_ALIAS).filter(author__deleted_at=None)
    return comments.filter(post__deleted_at=None, post__author__deleted_at=None)


def _get_comment_and_relationship(viewer_id: int, comment_id: int) -> tuple[Comment, Relationship]:
    """Return an unhidden comment by an active author, and the viewer's relationship to that author."""
    comments = Comment.objects.using(DEFAULT_DB_ALIAS).filter(hidden_at=None, author__is_active=True)
    comment = get_object_or_404(comments, pk=comment_id)
    return comment, fetch_relationships(viewer_id, [comment.author_id])[comment.author_id]


def render_visible_comments(viewer_id: int, comment_ids: Sequence[int]) -> list[tuple[int, bytes]]:
    """Return id and JSON of the comments that the viewer can see, in the given order, for `fetch_filtered_page`.

    The caller checks that the viewer can see the post. Takes three queries and two round trips to Redis.
    """
    rows = Comment.objects.using(DEFAULT_DB_ALIAS).filter(hidden_at=None).in_bulk(comment_ids)
    author_ids = {comment.author_id for comment in rows.values()}
    relations = fetch_relationships(viewer_id, author_ids)
    authors = get_user_summaries(
        author_id for author_id in author_ids if not relations[author_id].is_blocked_either_way
    )
    visible = [rows[id_] for id_ in comment_ids if id_ in rows and rows[id_].author_id in authors]
    counts = counters.cached_counts.get(comment.pk for comment in visible)
    liked = get_liked_comment_ids(viewer_id, [comment.pk for comment in visible])
    return [
        (
            comment.pk,
            render_comment(comment, authors[comment.author_id], Counts.decode(counts[comment.pk]), comment.pk in liked),
        )
        for comment in visible
    ]


def get_liked_comment_ids(viewer_id: int, comment_ids: Sequence[int]) -> set[int]:
    """Return the ids of the comments that the viewer likes."""
    likes = CommentLike.objects.using(DEFAULT_DB_ALIAS).filter(user_id=viewer_id, comment_id__in=comment_ids)
    return set(likes.values_list("comment_id", flat=True))


def render_comment(comment: Comment, author_summary: bytes, counts: Counts, liked: bool) -> bytes:
    """Return the JSON of a comment as one viewer sees it."""
    fields = {
        "id": str(comment.pk),
        "post_id": str(comment.post_id),
        "text": comment.text,
        "reply_to": optional_id(comment.reply_to_id),
        "mentions": entities.extract_mentions(comment.text),
        "hashtags": entities.extract_hashtags(comment.text),
        "like_count": counts.likes,
        "liked": liked,
        "created_at": rfc3339(comment.created_at),
    }
    body = compact_json.encode(fields)
    return b'%b,"author":%b}' % (body[:-1], author_summary)
