"""`/health`, `/health/live`, `/health/ready`: what a load balancer and an operator ask.

Each part's report comes from a probe (instafeed.core.observability.probes). An answer names no address and quotes no error text, as
both may hold secrets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from instafeed.core.cache import keys
from instafeed.core.db.replicas import wal
from instafeed.core.db.replicas.timeout_connection import query_row
from instafeed.core.jobs import heartbeat
from instafeed.core.jobs.queues import QUEUES
from instafeed.core.observability.probes import Probe, Report, run_probes

PROBES_TIMEOUT = (
    2.0  # seconds for an answer: what a connection to a frozen database takes, so that is "down" either way
)
REDIS_TIMEOUT = 1.0  # seconds for a command
FULL_MEMORY_SHARE = 0.95  # of the memory of a Redis that may not evict anything
RECHECK_LAG = 1.0  # seconds of lag that are looked at again
RECHECK_DELAY = 0.25  # seconds later
HEALTHY_STATUSES = ("ok", "off")  # what a part may say of itself without the site being degraded

# The replica's own view of how long ago its newest transaction was committed; see wal.REPLAYED_POSITION.
_LAG_SQL = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
"""


@require_safe
@never_cache
def health_view(request: HttpRequest) -> HttpResponse:
    checks = run_probes(PROBES, PROBES_TIMEOUT)
    status = _overall_status(checks)
    return JsonResponse({"status": status, "checks": checks}, status=503 if status == "down" else 200)


@require_safe
@never_cache
def live_view(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing is asked of anybody."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready_view(request: HttpRequest) -> HttpResponse:
    """Whether to send requests here: not without the primary."""
    checks = run_probes({"database": PROBES["database"]}, PROBES_TIMEOUT)
    status = _overall_status(checks)
    return JsonResponse({"status": status, "checks": checks}, status=503 if status == "down" else 200)


def probe_database() -> Report:
    query_row("default", "SELECT 1")
    return {"status": "ok"}


def probe_replica() -> Report:
    """Seconds and bytes behind, of the replica that is worst off."""
    if not settings.REPLICA_ALIASES:
        return {"status": "off"}
    try:
        primary: int | None = wal.sample_primary().position
    except psycopg.Error:
        primary = None
    replicas = {alias: _probe_one_replica(alias, primary) for alias in settings.REPLICA_ALIASES}
    worst = max(replicas.values(), key=lambda report: ("ok", "lagging", "down").index(report["status"]))
    return {**worst, "replicas": replicas}


def _probe_one_replica(alias: str, primary: int | None) -> Report:
    try:
        replayed, seconds = query_row(alias, _LAG_SQL)
        if None not in (replayed, primary, seconds) and replayed < primary and seconds > RECHECK_LAG:
            # After an idle hour the first write makes an hour of this: is it still behind a moment later?
            time.sleep(RECHECK_DELAY)
            replayed, seconds = query_row(alias, _LAG_SQL)
    except psycopg.Error as error:
        return {"status": "down", "error": type(error).__name__}
    if replayed is None:
        return {"status": "down", "error": "NotAReplica"}
    behind = None if primary is None else max(0, primary - replayed)
    # On an idle primary the last transaction is long ago, and that is no lag.
    lag = 0.0 if behind == 0 else seconds
    return {
        "status": "lagging" if lag is not None and lag > settings.REPLICA_MAX_LAG else "ok",
        "lag_seconds": None if lag is None else round(lag, 3),
        "lag_bytes": behind,
    }


def probe_cache() -> Report:
    return _probe_redis(redis_client(settings.REDIS_URL).pipeline(transaction=False))[0]


def probe_broker() -> Report:
    """Queue depths, and `unacked`: tasks that workers hold."""
    pipeline = redis_client(settings.CELERY_BROKER_URL).pipeline(transaction=False)
    for queue in QUEUES:
        pipeline.llen(queue)
    pipeline.hlen("unacked")
    report, (*depths, unacked) = _probe_redis(pipeline)
    return {**report, "queues": dict(zip(QUEUES, depths, strict=True)), "unacked": unacked}


def _probe_redis(pipeline: redis.client.Pipeline) -> tuple[Report, list[Any]]:
    """Whether a Redis takes writes, and the replies to what the pipeline holds already. Raises redis.RedisError.

    "full" is one that refuses writes for want of memory, or is about to: it may not evict what it holds.
    """
    with pipeline:
        pipeline.info("memory")
        pipeline.set(keys.PROBE, 1, ex=keys.PROBE_TTL)
        *replies, memory, written = pipeline.execute(raise_on_error=False)
    refused = isinstance(written, redis.exceptions.OutOfMemoryError)
    for reply in (*replies, memory, *(() if refused else (written,))):
        if isinstance(reply, Exception):
            raise reply
    used, most = memory["used_memory"], memory.get("maxmemory", 0)
    near = memory.get("maxmemory_policy") == "noeviction" and 0 < most * FULL_MEMORY_SHARE < used
    return {"status": "full" if refused or near else "ok", "used_memory": used, "max_memory": most}, replies


def probe_workers() -> Report:
    """A queue whose last worker died lacks its sign of life within WORKER_TTL seconds, beat its own in SWEPT_WITHIN."""
    client = redis_client(settings.REDIS_URL)
    queues, idle = heartbeat.queues_with_workers(client), heartbeat.seconds_since_sweep(client)
    beat = idle is not None and idle < heartbeat.SWEEP_TIMEOUT
    return {"status": "ok" if beat and all(queues.values()) else "missing", "queues": queues, "beat": beat}


PROBES = {
    "database": Probe(probe_database),
    "replica": Probe(probe_replica),
    "cache": Probe(probe_cache),
    "broker": Probe(probe_broker),
    "workers": Probe(probe_workers),
}


def _overall_status(checks: Mapping[str, Report]) -> str:
    if checks["database"]["status"] != "ok":
        return "down"
    return "ok" if all(report["status"] in HEALTHY_STATUSES for report in checks.values()) else "degraded"


@lru_cache
def redis_client(url: str) -> redis.Redis:
    """Waits REDIS_LIMIT at most, and is apart from the application's pool, which may be exhausted."""
    return redis.Redis.from_url(
        url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT, retry=None, max_connections=4
    )
