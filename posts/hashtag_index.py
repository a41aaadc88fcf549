"""The index of hashtags by post: updated with the caption, read as the posts of a hashtag or searched by prefix.

The index holds every post. Readers leave out posts that the viewer cannot see, so that a suspension, a block or
an account that turns private takes effect at once and rewrites no index rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Exists, OuterRef

from instafeed.core import compact_json
from instafeed.core.api.pagination.filtered import Candidates
from instafeed.core.db.keyset import BoundedScan
from instafeed.core.db.replicas import session
from posts import entities
from posts.models import Hashtag, PostHashtag

MIN_BATCH_SIZE = 20  # hashtags per read, so that filling a page takes few reads when many hashtags are left out
MAX_POST_COUNT = 100  # visible posts of a hashtag; counting stops there
MAX_USES_SCANNED = 200  # the newest uses of a hashtag, searched for visible posts
MAX_OLDER_USES_SCANNED = 10_000  # per read, for the hashtags whose newest uses are all invisible
MAX_SEARCH_BATCH_SIZE = 101  # hashtags per read: the uses of each are searched


class HashtagRef(NamedTuple):
    """A hashtag's position in the list of hashtags, which is ordered by name."""

    name: str
    hashtag_id: int = 0


# Raw SQL: Django has no FOR KEY SHARE, which keeps `_delete_unused` from deleting the hashtags before the commit. A
# stronger lock would make posts with the same hashtag wait.
_LINK_SQL = """
WITH tag AS (
    SELECT id, name FROM posts_hashtag WHERE name = ANY(%(names)s) ORDER BY id FOR KEY SHARE
), linked AS (
    INSERT INTO posts_posthashtag (hashtag_id, post_id) SELECT id, %(post)s FROM tag ON CONFLICT DO NOTHING
)
SELECT name FROM tag
"""


def index_new_post(post_id: int, caption: str) -> None:
    """Add a new post. Call this last in the transaction: the row of a new hashtag stays locked until the commit."""
    _link(post_id, set(entities.extract_folded_hashtags(caption)))


def index_caption(post_id: int, caption: str) -> None:
    """Make the post's hashtags in the index equal to those of its edited caption. Call this last in the transaction."""
    wanted = set(entities.extract_folded_hashtags(caption))
    known = dict(PostHashtag.objects.filter(post_id=post_id).values_list("hashtag__name", "hashtag_id"))
    removed = [hashtag_id for name, hashtag_id in known.items() if name not in wanted]
    _link(post_id, wanted - known.keys())
    if removed:
        PostHashtag.objects.filter(post_id=post_id, hashtag_id__in=removed).delete()
        _delete_unused(removed)  # last, as it waits for no lock: two captions may swap their hashtags


def _link(post_id: int, names: set[str]) -> None:
    """Link the post to these hashtags; insert those that are new."""
    missing = _link_existing(post_id, names)
    while missing:
        # Two transactions may insert the same new hashtags at once. Both insert in the order of names, so one waits
        # for the other and they cannot deadlock. The next statement reads the rows of either transaction, unless they
        # have been deleted as unused meanwhile.
        Hashtag.objects.bulk_create([Hashtag(name=name) for name in sorted(missing)], ignore_conflicts=True)
        missing = _link_existing(post_id, missing)


def _link_existing(post_id: int, names: set[str]) -> set[str]:
    """Link the post to those of the hashtags that exist. Return the names of the others."""
    if not names:
        return names
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_LINK_SQL, {"names": sorted(names), "post": post_id})
        return names - {name for (name,) in cursor.fetchall()}


def remove_posts(post_ids: Collection[int]) -> None:
    """Remove posts that are being purged from the index."""
    uses = PostHashtag.objects.filter(post_id__in=post_ids)
    hashtag_ids = set(uses.values_list("hashtag_id", flat=True))
    uses.delete()
    _delete_unused(hashtag_ids)


