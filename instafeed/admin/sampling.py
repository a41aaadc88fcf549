"""The dashboard's samples: once a minute, how every part is. What does not answer in time is null."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from feeds.models import FanOut, State
from instafeed import health, keys
from instafeed.admin.figures import NAMES, queue
from instafeed.ids import first_id_at
from instafeed.models import Sample
from instafeed.queues import QUEUES
from posts.models import Post, Report

logger = logging.getLogger(__name__)

KEPT = timedelta(days=7)
MINUTE = timedelta(minutes=1)
LAG_OVER = timedelta(minutes=5)  # fan-outs of posts that are no older
LAG_OF = 10_000  # of them, at most
MOST = 100_000  # rows that are counted
LOOKED_AT = 200  # keys, to tell how many are feeds
STATEMENT_LIMIT = "2s"

Values = dict[str, float | None]

# Of fan-outs under way their age so far, so that a stop shows at once.
_LAG = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
    ORDER BY extract(epoch FROM coalesce(finished_at, statement_timestamp()) - created_at)
)
FROM (
    SELECT created_at, finished_at FROM feeds_fanout
    WHERE post_id >= %s AND post_id < %s ORDER BY post_id DESC LIMIT %s
) AS recent
"""


def take() -> bool:
    """Write the sample of this minute and forget old ones; False if it is there already."""
    at = timezone.now().replace(second=0, microsecond=0)
    samples = Sample.objects.using(DEFAULT_DB_ALIAS)
    if samples.filter(pk=at).exists():
        return False
    samples.bulk_create([Sample(at=at, figures=measure(at))], ignore_conflicts=True)
    samples.filter(at__lt=at - KEPT).delete()
    return True


def measure(at: datetime) -> Values:
    """Every number of `figures.NAMES` as of now; rates are of the minute before `at`."""
    values: Values = dict.fromkeys(NAMES)
    for part in (_cache, _broker, _replica, lambda: _lag(at), _fan_outs, lambda: _written(at)):
        values.update(_asked(part))
    return values


def _asked(part: Callable[[], Values]) -> Values:
    """The part's numbers, none if it fails."""
    try:
        return part()
    except (redis.RedisError, DatabaseError, OSError) as error:
        logger.warning("the dashboard goes without some numbers: %s", type(error).__name__)
        return {}


def _cache() -> Values:
    with health.bounded_client(settings.REDIS_URL).pipeline(transaction=False) as pipeline:
        pipeline.info("memory")
        pipeline.dbsize()
        for _ in range(LOOKED_AT):
            pipeline.randomkey()
        memory, size, *names = pipeline.execute()
    feeds = sum(name is not None and name.startswith(keys.FEED_PREFIX.encode()) for name in names)
    return {"memory_cache": memory["used_memory"], "feeds_warm": round(size * feeds / LOOKED_AT)}


def _broker() -> Values:
    """Reads only, unlike /health: how much waits matters most in a broker that takes nothing more."""
    with health.bounded_client(settings.CELERY_BROKER_URL).pipeline(transaction=False) as pipeline:
        pipeline.info("memory")
        for name in QUEUES:
            pipeline.llen(name)
        memory, *depths = pipeline.execute()
    return {"memory_broker": memory["used_memory"], **dict(zip(map(queue, QUEUES), depths, strict=True))}


def _replica() -> Values:
    return {"replica_lag": health.replica().get("lag_seconds")}


@contextmanager
def _primary() -> Iterator[CursorWrapper]:
    """The primary, which gives every statement up after STATEMENT_LIMIT."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_LIMIT}'")
        yield cursor


def _lag(at: datetime) -> Values:
    ids = first_id_at(at - LAG_OVER), first_id_at(timezone.now())
    with _primary() as cursor:
        cursor.execute(_LAG, [*ids, LAG_OF])
        p50, p99 = cursor.fetchone()[0] or (None, None)
    return {"lag_p50": p50, "lag_p99": p99}


def _fan_outs() -> Values:
    """Both answered by partial indexes, which hold nothing else."""
    fan_outs = FanOut.objects.using(DEFAULT_DB_ALIAS).order_by().values("pk")
    under_way = fan_outs.filter(state__in=[State.PENDING, State.RUNNING])
    dead = fan_outs.filter(state=State.DEAD)
    with _primary():
        return {"fan_outs_open": under_way[:MOST].count(), "fan_outs_dead": dead[:MOST].count()}


def _written(at: datetime) -> Values:
    """What the last full minute brought: ids are times."""
    minute = {"pk__gte": first_id_at(at - MINUTE), "pk__lt": first_id_at(at)}
    posts, reports = (model.objects.using(DEFAULT_DB_ALIAS).filter(**minute) for model in (Post, Report))
    with _primary():
        return {"posts": posts.count(), "reports": reports.count()}
