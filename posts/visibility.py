"""Which posts a viewer can see. A post that they cannot see raises Http404 and is left out of lists.

A viewer sees a post if all of this holds:

* the post is neither deleted nor hidden, and its media are ready (or the viewer is its author);
* its author is active;
* neither of the two blocks the other;
* the author is public, or followed by the viewer, or is the viewer.

Every read checks this on the primary. Only a page of the feed, which must run without SQL, uses cached data instead
(`feeds.render`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Q
from django.http import Http404

from accounts.user_cache import get_user_summaries
from posts import post_parts
from posts.models import Post
from social.selectors import fetch_relationships

# The rows `post` and `author` of a post that the viewer can see; parameters `post` and `viewer`.
# Raw SQL, because it runs for every like, comment and read of a post: building the same query in the ORM, with six
# subqueries for the relationship, took nearly half of a like (cProfile: 0.88 of 2.05 s over 50 likes).
VISIBLE_POST_SQL = """
posts_post AS post JOIN accounts_user AS author ON author.id = post.author_id
WHERE post.id = %(post)s AND post.deleted_at IS NULL AND post.hidden_at IS NULL AND author.is_active
  AND (author.id = %(viewer)s OR (
    NOT post.media_pending AND (NOT author.is_private
     OR EXISTS (SELECT FROM social_follow WHERE followee_id = author.id AND follower_id = %(viewer)s))
    AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = author.id AND blocked_id = %(viewer)s)
    AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = %(viewer)s AND blocked_id = author.id)
  ))
"""
_VISIBLE_POST_AUTHOR_SQL = f"SELECT author.id FROM {VISIBLE_POST_SQL}"  # noqa: S608 (constants)


def get_visible_post_author_id(viewer_id: int | None, post_id: int) -> int:
    """Return the id of the post's author, in one query. Raises Http404 if the viewer cannot see the post."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_VISIBLE_POST_AUTHOR_SQL, {"post": post_id, "viewer": viewer_id or 0})  # no account has the id 0
        row = cursor.fetchone()
    if row is None:
        raise Http404
    return int(row[0])


def is_own_post(user_id: int, post_id: int) -> bool:
    """Return whether the post is the user's and not deleted. A moderator may have hidden it."""
    return Post.objects.using(DEFAULT_DB_ALIAS).filter(pk=post_id, author=user_id, deleted_at=None).exists()


def render_visible_post(viewer_id: int | None, post_id: int) -> bytes:
    """Return the post's JSON. Raises Http404 if the viewer cannot see the post."""
    get_visible_post_author_id(viewer_id, post_id)
    rendered = post_parts.render_posts(viewer_id, [post_id])
    if not rendered:
        raise Http404
    return rendered[0][1]


def render_visible_posts(
    viewer_id: int | None, post_ids: Sequence[int], *, public_only: bool = False, unmuted_only: bool = False
) -> list[tuple[int, bytes]]:
    """Return id and JSON of the posts that the viewer can see, in the given order, for `fetch_filtered_page`.

    Takes two queries when the cache is warm. `public_only` leaves out the posts of private accounts, even for their
    followers; `unmuted_only` leaves out the posts of authors whom the viewer mutes.
    """
    authors = _get_visible_author_ids(viewer_id, post_ids, public_only=public_only, unmuted_only=unmuted_only)
    visible = [post_id for post_id in post_ids if post_id in authors]
    return post_parts.load_parts(viewer_id, visible).render(visible, get_user_summaries(authors.values()))


def get_visible_post_ids(viewer_id: int | None, post_ids: Iterable[int]) -> set[int]:
    """Return the ids of the posts that the viewer can see, in two queries."""
    return set(_get_visible_author_ids(viewer_id, list(post_ids)))


def _get_visible_author_ids(
    viewer_id: int | None, post_ids: Collection[int], *, public_only: bool = False, unmuted_only: bool = False
) -> dict[int, int]:
    """Return the author id of each post that the viewer can see."""
    if not post_ids:
        return {}
    posts = Post.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=post_ids, deleted_at=None, hidden_at=None)
    posts = posts.filter(Q(media_pending=False) | Q(author=viewer_id or 0), author__is_active=True)
    if public_only:
        posts = posts.filter(author__is_private=False)
    rows = list(posts.values_list("pk", "author_id", "author__is_private"))
    privacy = {author_id: is_private for _, author_id, is_private in rows}
    visible = _filter_visible_authors(viewer_id, privacy, unmuted_only=unmuted_only)
    return {post_id: author_id for post_id, author_id, _ in rows if author_id in visible}


def _filter_visible_authors(viewer_id: int | None, privacy: dict[int, bool], *, unmuted_only: bool) -> set[int]:
    """Return the authors whose posts the viewer can see. `privacy` maps active authors to whether they are private."""
    if viewer_id is None:
        return {author_id for author_id, is_private in privacy.items() if not is_private}
    relations = fetch_relationships(viewer_id, privacy)
    return {
        author_id
        for author_id, is_private in privacy.items()
        if author_id == viewer_id
        or (relations[author_id].can_view_posts(is_private) and not (unmuted_only and relations[author_id].muting))
    }
