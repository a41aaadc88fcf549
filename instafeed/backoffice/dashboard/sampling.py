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
from instafeed.backoffice.dashboard.panels import METRIC_NAMES, queue_metric
from instafeed.core.cache import keys
from instafeed.core.db.snowflake import first_id_at
from instafeed.core.jobs.queues import QUEUES
from instafeed.core.models import Sample
from instafeed.core.observability import health
from posts.models import Post, Report

logger = logging.getLogger(__name__)

SAMPLE_RETENTION = timedelta(days=7)
MINUTE = timedelta(minutes=1)
LAG_WINDOW = timedelta(minutes=5)  # fan-outs of posts that are no older
MAX_LAG_ROWS = 10_000  # of them, at most
MAX_COUNTED_ROWS = 100_000  # rows that are counted
KEY_SAMPLE_SIZE = 200  # keys, to tell how many are feeds
STATEMENT_TIMEOUT = "2s"

Values = dict[str, float | None]

# Of fan-outs under way their age so far, so that a stop shows at once.
_LAG_SQL = """
SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
    ORDER BY extract(epoch FROM coalesce(finished_at, statement_timestamp()) - created_at)
)
FROM (
    SELECT created_at, finished_at FROM feeds_fanout
    WHERE post_id >= %s AND post_id < %s ORDER BY post_id DESC LIMIT %s
) AS recent
"""


def take_sample() -> bool:
    """Write the sample of this minute and forget old ones; False if it is there already."""
    at = timezone.now().replace(second=0, microsecond=0)
    samples = Sample.objects.using(DEFAULT_DB_ALIAS)
    if samples.filter(pk=at).exists():
        return False
    samples.bulk_create([Sample(at=at, figures=measure(at))], ignore_conflicts=True)
    samples.filter(at__lt=at - SAMPLE_RETENTION).delete()
    return True


def measure(at: datetime) -> Values:
    """Every number of `figures.NAMES` as of now; rates are of the minute before `at`."""
    values: Values = dict.fromkeys(METRIC_NAMES)
    for part in (
        _measure_cache,
        _measure_broker,
        _measure_replica,
        lambda: _measure_fan_out_lag(at),
        _count_fan_outs,
        lambda: _count_new_rows(at),
    ):
        values.update(_measure_or_skip(part))
    return values


def _measure_or_skip(part: Callable[[], Values]) -> Values:
    """The part's numbers, none if it fails."""
    try:
        return part()
    except (redis.RedisError, DatabaseError, OSError) as error:
        logger.warning("the dashboard goes without some numbers: %s", type(error).__name__)
        return {}


def _measure_cache() -> Values:
    with health.redis_client(settings.REDIS_URL).pipeline(transaction=False) as pipeline:
        pipeline.info("memory")
        pipeline.dbsize()
        for _ in range(KEY_SAMPLE_SIZE):
            pipeline.randomkey()
        memory, size, *names = pipeline.execute()
    feeds = sum(name is not None and name.startswith(keys.HOME_TIMELINE_PREFIX.encode()) for name in names)
    return {"memory_cache": memory["used_memory"], "feeds_warm": round(size * feeds / KEY_SAMPLE_SIZE)}


def _measure_broker() -> Values:
    """Reads only, unlike /health: how much waits matters most in a broker that takes nothing more."""
    with health.redis_client(settings.CELERY_BROKER_URL).pipeline(transaction=False) as pipeline:
        pipeline.info("memory")
        for name in QUEUES:
            pipeline.llen(name)
        memory, *depths = pipeline.execute()
    return {"memory_broker": memory["used_memory"], **dict(zip(map(queue_metric, QUEUES), depths, strict=True))}


def _measure_replica() -> Values:
    return {"replica_lag": health.probe_replica().get("lag_seconds")}


@contextmanager
def _primary_cursor() -> Iterator[CursorWrapper]:
    """The primary, which gives every statement up after STATEMENT_LIMIT."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        yield cursor


def _measure_fan_out_lag(at: datetime) -> Values:
    ids = first_id_at(at - LAG_WINDOW), first_id_at(timezone.now())
    with _primary_cursor() as cursor:
        cursor.execute(_LAG_SQL, [*ids, MAX_LAG_ROWS])
        p50, p99 = cursor.fetchone()[0] or (None, None)
    return {"lag_p50": p50, "lag_p99": p99}


def _count_fan_outs() -> Values:
    """Both answered by partial indexes, which hold nothing else."""
    fan_outs = FanOut.objects.using(DEFAULT_DB_ALIAS).order_by().values("pk")
    under_way = fan_outs.filter(state__in=[State.PENDING, State.RUNNING])
    dead = fan_outs.filter(state=State.DEAD)
    with _primary_cursor():
        return {"fan_outs_open": under_way[:MAX_COUNTED_ROWS].count(), "fan_outs_dead": dead[:MAX_COUNTED_ROWS].count()}


def _count_new_rows(at: datetime) -> Values:
    """What the last full minute brought: ids are times."""
    minute = {"pk__gte": first_id_at(at - MINUTE), "pk__lt": first_id_at(at)}
    posts, reports = (model.objects.using(DEFAULT_DB_ALIAS).filter(**minute) for model in (Post, Report))
    with _primary_cursor():
        return {"posts": posts.count(), "reports": reports.count()}
