"""`/health`, `/health/live`, `/health/ready`: what a load balancer and an operator ask.

Each part's report comes from a probe (instafeed.probes). An answer names no address and quotes no error text, as
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

from instafeed import heartbeat, keys
from instafeed.probes import Probe, Report, ask_all
from instafeed.queues import QUEUES
from instafeed.replicas import wal
from instafeed.replicas.bounded import ask

LIMIT = 2.0  # seconds for an answer: what a connection to a frozen database takes, so that is "down" either way
REDIS_LIMIT = 1.0  # seconds for a command
FULL = 0.95  # of the memory of a Redis that may not evict anything
DOUBTFUL = 1.0  # seconds of lag that are looked at again
SECOND_LOOK = 0.25  # seconds later
FINE = ("ok", "off")  # what a part may say of itself without the site being degraded

# The replica's own view of how long ago its newest transaction was committed; see wal.REPLAYED_POSITION.
_LAG = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
"""


@require_safe
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    checks = ask_all(PROBES, LIMIT)
    status = _overall(checks)
    return JsonResponse({"status": status, "checks": checks}, status=503 if status == "down" else 200)


@require_safe
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing is asked of anybody."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """Whether to send requests here: not without the primary."""
    checks = ask_all({"database": PROBES["database"]}, LIMIT)
    status = _overall(checks)
    return JsonResponse({"status": status, "checks": checks}, status=503 if status == "down" else 200)


def database() -> Report:
    ask("default", "SELECT 1")
    return {"status": "ok"}


def replica() -> Report:
    """Seconds and bytes behind, of the replica that is worst off."""
    if not settings.REPLICA_ALIASES:
        return {"status": "off"}
    try:
        primary: int | None = wal.sample_primary().position
    except psycopg.Error:
        primary = None
    replicas = {alias: _replica(alias, primary) for alias in settings.REPLICA_ALIASES}
    worst = max(replicas.values(), key=lambda report: ("ok", "lagging", "down").index(report["status"]))
    return {**worst, "replicas": replicas}


def _replica(alias: str, primary: int | None) -> Report:
    try:
        replayed, seconds = ask(alias, _LAG)
        if None not in (replayed, primary, seconds) and replayed < primary and seconds > DOUBTFUL:
            # After an idle hour the first write makes an hour of this: is it still behind a moment later?
            time.sleep(SECOND_LOOK)
            replayed, seconds = ask(alias, _LAG)
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


def cache() -> Report:
    return _redis(bounded_client(settings.REDIS_URL).pipeline(transaction=False))[0]


def broker() -> Report:
    """Queue depths, and `unacked`: tasks that workers hold."""
    pipeline = bounded_client(settings.CELERY_BROKER_URL).pipeline(transaction=False)
    for queue in QUEUES:
        pipeline.llen(queue)
    pipeline.hlen("unacked")
    report, (*depths, unacked) = _redis(pipeline)
    return {**report, "queues": dict(zip(QUEUES, depths, strict=True)), "unacked": unacked}


def _redis(pipeline: redis.client.Pipeline) -> tuple[Report, list[Any]]:
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
    near = memory.get("maxmemory_policy") == "noeviction" and 0 < most * FULL < used
    return {"status": "full" if refused or near else "ok", "used_memory": used, "max_memory": most}, replies


def workers() -> Report:
    """A queue whose last worker died lacks its sign of life within WORKER_TTL seconds, beat its own in SWEPT_WITHIN."""
    client = bounded_client(settings.REDIS_URL)
    queues, idle = heartbeat.alive(client), heartbeat.seconds_since_sweep(client)
    beat = idle is not None and idle < heartbeat.SWEPT_WITHIN
    return {"status": "ok" if beat and all(queues.values()) else "missing", "queues": queues, "beat": beat}


PROBES = {
    "database": Probe(database),
    "replica": Probe(replica),
    "cache": Probe(cache),
    "broker": Probe(broker),
    "workers": Probe(workers),
}


def _overall(checks: Mapping[str, Report]) -> str:
    if checks["database"]["status"] != "ok":
        return "down"
    return "ok" if all(report["status"] in FINE for report in checks.values()) else "degraded"


@lru_cache
def bounded_client(url: str) -> redis.Redis:
    """Waits REDIS_LIMIT at most, and is apart from the application's pool, which may be exhausted."""
    return redis.Redis.from_url(
        url, socket_timeout=REDIS_LIMIT, socket_connect_timeout=REDIS_LIMIT, retry=None, max_connections=4
    )
