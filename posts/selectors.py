"""Lists of post, save and comment ids. The views render them with `posts.post_parts`, `posts.visibility` or
`posts.comment_selectors`, which leave out what the viewer cannot see."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import DEFAULT_DB_ALIAS

from instafeed.core.api.pagination.filtered import Candidates
from instafeed.core.db.keyset import BoundedScan, fetch_ids
from instafeed.core.db.replicas import session
from posts.models import Comment, Like, Post, Save
from social.user_lists import UserList

LIKERS = UserList("likers", Like, "post", "user")


def list_post_ids_by_author(author_id: int, before: int | None, limit: int) -> tuple[list[int], bool]:
    """Return the author's next `limit` post ids below `before`, newest first, and whether the list ends there."""
    posts = Post.objects.filter(author_id=author_id, hidden_at=None, deleted_at=None)
    return fetch_ids(posts, "id", before, limit, reading_after=session.reading_before_id)


def list_save_ids(user_id: int, before: int | None, limit: int) -> tuple[list[int], bool]:
    """Return the user's next `limit` save ids below `before`, newest first, and whether the list ends there."""
    with session.use_primary():  # the user's own list, rarely read
        return fetch_ids(Save.objects.filter(user_id=user_id), "id", before, limit)


def get_post_ids_by_save(save_ids: Sequence[int]) -> dict[int, int]:
    """Return the post id of each save."""
    return dict(Save.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=save_ids).values_list("pk", "post_id"))


SHOWN_COMMENTS = BoundedScan(
    Comment,
    rows="SELECT id, author_id, hidden_at FROM posts_comment WHERE post_id = %(post_id)s AND id > %(after)s",
    joins="""
        JOIN accounts_user AS author ON author.id = row.author_id AND author.is_active
        WHERE row.hidden_at IS NULL
    """,
    descending=False,
)


def list_comment_ids(post_id: int, after: int | None, limit: int) -> Candidates[int]:
    """Return the next comment ids above `after`, oldest first: up to `limit` that are shown to anyone."""
    return Candidates(*SHOWN_COMMENTS.fetch({"post_id": post_id}, after, limit))
