"""The index of hashtags by post: updated with the caption, read as the posts of a hashtag or searched by prefix.

The index holds every post. Readers leave out posts that the viewer cannot see, so that a suspension, a block or
an account that turns private takes effect at once and rewrites no index rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from instafeed.core import compact_json
from instafeed.core.db.keyset import fetch_ids
from instafeed.core.db.replicas import session
from posts import entities
from posts.models import Hashtag, PostHashtag

MIN_BATCH_SIZE = 20  # hashtags per read, so that filling a page takes few reads when many hashtags are left out
MAX_POST_COUNT = 100  # visible posts of a hashtag; counting stops there
MAX_USES_SCANNED = 1_000  # the newest uses of a hashtag, searched for visible posts


class HashtagRef(NamedTuple):
    """A hashtag's position in the list of hashtags, which is ordered by name."""

    name: str
    hashtag_id: int = 0


def index_caption(post_id: int, caption: str) -> None:
    """Make the post's hashtags in the index equal to those of its new caption.

    Call this last in the transaction: the row of a new hashtag stays locked until the commit.
    """
    wanted = set(entities.extract_hashtags(caption))
    known = dict(PostHashtag.objects.filter(post_id=post_id).values_list("hashtag__name", "hashtag_id"))
    removed = [hashtag_id for name, hashtag_id in known.items() if name not in wanted]
    if removed:
        PostHashtag.objects.filter(post_id=post_id, hashtag_id__in=removed).delete()
    new = wanted - known.keys()
    if new:
        links = [PostHashtag(hashtag_id=hashtag_id, post_id=post_id) for hashtag_id in _get_or_create_ids(new)]
        PostHashtag.objects.bulk_create(links, ignore_conflicts=True)


def _get_or_create_ids(names: set[str]) -> list[int]:
    """Return the ids of the hashtags in ascending order; insert those that are new."""
    existing = dict(Hashtag.objects.filter(name__in=names).values_list("name", "pk"))
    missing = sorted(names - existing.keys())
    if missing:
        # Two transactions may insert the same new hashtags at once. Both insert in the order of names, so one waits
        # for the other and they cannot deadlock. The next statement reads the rows of either transaction.
        Hashtag.objects.bulk_create([Hashtag(name=name) for name in missing], ignore_conflicts=True)
        existing |= dict(Hashtag.objects.filter(name__in=missing).values_list("name", "pk"))
    return sorted(existing.values())


def list_post_ids(name: str, before: int | None, limit: int) -> tuple[list[int], bool]:
    """Return the next `limit` post ids of a hashtag below `before`, newest first, and whether the list ends there."""
    # A subquery with one value instead of a join: only then does the planner use the order of the index.
    uses = PostHashtag.objects.filter(hashtag_id=Hashtag.objects.filter(name=name).values("pk")[:1])
    return fetch_ids(uses, "post_id", before, limit, reading_after=session.reading_before_id)


def find_by_prefix(prefix: str, after: HashtagRef | None, limit: int) -> tuple[list[HashtagRef], bool]:
    """Return at least `limit` hashtags after `after` that begin with the prefix, and whether the list ends there.

    `prefix` is a result of `entities.parse_hashtag_prefix`. The hashtags are ordered by name and not yet filtered by
    visibility: `render_visible_hashtags` does that.
    """
    tags, count = Hashtag.objects.filter(name__startswith=prefix), max(limit, MIN_BATCH_SIZE)
    if after is not None:
        tags = tags.filter(name__gt=after.name)
    # The previous page may come from a server that was ahead of a replica. Leave no gap between the pages.
    with nullcontext() if after is None else session.use_primary():
        found = [HashtagRef(*row) for row in tags.order_by("name").values_list("name", "pk")[:count]]
    return found, len(found) < count


def render_visible_hashtags(viewer_id: int, tags: Sequence[HashtagRef]) -> list[tuple[HashtagRef, bytes]]:
    """Return the hashtags used by a public post that the viewer can see, each with its JSON.

    Takes one query on the primary. Only the newest MAX_USES_SCANNED uses are examined, so a hashtag whose visible
    posts are all older is left out.
    """
    if not tags:
        return []
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        ids = [tag.hashtag_id for tag in tags]
        bounds = {"max_uses": MAX_USES_SCANNED, "max_count": MAX_POST_COUNT}
        cursor.execute(_VISIBLE_POST_COUNTS_SQL, {"tags": ids, "viewer": viewer_id, **bounds})
        counts = dict(cursor.fetchall())
    return [
        (tag, compact_json.encode({"name": tag.name, "post_count": counts[tag.hashtag_id]}))
        for tag in tags
        if tag.hashtag_id in counts
    ]


# Raw SQL, because the ORM has no LATERAL. It reads each hashtag's newest uses from the end of its range of the index,
# and stops as soon as the count is reached.
_VISIBLE_POST_COUNTS_SQL = """
SELECT tag.id, count(*)
FROM unnest(%(tags)s::bigint[]) AS tag (id)
CROSS JOIN LATERAL (
    SELECT FROM (
        SELECT post_id FROM posts_posthashtag WHERE hashtag_id = tag.id ORDER BY post_id DESC LIMIT %(max_uses)s
    ) AS usage
    JOIN posts_post AS post ON post.id = usage.post_id AND post.hidden_at IS NULL AND post.deleted_at IS NULL
      AND (NOT post.media_pending OR post.author_id = %(viewer)s)
    JOIN accounts_user AS author ON author.id = post.author_id AND author.is_active AND NOT author.is_private
    WHERE NOT EXISTS (SELECT FROM social_block WHERE blocker_id = %(viewer)s AND blocked_id = author.id)
      AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = author.id AND blocked_id = %(viewer)s)
    LIMIT %(max_count)s
) AS visible
GROUP BY tag.id
"""
