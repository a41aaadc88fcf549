"""`/health`, `/health/live`, `/health/ready`: what a load balancer and an operator ask.

Each part is probed in a thread of its own over bounded connections, never by more than one thread at once,
and at most once a second: a part that hangs delays the answer by LIMIT and cannot pile threads up. An answer
names no address and quotes no error text, as both may hold secrets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from threading import Lock
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from instafeed import heartbeat
from instafeed.queues import QUEUES
from instafeed.replicas import wal
from instafeed.replicas.bounded import ask

Report = dict[str, Any]

LIMIT = 2.5  # seconds for an answer; a database connection may take two of them
REDIS_LIMIT = 1.0  # seconds for a command
FRESH = 1.0  # seconds that a result is used again
_FINE = ("ok", "off")

# The replica's own view of how long ago its newest transaction was committed; see wal.REPLAYED_POSITION.
_LAG = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint END,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
"""


class Probe:
    """One part's check: `ask()` gives its report, "down" if it fails, and how long it took."""

    def __init__(self, check: Callable[[], Report]) -> None:
        self._check = check
        self._lock = Lock()
        self._future: Future[Report] | None = None
        self._done_at = 0.0

    def ask(self) -> Future[Report]:
        """The probe that is under way, or the last result if it is fresh, or a new probe."""
        with self._lock:
            if self._future is None or (self._future.done() and time.monotonic() - self._done_at > FRESH):
                self._future = _executor().submit(self._run)
            return self._future

    def _run(self) -> Report:
        began = time.perf_counter()
        try:
            report = self._check()
        except Exception as error:
            report = {"status": "down", "error": type(error).__name__}
        report["latency_ms"] = round((time.perf_counter() - began) * 1000, 2)
        self._done_at = time.monotonic()
        return report


@require_safe
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    checks = _ask(PROBES)
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
    checks = _ask({"database": PROBES["database"]})
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
    except psycopg.Error as error:
        return {"status": "down", "error": type(error).__name__}
    if replayed is None:
        return {"status": "down", "error": "NotAReplica"}
    behind = None if primary is None else max(0, primary - replayed)
    # On an idle primary the last transaction is long ago, and that is no lag.
    lag = 0.0 if behind == 0 else seconds
    late = lag is not None and lag > settings.REPLICA_MAX_LAG
    return {
        "status": "lagging" if late else "ok",
        "lag_seconds": None if lag is None else round(lag, 3),
        "lag_bytes": behind,
    }


def cache() -> Report:
    client = _client(settings.REDIS_URL)
    client.ping()
    memory = client.info("memory")
    return {"status": "ok", "used_memory": memory["used_memory"], "max_memory": memory.get("maxmemory", 0)}


def broker() -> Report:
    """Queue depths, and `unacked`: tasks that workers hold."""
    with _client(settings.CELERY_BROKER_URL).pipeline(transaction=False) as pipeline:
        pipeline.ping()
        for queue in QUEUES:
            pipeline.llen(queue)
        pipeline.hlen("unacked")
        _, *depths, unacked = pipeline.execute()
    return {
        "status": "ok",
        "queues": dict(zip(QUEUES, depths, strict=True)),
        "unacked": unacked,
    }


def workers() -> Report:
    """A queue whose last worker died is missing its sign of life within WORKER_TTL seconds."""
    queues = heartbeat.alive(_client(settings.REDIS_URL))
    return {"status": "ok" if all(queues.values()) else "missing", "queues": queues}


PROBES = {
    "database": Probe(database),
    "replica": Probe(replica),
    "cache": Probe(cache),
    "broker": Probe(broker),
    "workers": Probe(workers),
}


def _ask(probes: Mapping[str, Probe]) -> dict[str, Report]:
    futures = {name: probe.ask() for name, probe in probes.items()}
    wait(futures.values(), timeout=LIMIT)
    late = {"status": "down", "error": "Timeout"}
    return {name: future.result() if future.done() else late for name, future in futures.items()}


def _overall(checks: Mapping[str, Report]) -> str:
    if checks["database"]["status"] != "ok":
        return "down"
    return "ok" if all(report["status"] in _FINE for report in checks.values()) else "degraded"


@lru_cache
def _executor() -> ThreadPoolExecutor:
    """Made at the first question: threads do not survive a fork."""
    return ThreadPoolExecutor(max_workers=len(PROBES), thread_name_prefix="health")


@lru_cache
def _client(url: str) -> redis.Redis:
    """Apart from the application's pool, whose time-outs are others and which may be exhausted."""
    return redis.Redis.from_url(
        url, socket_timeout=REDIS_LIMIT, socket_connect_timeout=REDIS_LIMIT, retry=None, max_connections=4
    )
