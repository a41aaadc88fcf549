"""Like and comment counts: exact in the database, and cached so that reading them costs no SQL.

A change adds to one slot of the subject (see `posts.models.counter`) inside the transaction of what is counted,
and drops the cached sum. Whoever changed something then stores the new sum, so that a post that is
liked a hundred times a second is still read from the cache. Two such writers may store in either order:
the sum with the larger version, which saw more changes, wins.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import Sum

from instafeed import keys
from instafeed.invalidation import invalidate
from instafeed.leases import ReadThrough
from instafeed.lua import Script
from instafeed.redis import CacheUnavailable, guarded
from posts.models import Counter

SLOTS = 8

# Raw: the ORM's upsert can't add to what is there. Rows are locked in the order of VALUES, which is sorted, so
# that two of these cannot wait for each other.
_MOVE = """
INSERT INTO posts_counter AS counter (subject_id, slot, likes, comments, version)
SELECT subject, slot, likes, comments, 1
FROM unnest(%s::bigint[], %s::smallint[], %s::int[], %s::int[]) AS change(subject, slot, likes, comments)
ORDER BY subject, slot
ON CONFLICT (subject_id, slot) DO UPDATE
SET likes = counter.likes + EXCLUDED.likes,
    comments = counter.comments + EXCLUDED.comments,
    version = counter.version + 1
"""
_store_newer = Script("""
local known = redis.call('GET', KEYS[1])
local version = known and tonumber(string.match(known, '^(%d+):'))
if not version or version < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
end
""")


@dataclass(frozen=True, slots=True)
class Counts:
    likes: int = 0
    comments: int = 0
    version: int = 0

    def encode(self) -> bytes:
        return b"%d:%d:%d" % (self.version, self.likes, self.comments)

    @classmethod
    def decode(cls, raw: bytes) -> Counts:
        version, likes, comments = map(int, raw.split(b":"))
        return cls(likes, comments, version)


def move(subject_id: int, *, likes: int = 0, comments: int = 0, also_drop: Iterable[str] = ()) -> None:
    """Count what the current transaction has just added to a post or comment, or taken from it.

    `also_drop`: other keys that the change makes stale, to be dropped in the same go.
    """
    move_many({subject_id: Counts(likes, comments)}, also_drop)


def move_many(changes: Mapping[int, Counts], also_drop: Iterable[str] = ()) -> None:
    """The same for several at once, in one statement."""
    if not changes:
        return
    rows = [(subject, random.randrange(SLOTS), change.likes, change.comments) for subject, change in changes.items()]
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_MOVE, [list(column) for column in zip(*rows, strict=True)])
    invalidate([*map(keys.count, changes), *also_drop])


def settled(subject_ids: Iterable[int]) -> dict[int, Counts]:
    """The counts as the database has them now, zero for what was never counted; one query on the primary."""
    wanted = list(subject_ids)
    sums = (
        Counter.objects.using(DEFAULT_DB_ALIAS)
        .filter(subject_id__in=wanted)
        .values_list("subject_id")
        .annotate(Sum("likes"), Sum("comments"), Sum("version"))
    )
    known = {subject: Counts(likes, comments, version) for subject, likes, comments, version in sums}
    return {subject: known.get(subject, Counts()) for subject in wanted}


def publish(subject_id: int) -> Counts:
    """The counts after the caller's committed change, which readers get from the cache from now on."""
    counts = settled([subject_id])[subject_id]
    if transaction.get_connection(DEFAULT_DB_ALIAS).in_atomic_block:
        return counts  # not committed yet: for the caller's eyes only
    try:
        with guarded() as client:
            _store_newer(client, [keys.count(subject_id)], [counts.version, counts.encode(), keys.COUNT_TTL])
    except CacheUnavailable:
        pass  # dropped already, or about to be by the sweeper
    return counts


def forget(subject_ids: Sequence[int]) -> None:
    """Delete the counters of what is being purged."""
    Counter.objects.filter(subject_id__in=subject_ids).delete()
    invalidate(map(keys.count, subject_ids))


def _load(subject_ids: Sequence[int]) -> dict[int, bytes]:
    return {subject: counts.encode() for subject, counts in settled(subject_ids).items()}


counts = ReadThrough(keys.count, _load, keys.COUNT_TTL)
