"""The registry of all metrics.

With PROMETHEUS_MULTIPROC_DIR, each process counts in its own files in that directory, and the process that serves
/metrics sums them (see `multiprocess_files`): several gunicorn workers, several processes of a Celery pool. Without it
a process has its own counts only (tests, commands). Counting takes about a microsecond either way.

Label values are few and known in advance (routes, never paths; no users, no ids), as each value is a new series.
`SCRAPED_GAUGES` lists the gauges that are not counted but measured at each scrape (see `exporter`).
"""

from __future__ import annotations

import os
from errno import EACCES
from pathlib import Path
from typing import NamedTuple

from instafeed.core import env


def create_multiprocess_dir() -> str:
    """Create and return the shared directory; empty for none. Raises SettingError.

    An empty variable is removed: prometheus_client would take it for the current directory.
    """
    directory = env.text("PROMETHEUS_MULTIPROC_DIR")
    if not directory:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        return ""
    try:
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
    except OSError as error:
        raise env.SettingError("PROMETHEUS_MULTIPROC_DIR", f"{directory} cannot be used: {error.strerror}") from None
    return directory


# Must run before prometheus_client is imported, which then decides where values are stored.
MULTIPROCESS_DIR = create_multiprocess_dir()

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values  # noqa: E402

disable_created_metrics()  # they exist without the shared directory only


class ProcessFiles:
    """Names the files in which this process counts: by its id, and its owner if it has one (`multiprocess_files`)."""

    owner = ""

    def suffix(self) -> str:
        return f"{self.owner}.{os.getpid()}" if self.owner else str(os.getpid())


