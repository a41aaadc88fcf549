"""Like and comment counts of posts and comments: exact in the database, cached for readers.

The transaction that adds or removes a like or comment also changes one slot of the subject's counter
(`posts.models.counter`) and invalidates the cached sum. The next reader loads it (instafeed.core.cache.read_through).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections

from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.cache.read_through import ReadThroughCache
from posts.models import Counter

SLOT_COUNT = 8

# Raw SQL: the ORM's upsert cannot add to an existing value. Rows are locked in sorted order, so that two concurrent
# statements cannot deadlock.
_INCREMENT_SQL = """
INSERT INTO posts_counter AS counter (subject_id, slot, likes, comments)
SELECT subject, slot, likes, comments
FROM unnest(%s::bigint[], %s::smallint[], %s::int[], %s::int[]) AS change(subject, slot, likes, comments)
ORDER BY subject, slot
ON CONFLICT (subject_id, slot) DO UPDATE
SET likes = counter.likes + EXCLUDED.likes,
    comments = counter.comments + EXCLUDED.comments
"""


# Raw SQL, because it runs once per like.
_FETCH_COUNTS_SQL = """
SELECT subject_id, sum(likes)::bigint, sum(comments)::bigint FROM posts_counter
WHERE subject_id = ANY(%s::bigint[]) GROUP BY subject_id
"""


@dataclass(frozen=True, slots=True)
class Counts:
    likes: int = 0
    comments: int = 0

    def encode(self) -> bytes:
        return b"%d:%d" % (self.likes, self.comments)

    @classmethod
    def decode(cls, raw: bytes) -> Counts:
        likes, comments = map(int, raw.split(b":"))
        return cls(likes, comments)


def increment(subject_id: int, *, likes: int = 0, comments: int = 0, also_drop: Iterable[str] = ()) -> None:
    """Add to the counts of one post or comment in the current transaction; negative numbers subtract.

    `also_drop` names further cache keys to invalidate in the same round trip.
    """
    increment_many({subject_id: Counts(likes, comments)}, also_drop)


def increment_many(changes: Mapping[int, Counts], also_drop: Iterable[str] = ()) -> None:
    """Add to the counts of several posts or comments in one statement."""
    if not changes:
        return
    rows = [(subject, choose_slot(), change.likes, change.comments) for subject, change in changes.items()]
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_INCREMENT_SQL, [list(column) for column in zip(*rows, strict=True)])
    invalidate([*map(keys.count, changes), *also_drop])


def choose_slot() -> int:
    """Return the slot of a counter to change: a random one, so that few concurrent writers wait for each other."""
    return random.randrange(SLOT_COUNT)


def fetch_counts(subject_ids: Iterable[int]) -> dict[int, Counts]:
    """Return the current counts by subject from the primary, in one query. Subjects without a counter have zero."""
    wanted = list(subject_ids)
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_FETCH_COUNTS_SQL, [wanted])
        known = {subject: Counts(likes, comments) for subject, likes, comments in cursor.fetchall()}
    return {subject: known.get(subject, Counts()) for subject in wanted}


def fetch_subject_counts(subject_id: int) -> Counts:
    """Return the counts of one post or comment from the primary, after a write.

    Does not fill the cache: that would cost the writer three more round trips per like. The next reader fills it.
    """
    return fetch_counts([subject_id])[subject_id]


def delete_counters(subject_ids: Sequence[int]) -> None:
    """Delete the counters of posts or comments that are being purged."""
    Counter.objects.filter(subject_id__in=subject_ids).delete()
    invalidate(map(keys.count, subject_ids))


def _load_counts(subject_ids: Sequence[int]) -> dict[int, bytes]:
    return {subject: counts.encode() for subject, counts in fetch_counts(subject_ids).items()}


cached_counts = ReadThroughCache(keys.count, _load_counts, keys.COUNT_TTL)