def _delete_unused(hashtag_ids: Collection[int]) -> None:
    """Delete those of the hashtags that no post uses. Skip those that another transaction is about to use."""
    is_used = Exists(PostHashtag.objects.filter(hashtag=OuterRef("pk")))
    unused = Hashtag.objects.filter(~is_used, pk__in=hashtag_ids).order_by("pk")
    locked = list(unused.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True))
    # Checked again: a use may have been committed between the snapshot and the lock.
    Hashtag.objects.filter(~is_used, pk__in=locked).delete()


PUBLIC_USES = BoundedScan(
    PostHashtag,
    rows="""
        SELECT post_id AS id FROM posts_posthashtag
        WHERE hashtag_id = (SELECT id FROM posts_hashtag WHERE name = %(name)s) AND post_id < %(after)s
    """,
    joins="""
        JOIN posts_post AS post ON post.id = row.id AND post.hidden_at IS NULL AND post.deleted_at IS NULL
        JOIN accounts_user AS author ON author.id = post.author_id AND author.is_active AND NOT author.is_private
    """,
)


def list_post_ids(name: str, before: int | None, limit: int) -> Candidates[int]:
    """Return the next post ids of a hashtag below `before`, newest first: up to `limit` of public accounts."""
    return Candidates(*PUBLIC_USES.fetch({"name": name}, before, limit, session.reading_before_id))


def find_by_prefix(prefix: str, after: HashtagRef | None, limit: int) -> tuple[list[HashtagRef], bool]:
    """Return the next hashtags after `after` that begin with the prefix, and whether the list ends there.

    `prefix` is a result of `entities.parse_hashtag_prefix`. The hashtags are ordered by name and not yet filtered by
    visibility: `render_visible_hashtags` does that.
    """
    tags, count = (
        Hashtag.objects.filter(name__startswith=prefix),
        min(max(limit, MIN_BATCH_SIZE), MAX_SEARCH_BATCH_SIZE),
    )
    if after is not None:
        tags = tags.filter(name__gt=after.name)
    # The previous page may come from a server that was ahead of a replica. Leave no gap between the pages.
    with nullcontext() if after is None else session.use_primary():
        found = [HashtagRef(*row) for row in tags.order_by("name").values_list("name", "pk")[:count]]
    return found, len(found) < count


def render_visible_hashtags(viewer_id: int, tags: Sequence[HashtagRef]) -> list[tuple[HashtagRef, bytes]]:
    """Return the hashtags used by a public post that the viewer can see, each with its JSON.

    The newest MAX_USES_SCANNED uses of each hashtag are examined, in one query on the primary. Hashtags without a
    visible post among them share a second search of MAX_OLDER_USES_SCANNED uses, because private accounts must not be
    able to hide a hashtag by using it often. A hashtag whose visible posts are all older is left out.
    """
    ids = [tag.hashtag_id for tag in tags]
    counts = _count_visible_posts(viewer_id, ids, MAX_USES_SCANNED)
    if missing := [hashtag_id for hashtag_id in ids if hashtag_id not in counts]:
        counts |= _count_visible_posts(viewer_id, missing, MAX_OLDER_USES_SCANNED // len(missing))
    return [(tag, _render_hashtag(tag.name, counts[tag.hashtag_id])) for tag in tags if tag.hashtag_id in counts]


def _count_visible_posts(viewer_id: int, hashtag_ids: list[int], max_uses: int) -> dict[int, int]:
    """Return the number of visible posts, up to MAX_POST_COUNT, of each hashtag with any among its newest uses."""
    bounds = {"max_uses": max_uses, "max_count": MAX_POST_COUNT}
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_VISIBLE_POST_COUNTS_SQL, {"tags": hashtag_ids, "viewer": viewer_id, **bounds})
        return dict(cursor.fetchall())


def _render_hashtag(name: str, post_count: int) -> bytes:
    return compact_json.encode({"name": entities.display_hashtag(name), "post_count": post_count})


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