process_files = ProcessFiles()
if MULTIPROCESS_DIR:
    # prometheus_client opens other files when the suffix changes: after a fork, and when the process gets an owner.
    values.ValueClass = values.MultiProcessValue(process_files.suffix)

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
    "Seconds from a request's arrival in Django to its response.",
    _REQUEST_BUCKETS,
    *("method", "route", "status"),
)
REQUESTS_IN_PROGRESS = Gauge(
    "instafeed_requests_in_progress",
    "Requests in progress.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
REQUESTS_REFUSED = _counter(
    "instafeed_requests_refused_total", "Requests refused with 503 because the wait for a thread was too long."
)
THROTTLED = _counter("instafeed_throttled_total", "Requests beyond a rate limit.", "scope")
# rejected, ignored: by the task itself, or interrupted; lost: killed by its time limit or with its process.
TASK_OUTCOMES = ("success", "failure", "retry", "rejected", "ignored", "lost")
TASKS_ENDED = _counter(
    "instafeed_tasks_total",
    f"Finished Celery tasks: {', '.join(TASK_OUTCOMES)}.",
    *("task", "outcome"),
)
TASK_SECONDS = _histogram("instafeed_task_seconds", "Seconds a Celery task ran.", _WORK_BUCKETS, "task")

# --- The feed ----------------------------------------------------------------------------------------

POST_VISIBLE_SECONDS = _histogram(
    "instafeed_post_visible_seconds",
    "Seconds from a post's creation to the end of its fan-out, except posts that wait for media.",
    _VISIBLE_BUCKETS,
    "mode",
)
DELIVERIES = _counter("instafeed_deliveries_total", "Posts pushed into warm home timelines.")
JOB_SLICES = _counter(
    "instafeed_job_slices_total",
    "Slices of leased jobs, by kind of job: finished, continued, overtaken, postponed, failed, unclaimed.",
    *("kind", "outcome"),  # not "job": Prometheus sets that label itself
)
FEED_READS = _counter(
    "instafeed_feed_reads_total",
    "Reads of a feed's timelines: warm, rebuilt first, or answered from SQL.",
    "source",
)
FEED_REBUILD_SECONDS = _histogram(
    "instafeed_feed_rebuild_seconds", "Seconds to rebuild a cold timeline from SQL.", _WORK_BUCKETS, "kind"
)
FEED_PULLS = _counter("instafeed_feed_pulls_total", "SQL pulls of posts, by query shape.", "shape")
CACHE_READS = _counter(
    "instafeed_cache_reads_total", "Cache lookups: hit, miss, or bypassed without Redis.", "kind", "result"
)

# --- Live updates ------------------------------------------------------------------------------------

STREAMS_OPEN = Gauge("instafeed_streams_open", "Open streams.", registry=REGISTRY, multiprocess_mode="livesum")
STREAM_EVENTS = _counter("instafeed_stream_events_total", "Events sent to streams.", "kind")
STREAM_HINT_SECONDS = _histogram(
    "instafeed_stream_hint_seconds",
    "Seconds from a hint, published when something new can be read, to the event for the streams of one user.",
    _VISIBLE_BUCKETS,
)

# --- Pictures ----------------------------------------------------------------------------------------

MEDIA_RESULTS = _counter(
    "instafeed_media_results_total", "Attempts to process a picture: ready, failed or retried.", "result"
)
MEDIA_SECONDS = _histogram("instafeed_media_seconds", "Seconds of one attempt to process a picture.", _WORK_BUCKETS)

# --- Mail --------------------------------------------------------------------------------------------

MAILS = _counter(
    "instafeed_mails_total",
    "Mails by kind and outcome: sent, failed (is retried), refused, given_up, uncertain, needless, throttled.",
    *("kind", "outcome"),
)

# --- Web Push ----------------------------------------------------------------------------------------

PUSHES = _counter(
    "instafeed_pushes_total",
    "Push messages by outcome: sent, gone, rejected, throttled and unreachable (are retried), expired, needless.",
    "outcome",
)

# --- Services ----------------------------------------------------------------------------------------

BREAKER_TRIPS = _counter(
    "instafeed_breaker_trips_total",
    "Times that a process stopped using the cache or the broker after a failure.",
    "part",
)
DB_READS = _counter("instafeed_reads_total", "SQL reads in requests, by database.", "target")
REPLICA_CHOICES = _counter(
    "instafeed_replica_choices_total",
    "Decisions whether a request may read from a replica, by reason.",
    *("target", "reason"),
)


class ScrapedGauge(NamedTuple):
    """A gauge that is measured at each scrape."""

    help: str
    labels: tuple[str, ...] = ()


SCRAPED_GAUGES: dict[str, ScrapedGauge] = {
    "instafeed_up": ScrapedGauge("1 if the service answers (a Redis must also take writes), else 0.", ("part",)),
    "instafeed_replica_lag_seconds": ScrapedGauge("Replication lag in seconds.", ("replica",)),
    "instafeed_replica_lag_bytes": ScrapedGauge("Replication lag in bytes of WAL.", ("replica",)),
    "instafeed_disk_free_bytes": ScrapedGauge("Free space of the disk."),
    "instafeed_disk_size_bytes": ScrapedGauge("Size of the disk."),
    "instafeed_redis_used_bytes": ScrapedGauge("Memory used by a Redis.", ("part",)),
    "instafeed_redis_max_bytes": ScrapedGauge("Memory limit of a Redis; 0: none.", ("part",)),
    "instafeed_queue_tasks": ScrapedGauge("Tasks waiting in a queue.", ("queue",)),
    "instafeed_unacked_tasks": ScrapedGauge("Tasks held by workers."),
    "instafeed_worker_alive": ScrapedGauge("1 if the queue has a live worker.", ("queue",)),
    "instafeed_beat_alive": ScrapedGauge("1 if beat's tasks have run recently."),
    "instafeed_jobs_due": ScrapedGauge("Leased jobs that wait for a worker, counted up to 10,000.", ("kind",)),
    "instafeed_job_wait_seconds": ScrapedGauge("Seconds that the first of them has waited; 0: none.", ("kind",)),
    "instafeed_fan_outs_open": ScrapedGauge("Unfinished fan-outs, counted up to 10,000."),
    "instafeed_fan_out_oldest_seconds": ScrapedGauge("Age of the oldest unfinished fan-out; 0: none."),
    "instafeed_fan_outs_dead": ScrapedGauge("Dead fan-outs, counted up to 10,000."),
    "instafeed_partition_ahead_seconds": ScrapedGauge(
        "Seconds until the last partition of a table begins.", ("table",)
    ),
}
