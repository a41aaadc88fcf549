"""The endpoints `/health`, `/health/live` and `/health/ready`, and the probes behind them.

Each service's report comes from a `Probe`. Reports contain no addresses and no error texts, which may hold secrets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.cluster import ClusterNode

from instafeed.core import env
from instafeed.core.cache import cluster, cluster_client, keys
from instafeed.core.cache.cluster_client import ClusterClient
from instafeed.core.db.replicas import wal
from instafeed.core.db.timeout_connection import query_row
from instafeed.core.jobs import broker, heartbeat
from instafeed.core.jobs.queues import QUEUES
from instafeed.core.monitoring import rabbitmq
from instafeed.core.monitoring.probes import Probe, Report, run_probes

PROBES_TIMEOUT = 2.0  # seconds; as long as a connection to a frozen database takes, so both report "down"
REDIS_TIMEOUT = 1.0  # seconds per command
FULL_MEMORY_SHARE = 0.95  # a noeviction Redis above this share of its memory is "full"
RECHECK_LAG = 1.0  # seconds; a longer lag is measured twice
RECHECK_DELAY = 0.25  # seconds between the two measurements
STARTING_SECONDS = 60.0
_STARTED_AT = time.monotonic()
HEALTHY_STATUSES = ("ok", "off")  # any other status makes the site "degraded"

# The replayed LSN, and the age in seconds of the newest replayed transaction.
_LAG_SQL = """
SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
"""


@require_safe
@never_cache
def health_view(request: HttpRequest) -> HttpResponse:
    """Report on every service. 503 only if the primary database is down."""
    return _report_response(PROBES)


@require_safe
@never_cache
def live_view(request: HttpRequest) -> HttpResponse:
    """Report that this process answers, without any probe."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready_view(request: HttpRequest) -> HttpResponse:
    """Report whether to route requests here: 503 without the primary database."""
    return _report_response({"database": PROBES["database"]})


def _report_response(probes: Mapping[str, Probe]) -> HttpResponse:
    checks = run_probes(probes, PROBES_TIMEOUT)
    status = _overall_status(checks)
    return JsonResponse({"status": status, "checks": checks}, status=503 if status == "down" else 200)


def probe_database() -> Report:
    (is_standby,) = query_row("default", "SELECT pg_is_in_recovery()")
    return {"status": "down", "error": "it is a standby"} if is_standby else {"status": "ok"}


def probe_replica() -> Report:
    """Return the report of the worst replica, in seconds and bytes of lag, and under `replicas` all of them."""
    if not settings.REPLICA_ALIASES:
        return {"status": "off"}
    try:
        primary: wal.WalSample | None = wal.sample_primary()
    except psycopg.Error:
        primary = None
    replicas = {alias: _probe_one_replica(alias, primary) for alias in settings.REPLICA_ALIASES}
    worst = max(replicas.values(), key=lambda report: ("ok", "lagging", "down").index(report["status"]))
    return {**worst, "replicas": replicas}


def _probe_one_replica(alias: str, primary: wal.WalSample | None) -> Report:
    try:
        status = wal.fetch_replica_status(alias)
        fault = wal.find_fault(status, primary) if primary else None
        if fault or status.lsn is None:
            return {"status": "down", "error": (fault or wal.Fault.NOT_A_REPLICA).value}
        return _measure_lag(alias, primary.lsn if primary else None)
    except psycopg.Error as error:
        return {"status": "down", "error": type(error).__name__}


def _measure_lag(alias: str, primary: int | None) -> Report:
    """Return the report of a replica that is up. `primary` is the primary's LSN. Raises psycopg.Error."""
    replayed, seconds = query_row(alias, _LAG_SQL)
    if None not in (replayed, primary, seconds) and replayed < primary and seconds > RECHECK_LAG:
        # The first write after an idle hour looks like an hour of lag. Measure again.
        time.sleep(RECHECK_DELAY)
        replayed, seconds = query_row(alias, _LAG_SQL)
    behind = None if primary is None else max(0, primary - replayed)
    # On an idle primary the last transaction is old. That is not lag.
    lag = 0.0 if behind == 0 else seconds
    return {
        "status": "lagging" if lag is not None and lag > settings.REPLICA_MAX_LAG else "ok",
        "lag_seconds": None if lag is None else round(lag, 3),
        "lag_bytes": behind,
    }


def probe_cache() -> Report:
    """Return the report of the cache. For a cluster: its worst status, sums, and under `servers` all reports."""
    client = cache_client(settings.REDIS_URL)
    if isinstance(client, redis.Redis):
        return _probe_redis(client.pipeline(transaction=False))[0]
    own_keys = {cluster.owner_name(client, keys.probe(bucket)): keys.probe(bucket) for bucket in keys.all_buckets()}
    nodes = client.get_primaries()
    with ThreadPoolExecutor(len(nodes), "probe-server") as executor:  # all wait at once for servers that are frozen
        reports = list(executor.map(lambda node: _probe_server(client, node, own_keys.get(node.name)), nodes))
    failed = {node.name for node, report in zip(nodes, reports, strict=True) if report["status"] == "down"}
    cluster.refresh(client, failed)  # the next report is that of the servers which have slots then
    worst = max((report["status"] for report in reports), key=("ok", "full", "down").index, default="down")
    sums = {name: sum(report.get(name, 0) for report in reports) for name in ("used_memory", "max_memory")}
    return {"status": worst, **sums, "servers": reports}


