"""Buckets that missed deliveries because their server did not answer: their timelines are deleted once it does.

A server of a Redis Cluster may be down for long, and the posts of that time must reach the viewers of the others. So a
delivery goes on without it and records its bucket here, in PostgreSQL, before it is saved as done. The server may have
lost its memory, or have been frozen, or cut off from the workers only: then its timelines lack posts and look complete.
Posts that were delivered meanwhile are late in these feeds until the timelines are deleted and the next read rebuilds
them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import redis
from django.db import DEFAULT_DB_ALIAS, connections

from feeds import timeline_store
from feeds.models import MissedBucket
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask

# Raw SQL: the ORM's upsert cannot add to a column.
_RECORD_SQL = """
INSERT INTO feeds_missedbucket AS missed (bucket) SELECT unnest(%s::smallint[])
ON CONFLICT (bucket) DO UPDATE SET misses = missed.misses + 1
"""

eviction_task = CoalescedTask(queues.EVICT_MISSED_BUCKETS)
logger = logging.getLogger(__name__)


def record(buckets: Iterable[int]) -> None:
    """Record that deliveries to these buckets were missed."""
    missed = sorted(buckets)
    if not missed:
        return
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_RECORD_SQL, [missed])
    logger.warning("deliveries to buckets %s were missed", missed)


def sweep() -> None:
    """Request the task if a bucket is recorded."""
    if MissedBucket.objects.using(DEFAULT_DB_ALIAS).exists():
        eviction_task.request()


def evict_all() -> None:
    """Delete the timelines of the recorded buckets whose servers answer. The others are tried again."""
    eviction_task.begin_look()
    rows = MissedBucket.objects.using(DEFAULT_DB_ALIAS)
    for row in rows.order_by("bucket"):
        try:
            timeline_store.evict_bucket(row.bucket)
        except redis.RedisError as error:
            logger.warning("bucket %d is not evicted yet: %s", row.bucket, error)
        else:
            rows.filter(bucket=row.bucket, misses=row.misses).delete()  # not if another delivery was missed meanwhile
