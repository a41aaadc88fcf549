"""Which posts exist for a viewer; whatever does not is Http404, or left out of lists.

A post exists for a viewer if it is neither deleted nor hidden, its pictures are ready (or the viewer its author), its
author is active, there is no block between the two, and the author is public, followed, or the viewer. Decided at
every read, on the primary; only a feed's page, which must do without SQL, goes by cards (`feeds.render`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Q
from django.http import Http404

from accounts.user_cache import get_user_summaries
from posts import rendering
from posts.models import Post
from social.selectors import fetch_relationships

# Raw, because every like, comment and read of a post asks it: building the same in the ORM, with the relation's six
# subqueries, was nearly half of a like (cProfile: 0.88 of 2.05 s over 50 likes).
_VISIBLE_POST_AUTHOR_SQL = """
SELECT author.id FROM posts_post AS post JOIN accounts_user AS author ON author.id = post.author_id
WHERE post.id = %(post)s AND post.deleted_at IS NULL AND post.hidden_at IS NULL AND author.is_active
  AND (author.id = %(viewer)s OR (
    NOT post.waiting AND (NOT author.is_private
     OR EXISTS (SELECT FROM social_follow WHERE followee_id = author.id AND follower_id = %(viewer)s))
    AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = author.id AND blocked_id = %(viewer)s)
    AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = %(viewer)s AND blocked_id = author.id)
  ))
"""


def get_visible_post_author_id(viewer_id: int | None, post_id: int) -> int:
    """The post's author; Http404 if the post does not exist for this viewer. One query."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_VISIBLE_POST_AUTHOR_SQL, {"post": post_id, "viewer": viewer_id or 0})  # nobody has the id 0
        row = cursor.fetchone()
    if row is None:
        raise Http404
    return int(row[0])


def render_visible_post(viewer_id: int | None, post_id: int) -> bytes:
    """The post's JSON; Http404 if it does not exist for this viewer."""
    get_visible_post_author_id(viewer_id, post_id)
    shown = rendering.render_posts(viewer_id, [post_id])
    if not shown:
        raise Http404
    return shown[0][1]


def render_visible_posts(
    viewer_id: int | None, post_ids: Sequence[int], *, public_only: bool = False, unmuted_only: bool = False
) -> list[tuple[int, bytes]]:
    """Id and JSON of those posts that exist for the viewer, in the order given; for `filled_page`.

    Two queries when warm, whatever their number. `public_only` leaves out posts of private accounts even
    for their followers, `unmuted_only` those of authors whom the viewer muted.
    """
    authors = _get_visible_author_ids(viewer_id, post_ids, public_only=public_only, unmuted_only=unmuted_only)
    seen = [post_id for post_id in post_ids if post_id in authors]
    return rendering.load_parts(viewer_id, seen).rendered(seen, get_user_summaries(authors.values()))


def get_visible_post_ids(viewer_id: int | None, post_ids: Iterable[int]) -> set[int]:
    """Those of these posts that exist for the viewer; two queries."""
    return set(_get_visible_author_ids(viewer_id, list(post_ids)))


def _get_visible_author_ids(
    viewer_id: int | None, post_ids: Collection[int], *, public_only: bool = False, unmuted_only: bool = False
) -> dict[int, int]:
    """Author by post, of those that exist for the viewer."""
    if not post_ids:
        return {}
    posts = Post.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=post_ids, deleted_at=None, hidden_at=None)
    posts = posts.filter(Q(waiting=False) | Q(author=viewer_id or 0), author__is_active=True)
    if public_only:
        posts = posts.filter(author__is_private=False)
    rows = list(posts.values_list("pk", "author_id", "author__is_private"))
    private = {author_id: is_private for _, author_id, is_private in rows}
    seen = _filter_visible_authors(viewer_id, private, unmuted_only=unmuted_only)
    return {post_id: author_id for post_id, author_id, _ in rows if author_id in seen}


def _filter_visible_authors(viewer_id: int | None, private: dict[int, bool], *, unmuted_only: bool) -> set[int]:
    """Those of these active authors, given with their privacy, whose posts exist for the viewer."""
    if viewer_id is None:
        return {author_id for author_id, is_private in private.items() if not is_private}
    relations = fetch_relationships(viewer_id, private)
    return {
        author_id
        for author_id, is_private in private.items()
        if author_id == viewer_id
        or (relations[author_id].can_view_posts(is_private) and not (unmuted_only and relations[author_id].muting))
    }