def _probe_server(client: ClusterClient, node: ClusterNode, key: str | None) -> Report:
    """Return the report of one server of a cluster. `key` is one of its own, to write; None: it has no bucket."""
    try:
        return _probe_redis(client.get_redis_connection(node).pipeline(transaction=False), key)[0]
    except redis.RedisError as error:
        return {"status": "down", "error": type(error).__name__}


def probe_broker() -> Report:
    """Return the queue depths, and as `unacked` the number of tasks that workers hold, which RabbitMQ does not tell."""
    if broker.is_rabbitmq(settings.CELERY_BROKER_URL):
        return rabbitmq.probe()
    pipeline = broker_client().pipeline(transaction=False)
    for queue in QUEUES:
        pipeline.llen(queue)
    pipeline.hlen("unacked")
    report, (*depths, unacked) = _probe_redis(pipeline)
    return {**report, "queues": dict(zip(QUEUES, depths, strict=True)), "unacked": unacked}


def _probe_redis(pipeline: redis.client.Pipeline, key: str | None = keys.probe()) -> tuple[Report, list[Any]]:
    """Test whether a Redis takes writes. Return its report and the replies to the pipeline's commands.

    The status is "full" if it refuses writes because of its memory limit, or is close to it and may not evict keys.
    Raises redis.RedisError.
    """
    with pipeline:
        pipeline.info("memory")
        if key is None:
            pipeline.ping()
        else:
            pipeline.set(key, 1, ex=keys.PROBE_TTL)
        *replies, memory, written = pipeline.execute(raise_on_error=False)
    refused = isinstance(written, redis.exceptions.OutOfMemoryError)
    for reply in (*replies, memory, *(() if refused else (written,))):
        if isinstance(reply, Exception):
            raise reply
    used, limit = memory["used_memory"], memory.get("maxmemory", 0)
    nearly_full = memory.get("maxmemory_policy") == "noeviction" and 0 < limit * FULL_MEMORY_SHARE < used
    return {"status": "full" if refused or nearly_full else "ok", "used_memory": used, "max_memory": limit}, replies


def probe_workers() -> Report:
    """Check the heartbeats. A queue's is missing WORKER_TTL seconds after its last worker died, beat's after
    SWEEP_TIMEOUT seconds.

    The status is "starting" for STARTING_SECONDS after the start of this process if no sweep has run yet.
    """
    client = cache_client(settings.REDIS_URL)
    queues, age = heartbeat.queues_with_workers(client), heartbeat.seconds_since_sweep(client)
    beat = age is not None and age < heartbeat.SWEEP_TIMEOUT
    if beat and all(queues.values()):
        status = "ok"
    else:
        is_starting = age is None and time.monotonic() - _STARTED_AT < STARTING_SECONDS
        status = "starting" if is_starting else "missing"
    return {"status": status, "queues": queues, "beat": beat}


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
    unhealthy = [name for name, report in checks.items() if report["status"] not in HEALTHY_STATUSES]
    if unhealthy == ["workers"] and checks["workers"]["status"] == "starting":
        return "starting"
    return "degraded" if unhealthy else "ok"


@lru_cache
def redis_client(url: str) -> redis.Redis:
    """Return a client that waits at most REDIS_TIMEOUT, apart from the application's pool, which may be exhausted."""
    return redis.Redis.from_url(
        url, socket_timeout=REDIS_TIMEOUT, socket_connect_timeout=REDIS_TIMEOUT, retry=None, max_connections=4
    )


@lru_cache
def _sentinel(url: str) -> redis.Sentinel:
    options = broker.sentinel_options(settings.BROKER_SENTINEL_PASSWORD, REDIS_TIMEOUT)
    return redis.Sentinel(broker.sentinel_addresses(url), sentinel_kwargs=options)


def broker_client() -> redis.Redis:
    """Return a client of the broker, a Redis; behind Sentinel, of the current master."""
    url = settings.CELERY_BROKER_URL
    if not broker.is_sentinel(url):
        return redis_client(url)
    host, port = _sentinel(url).discover_master(settings.BROKER_SENTINEL_MASTER)
    return redis_client(broker.master_url(url, host, port))


@lru_cache
def _cluster_client(url: str) -> ClusterClient:
    return cluster_client.make_client(url, REDIS_TIMEOUT, max_connections=4)


def cache_client(url: str) -> redis.Redis | ClusterClient:
    """Return such a client of the cache. Raises redis.RedisError if no server of a cluster answers."""
    return _cluster_client(url) if env.is_cluster_url(url) else redis_client(url)


def cache_servers() -> list[redis.Redis]:
    """Return a client for each server of the cache. Raises redis.RedisError."""
    client = cache_client(settings.REDIS_URL)
    if isinstance(client, redis.Redis):
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]
