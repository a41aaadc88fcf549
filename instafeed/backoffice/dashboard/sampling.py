"""Take the dashboard's samples: once a minute, one number per metric. A service that does not answer gives null."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from feeds.models import FanOut
from instafeed.backoffice.dashboard.panels import METRIC_NAMES, jobs_metric
from instafeed.backoffice.models import Sample
from instafeed.core.cache import keys
from instafeed.core.db.snowflake import first_id_at
from instafeed.core.jobs import broker
from instafeed.core.jobs.backlog import measure_backlogs
from instafeed.core.jobs.leased import JobState
from instafeed.core.monitoring import health
from posts.models import Post, Report

logger = logging.getLogger(__name__)

LAG_WINDOW = timedelta(minutes=5)  # the age of the posts whose fan-outs are measured
MAX_LAG_ROWS = 10_000
MAX_COUNTED_ROWS = 100_000
KEY_SAMPLE_SIZE = 200  # random keys, to estimate which share of all keys are home timelines
STATEMENT_TIMEOUT = "2s"
_MINUTE = timedelta(minutes=1)

Values = dict[str, float | None]

# A fan-out that has not finished counts with its age, so that a standstill shows at once.
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
    """Store this minute's sample. Return False if the minute has a sample already."""
    at = timezone.now().replace(second=0, microsecond=0)
    samples = Sample.objects.using(DEFAULT_DB_ALIAS)
    if samples.filter(pk=at).exists():
        return False
    samples.bulk_create([Sample(at=at, metrics=measure(at))], ignore_conflicts=True)
    return True


def measure(at: datetime) -> Values:
    """Measure every metric of `panels.METRIC_NAMES` now; rates cover the minute before `at`."""
    values: Values = dict.fromkeys(METRIC_NAMES)
    for measurement in (
        _measure_cache,
        _measure_broker,
        _measure_replica,
        lambda: _measure_fan_out_lag(at),
        _count_fan_outs,
        _count_due_jobs,
        lambda: _count_new_rows(at),
    ):
        values.update(_measure_or_skip(measurement))
    return values


def _measure_or_skip(measurement: Callable[[], Values]) -> Values:
    """Run one measurement. Return no values if its service fails."""
    try:
        return measurement()
    except (redis.RedisError, DatabaseError, OSError) as error:
        logger.warning("some dashboard metrics are missing: %s", type(error).__name__)
        return {}


def _measure_cache() -> Values:
    used, warm = 0, 0.0
    for server in health.cache_servers():
        with server.pipeline(transaction=False) as pipeline:
            pipeline.info("memory")
            pipeline.dbsize()
            for _ in range(KEY_SAMPLE_SIZE):
                pipeline.randomkey()
            memory, size, *names = pipeline.execute()
        used += memory["used_memory"]
        warm += size * sum(keys.kind((name or b"").decode()) == "feed" for name in names) / KEY_SAMPLE_SIZE
    return {"memory_cache": used, "feeds_warm": round(warm)}


def _measure_broker() -> Values:
    """Unlike /health this writes nothing, so it still works when the broker is full. RabbitMQ does not tell its use."""
    if broker.is_rabbitmq(settings.CELERY_BROKER_URL):
        return {}
    return {"memory_broker": health.broker_client().info("memory")["used_memory"]}


def _measure_replica() -> Values:
    return {"replica_lag": health.probe_replica().get("lag_seconds")}


@contextmanager
def _primary_cursor() -> Iterator[CursorWrapper]:
    """Open a transaction on the primary in which a statement is cancelled after STATEMENT_TIMEOUT."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS), connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
        yield cursor


def _measure_fan_out_lag(at: datetime) -> Values:
    first_id, end_id = first_id_at(at - LAG_WINDOW), first_id_at(timezone.now())
    with _primary_cursor() as cursor:
        cursor.execute(_LAG_SQL, [first_id, end_id, MAX_LAG_ROWS])
        p50, p99 = cursor.fetchone()[0] or (None, None)
    return {"lag_p50": p50, "lag_p99": p99}


def _count_fan_outs() -> Values:
    """Count open and dead fan-outs. Two partial indexes hold exactly these rows."""
    fan_outs = FanOut.objects.using(DEFAULT_DB_ALIAS).order_by().values("pk")
    open_ = fan_outs.filter(state__in=[JobState.PENDING, JobState.RUNNING])
    dead = fan_outs.filter(state=JobState.DEAD)
    with _primary_cursor():
        return {"fan_outs_open": open_[:MAX_COUNTED_ROWS].count(), "fan_outs_dead": dead[:MAX_COUNTED_ROWS].count()}


def _count_due_jobs() -> Values:
    with _primary_cursor() as cursor:

        def query_row(sql: str) -> Sequence[Any]:
            cursor.execute(sql)
            row: Sequence[Any] = cursor.fetchone()
            return row

        counts = {jobs_metric(kind): backlog.due for kind, backlog in measure_backlogs(query_row).items()}
    return {name: count for name, count in counts.items() if name in METRIC_NAMES}


def _count_new_rows(at: datetime) -> Values:
    """Count the posts and reports of the minute before `at`. Their ids contain the time of creation."""
    minute = {"pk__gte": first_id_at(at - _MINUTE), "pk__lt": first_id_at(at)}
    posts, reports = (model.objects.using(DEFAULT_DB_ALIAS).filter(**minute) for model in (Post, Report))
    with _primary_cursor():
        return {"posts": posts.count(), "reports": reports.count()}
