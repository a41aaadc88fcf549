"""Which post uses which hashtags: kept with the caption, read as a list of posts or found by a prefix.

The index holds every post, whoever may see it: what a viewer may not see is left out when it is read, so
that turning private, a suspension or a block takes effect at once and costs no rewriting.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import MAX_ID, timestamp_of_id
from posts import entities
from posts.models import Hashtag, PostHashtag

MIN_BATCH_SIZE = 20  # tags at least, so that refilling a page from which many were left out takes few rounds
MAX_POST_COUNT = 100  # posts of a tag that a viewer sees; more are not counted
MAX_USES_SCANNED = 1_000  # the newest uses of a tag, among which they are looked for


class HashtagRef(NamedTuple):
    """A hashtag, as it stands in the order of names."""

    name: str
    hashtag_id: int = 0


def index_caption(post_id: int, caption: str) -> None:
    """Note the hashtags of a caption that the current transaction has given to the post, and no others.

    Last in the transaction: a tag that nobody has used before is locked from here to the commit.
    """
    wanted = set(entities.extract_hashtags(caption))
    known = dict(PostHashtag.objects.filter(post_id=post_id).values_list("hashtag__name", "hashtag_id"))
    gone = [hashtag_id for name, hashtag_id in known.items() if name not in wanted]
    if gone:
        PostHashtag.objects.filter(post_id=post_id, hashtag_id__in=gone).delete()
    new = wanted - known.keys()
    if new:
        links = [PostHashtag(hashtag_id=hashtag_id, post_id=post_id) for hashtag_id in _get_or_create_ids(new)]
        PostHashtag.objects.bulk_create(links, ignore_conflicts=True)


def _get_or_create_ids(names: set[str]) -> list[int]:
    """The hashtags' ids, made where they are new; ascending."""
    existing = dict(Hashtag.objects.filter(name__in=names).values_list("name", "pk"))
    missing = sorted(names - existing.keys())
    if missing:
        # Two posts may bring the same new tags at once: one waits for the other at the first that they share,
        # and as both go by name, never the other for the one. The next statement sees whosever row it is.
        Hashtag.objects.bulk_create([Hashtag(name=name) for name in missing], ignore_conflicts=True)
        existing |= dict(Hashtag.objects.filter(name__in=missing).values_list("name", "pk"))
    return sorted(existing.values())


def list_post_ids(name: str, before: int | None, wanted: int) -> tuple[list[int], bool]:
    """The hashtag's next `wanted` post ids below the cursor, newest first, and whether these are the last."""
    # Compared with a subquery's one value, not joined: only so the planner knows that the index has the order.
    uses = PostHashtag.objects.filter(hashtag_id=Hashtag.objects.filter(name=name).values("pk")[:1])
    if before is None:
        ids = list(uses.order_by("-post_id").values_list("post_id", flat=True)[:wanted])
    else:
        # The page before may have come from a server that was ahead of this one: no hole between them.
        with session.reading_before(timestamp_of_id(min(before, MAX_ID))):
            ids = list(uses.filter(post_id__lt=before).order_by("-post_id").values_list("post_id", flat=True)[:wanted])
    return ids, len(ids) < wanted


def find_by_prefix(prefix: str, after: HashtagRef | None, wanted: int) -> tuple[list[HashtagRef], bool]:
    """Some `wanted` hashtags behind `after` that begin with the prefix, by name, and whether these are the last.

    `prefix` is what `entities.parse_hashtag_prefix` gave. Whether anybody may know of them is for `render_visible_hashtags` to say.
    """
    tags, count = Hashtag.objects.filter(name__startswith=prefix), max(wanted, MIN_BATCH_SIZE)
    if after is None:
        found = [HashtagRef(*row) for row in tags.order_by("name").values_list("name", "pk")[:count]]
    else:
        # The page before may have come from a server that was ahead of a replica: no hole between them.
        with session.use_primary():
            tags = tags.filter(name__gt=after.name)
            found = [HashtagRef(*row) for row in tags.order_by("name").values_list("name", "pk")[:count]]
    return found, len(found) < count


def render_visible_hashtags(viewer_id: int, tags: Sequence[HashtagRef]) -> list[tuple[HashtagRef, bytes]]:
    """Those tags that a public post which the viewer may see uses, each with its JSON; one query on the primary.

    What is looked at and what is counted is bounded: a tag whose newest thousand uses are all out of sight is not
    found, though an older one might be seen.
    """
    if not tags:
        return []
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        ids = [tag.hashtag_id for tag in tags]
        bounds = {"looked_at": MAX_USES_SCANNED, "counted": MAX_POST_COUNT}
        cursor.execute(_VISIBLE_POST_COUNTS_SQL, {"tags": ids, "viewer": viewer_id, **bounds})
        counts = dict(cursor.fetchall())
    return [(tag, _render(tag.name, counts[tag.hashtag_id])) for tag in tags if tag.hashtag_id in counts]


def _render(name: str, count: int) -> bytes:
    return json.dumps({"name": name, "post_count": count}, ensure_ascii=False, separators=(",", ":")).encode()


# Raw: the ORM has no LATERAL, with which each tag's newest uses are read off the end of its part of the index,
# and no further than it takes.
_VISIBLE_POST_COUNTS_SQL = """
SELECT tag.id, count(*)
FROM unnest(%(tags)s::bigint[]) AS tag (id)
CROSS JOIN LATERAL (
    SELECT FROM (
        SELECT post_id FROM posts_posthashtag WHERE hashtag_id = tag.id ORDER BY post_id DESC LIMIT %(looked_at)s
    ) AS used
    JOIN posts_post AS post ON post.id = used.post_id AND post.hidden_at IS NULL AND post.deleted_at IS NULL
      AND (NOT post.waiting OR post.author_id = %(viewer)s)
    JOIN accounts_user AS author ON author.id = post.author_id AND author.is_active AND NOT author.is_private
    WHERE NOT EXISTS (SELECT FROM social_block WHERE blocker_id = %(viewer)s AND blocked_id = author.id)
      AND NOT EXISTS (SELECT FROM social_block WHERE blocker_id = author.id AND blocked_id = %(viewer)s)
    LIMIT %(counted)s
) AS seen
GROUP BY tag.id
"""
