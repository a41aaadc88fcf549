"""The one registry of metrics: every series that instafeed counts is made here, and imports no app.

Where PROMETHEUS_MULTIPROC_DIR names a directory, each process counts in files of its own there, and whoever
serves /metrics sums the files of all: several gunicorn workers, several processes of a Celery pool. Without it
a process knows its own counts only (tests, commands). Counting takes about a microsecond either way.

Label values are few and known beforehand (routes, never paths; no user, no id): each makes a series for ever.
What is not counted but asked of the services at each scrape is in `SCRAPED_GAUGES`; instafeed.core.observability.exporter asks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from instafeed.core import env


def _multiprocess_dir() -> str:
    """The shared directory, made if need be; empty for none. prometheus_client takes "" for the current directory."""
    directory = env.text("PROMETHEUS_MULTIPROC_DIR")
    if not directory:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        return ""
    try:
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise env.SettingError("PROMETHEUS_MULTIPROC_DIR", f"cannot be used: {error.strerror}") from None
    return directory


# Before prometheus_client is imported, which then decides where values are kept.
MULTIPROCESS_DIR = _multiprocess_dir()

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics  # noqa: E402

disable_created_metrics()  # they would be there without the shared directory only

REGISTRY = CollectorRegistry()

_REQUEST_BUCKETS = (0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10)  # seconds
_WORK_BUCKETS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 100)
_VISIBLE_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)


def _counter(name: str, help_: str, *labels: str) -> Counter:
    return Counter(name, help_, labels, registry=REGISTRY)


def _histogram(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, help_, labels, buckets=buckets, registry=REGISTRY)


# --- Requests and tasks ------------------------------------------------------------------------------

REQUEST_SECONDS = _histogram(
    "instafeed_request_seconds",
    "Seconds from a request's arrival in Django to its answer.",
    _REQUEST_BUCKETS,
    *("method", "route", "status"),
)
REQUESTS_IN_PROGRESS = Gauge(
    "instafeed_requests_in_progress",
    "Requests that a thread works on now.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
THROTTLED = _counter("instafeed_throttled_total", "Requests beyond a rate limit.", "scope")
# rejected, ignored: by itself, or interrupted; lost: killed by its time limit, or with its process.
TASK_OUTCOMES = ("success", "failure", "retry", "rejected", "ignored", "lost")
TASKS_ENDED = _counter(
    "instafeed_tasks_total",
    f"Celery tasks that ended: {', '.join(TASK_OUTCOMES)}.",
    *("task", "outcome"),
)
TASK_SECONDS = _histogram("instafeed_task_seconds", "Seconds a Celery task ran.", _WORK_BUCKETS, "task")

# --- The feed ----------------------------------------------------------------------------------------

POST_VISIBLE_SECONDS = _histogram(
    "instafeed_post_visible_seconds",
    "Seconds from a post's creation to the end of its fan-out, without posts that wait for pictures.",
    _VISIBLE_BUCKETS,
    "mode",
)
DELIVERIES = _counter("instafeed_deliveries_total", "Posts pushed into warm feeds.")
FAN_OUT_SLICES = _counter(
    "instafeed_fan_out_slices_total",
    "Slices of fan-outs: finished, continued, overtaken, postponed (no Redis), failed, unclaimed.",
    "outcome",
)
FEED_READS = _counter(
    "instafeed_feed_reads_total",
    "Reads of a viewer's lists: warm, rebuilt first, or answered from SQL.",
    "source",
)
FEED_REBUILD_SECONDS = _histogram(
    "instafeed_feed_rebuild_seconds", "Seconds to rebuild a cold list from SQL.", _WORK_BUCKETS, "kind"
)
FEED_PULLS = _counter("instafeed_feed_pulls_total", "SQL pulls of posts, by the shape that answered.", "shape")
CACHE_READS = _counter(
    "instafeed_cache_reads_total", "Values asked of the cache: hit, miss, or bypassed without Redis.", "kind", "result"
)

# --- Pictures ----------------------------------------------------------------------------------------

MEDIA_RESULTS = _counter("instafeed_media_results_total", "Attempts at a picture: ready, failed or retried.", "result")
MEDIA_SECONDS = _histogram("instafeed_media_seconds", "Seconds of one attempt at a picture.", _WORK_BUCKETS)

# --- Services ----------------------------------------------------------------------------------------

BREAKER_TRIPS = _counter(
    "instafeed_breaker_trips_total", "Failures after which a process left the cache or the broker alone.", "part"
)
DB_READS = _counter("instafeed_reads_total", "SQL reads of requests, by where they went.", "target")
REPLICA_CHOICES = _counter(
    "instafeed_replica_choices_total",
    "Decisions whether a request may read a replica, by their reason.",
    *("target", "reason"),
)


class ScrapedGauge(NamedTuple):
    """A gauge whose value is asked for at each scrape."""

    help: str
    labels: tuple[str, ...] = ()


SCRAPED_GAUGES: dict[str, ScrapedGauge] = {
    "instafeed_up": ScrapedGauge("1 if the part answers (and takes writes, if Redis), else 0.", ("part",)),
    "instafeed_replica_lag_seconds": ScrapedGauge("Age of what a replica has not replayed yet.", ("replica",)),
    "instafeed_replica_lag_bytes": ScrapedGauge("WAL that a replica has not replayed yet.", ("replica",)),
    "instafeed_redis_used_bytes": ScrapedGauge("Memory that a Redis uses.", ("part",)),
    "instafeed_redis_max_bytes": ScrapedGauge("Memory that a Redis may use; 0: no bound.", ("part",)),
    "instafeed_queue_tasks": ScrapedGauge("Tasks that wait in a queue.", ("queue",)),
    "instafeed_unacked_tasks": ScrapedGauge("Tasks that workers hold."),
    "instafeed_worker_alive": ScrapedGauge("1 if the queue has a worker.", ("queue",)),
    "instafeed_beat_alive": ScrapedGauge("1 if beat's tasks have run lately."),
    "instafeed_fan_outs_open": ScrapedGauge("Fan-outs that are not finished, counted up to 10,000."),
    "instafeed_fan_out_oldest_seconds": ScrapedGauge("Age of the oldest of them; 0: there is none."),
    "instafeed_fan_outs_dead": ScrapedGauge("Fan-outs that were given up, counted up to 10,000."),
}
