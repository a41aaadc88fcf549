"""What others wrote to a user: comments on their posts, replies to their comments, and mentions.

Someone who writes to a user and then blocks them must not escape the user's actions. So the user may report this post
or comment, and may block and report its author (`social.visibility.get_reachable_user`), whichever of the two blocks
the other. Deleted and hidden content and suspended accounts stay out of reach.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections
from django.http import Http404

from accounts.models import User
from posts import entities
from posts.comment_selectors import get_visible_comment
from posts.mentions import MAX_NOTIFIED_MENTIONS
from posts.models import Comment, Post, PostMention
from posts.visibility import get_visible_post_author_id

MAX_SEARCHED = 10_000  # the newest posts and comments of a writer, each
_MAX_CANDIDATES = 1_000  # comments that contain the user's name

# Raw SQL: the ORM cannot join behind a LIMIT, nor ask for all this in one round trip. The pattern finds the name where
# it is not the beginning of a longer one; `entities` decides whether this is a mention.
_CONTACT_SQL = r"""
WITH comment AS NOT MATERIALIZED (
    SELECT id, post_id, reply_to_id, text FROM posts_comment
    WHERE author_id = %(writer)s ORDER BY id DESC LIMIT %(limit)s
), own AS NOT MATERIALIZED (
    SELECT id, deleted_at FROM posts_post WHERE author_id = %(writer)s ORDER BY id DESC LIMIT %(limit)s
)
SELECT
    EXISTS (
        SELECT FROM comment JOIN posts_post AS post ON post.id = comment.post_id AND post.deleted_at IS NULL
        LEFT JOIN posts_comment AS answered ON answered.id = comment.reply_to_id
        WHERE post.author_id = %(user)s OR answered.author_id = %(user)s
    ) OR EXISTS (
        SELECT FROM own JOIN posts_postmention AS mention ON mention.post_id = own.id
        WHERE mention.user_id = %(user)s AND own.deleted_at IS NULL
    ),
    reader.username,
    ARRAY(
        SELECT comment.text FROM comment
        JOIN posts_post AS post ON post.id = comment.post_id AND post.deleted_at IS NULL
        WHERE comment.text ~* ('[@＠]' || replace(reader.username, '.', '\.') || '(?!\.*[a-z0-9_])')
        LIMIT %(candidates)s
    )
FROM accounts_user AS reader WHERE reader.id = %(user)s
"""


def has_contacted(user_id: int, writer_id: int) -> bool:
    """Return whether the writer has written to the user, among the writer's newest MAX_SEARCHED posts and comments.

    A mention in a comment counts by the user's present name. One query.
    """
    parameters = {"user": user_id, "writer": writer_id, "limit": MAX_SEARCHED, "candidates": _MAX_CANDIDATES}
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_CONTACT_SQL, parameters)
        row = cursor.fetchone()
    if row is None:
        return False
    is_found, username, texts = row
    return is_found or any(username in _list_notified_names(text) for text in texts)


def get_reportable_post_author_id(viewer_id: int, post_id: int) -> int:
    """Return the author's id of a post that the viewer sees, or that notified the viewer. Raises Http404."""
    posts = Post.objects.using(DEFAULT_DB_ALIAS).filter(pk=post_id, deleted_at=None, hidden_at=None)
    posts = posts.filter(author__is_active=True, media_pending=False)
    mentions = PostMention.objects.using(DEFAULT_DB_ALIAS).filter(user=viewer_id, post__in=posts)
    author_id = mentions.values_list("post__author", flat=True).first()
    return author_id or get_visible_post_author_id(viewer_id, post_id)


def get_reportable_comment(viewer_id: int, comment_id: int) -> Comment:
    """Return a comment that the viewer sees, or that was written to the viewer. Raises Http404."""
    comments = Comment.objects.using(DEFAULT_DB_ALIAS).filter(hidden_at=None, author__is_active=True)
    comments = comments.filter(post__deleted_at=None, post__author__deleted_at=None)
    comment = comments.select_related("post__author", "reply_to").filter(pk=comment_id).first()
    if comment is not None and _is_written_to(viewer_id, comment):
        return comment
    return get_visible_comment(viewer_id, comment_id)[0]


def _is_written_to(viewer_id: int, comment: Comment) -> bool:
    if comment.post.author_id == viewer_id or (comment.reply_to and comment.reply_to.author_id == viewer_id):
        return True
    names = _list_notified_names(comment.text)
    if not User.objects.using(DEFAULT_DB_ALIAS).filter(pk=viewer_id, username__in=names).exists():
        return False
    return _could_see(viewer_id, comment.post, comment.author_id)


def _could_see(viewer_id: int, post: Post, writer_id: int) -> bool:
    """Return whether the viewer sees the post, or would without a block, if it is by the writer of the comment too.

    A mention must not tell users that a post exists that they never saw.
    """
    if post.author_id == writer_id and not post.author.is_private:
        return post.hidden_at is None and not post.media_pending
    try:
        get_visible_post_author_id(viewer_id, post.pk)
    except Http404:
        return False
    return True


def _list_notified_names(text: str) -> list[str]:
    return entities.extract_mentions(text)[:MAX_NOTIFIED_MENTIONS]
