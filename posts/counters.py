"""Like and comment counts: exact in the database, and cached so that reading them costs no SQL.

A change adds to one slot of the subject (see `posts.models.counter`) inside the transaction of what is counted,
and drops the cached sum, which the next reader fetches through the cache (instafeed.core.cache.read_through).
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

# Raw: the ORM's upsert can't add to what is there. Rows are locked in the order of VALUES, which is sorted, so
# that two of these cannot wait for each other.
_INCREMENT_SQL = """
INSERT INTO posts_counter AS counter (subject_id, slot, likes, comments)
SELECT subject, slot, likes, comments
FROM unnest(%s::bigint[], %s::smallint[], %s::int[], %s::int[]) AS change(subject, slot, likes, comments)
ORDER BY subject, slot
ON CONFLICT (subject_id, slot) DO UPDATE
SET likes = counter.likes + EXCLUDED.likes,
    comments = counter.comments + EXCLUDED.comments
"""


# Raw, because every like asks it.
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
    """Count what the current transaction has just added to a post or comment, or taken from it.

    `also_drop`: other keys that the change makes stale, to be dropped in the same go.
    """
    increment_many({subject_id: Counts(likes, comments)}, also_drop)


def increment_many(changes: Mapping[int, Counts], also_drop: Iterable[str] = ()) -> None:
    """The same for several at once, in one statement."""
    if not changes:
        return
    rows = [
        (subject, random.randrange(SLOT_COUNT), change.likes, change.comments) for subject, change in changes.items()
    ]
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_INCREMENT_SQL, [list(column) for column in zip(*rows, strict=True)])
    invalidate([*map(keys.count, changes), *also_drop])


def fetch_counts(subject_ids: Iterable[int]) -> dict[int, Counts]:
    """The counts as the database has them now, zero for what was never counted; one query on the primary."""
    wanted = list(subject_ids)
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_FETCH_COUNTS_SQL, [wanted])
        known = {subject: Counts(likes, comments) for subject, likes, comments in cursor.fetchall()}
    return {subject: known.get(subject, Counts()) for subject in wanted}


def fetch_subject_counts(subject_id: int) -> Counts:
    """The counts of one post or comment as the database has them now, for whoever has just changed them.

    The cache is left to the next reader: there, a writer would pay three more round trips a like.
    """
    return fetch_counts([subject_id])[subject_id]


def delete_counters(subject_ids: Sequence[int]) -> None:
    """Delete the counters of what is being purged."""
    Counter.objects.filter(subject_id__in=subject_ids).delete()
    invalidate(map(keys.count, subject_ids))


def _load_counts(subject_ids: Sequence[int]) -> dict[int, bytes]:
    return {subject: counts.encode() for subject, counts in fetch_counts(subject_ids).items()}


cached_counts = ReadThroughCache(keys.count, _load_counts, keys.COUNT_TTL)
