"""`GET /metrics`: the counts of all processes and the current state of the services, as Prometheus text.

The state comes from the probes of /health and from those that apps add with `register_probe()`. A dead service has no
series except its `instafeed_up` of 0, and delays the response by at most `PROBES_TIMEOUT`.

A Celery worker in its own container serves its counts itself (see `worker_exporter`).
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from instafeed.core.monitoring import health
from instafeed.core.monitoring.probes import Probe, Report, run_probes
from instafeed.core.observability import metrics, multiprocess_files

logger = logging.getLogger(__name__)

PROBES_TIMEOUT = 1.0  # seconds for all probes; results of late probes are absent from this scrape

_PROXY_HEADERS = ("HTTP_X_FORWARDED", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")

# (gauge name, label values, value)
GaugeValue = tuple[str, tuple[str, ...], float]
_registered_probes: dict[str, Probe] = {}


def register_probe(name: str, check: Callable[[], Report]) -> None:
    """Run `check` at each scrape. It returns values by gauge name; `metrics.SCRAPED_GAUGES` lists the gauges.

    The value of a gauge with a label is a mapping by label value.
    """
    _registered_probes[name] = Probe(check)


@require_safe
@never_cache
def metrics_view(request: HttpRequest) -> HttpResponse:
    """Return the metrics, or 404 to clients that are not allowed to read them."""
    return _respond(request, ServicesCollector())


@require_safe
@never_cache
def process_metrics_view(request: HttpRequest) -> HttpResponse:
    """Return the counts without the state of the services, which the web servers report."""
    return _respond(request)


def _respond(request: HttpRequest, *extra: Collector) -> HttpResponse:
    if not is_allowed(request.META):
        return HttpResponseNotFound("Not Found.\n", content_type="text/plain; charset=utf-8")
    status, content_type, body = build_response(*extra)
    return HttpResponse(body, status=status, content_type=content_type)


def is_allowed(environ: Mapping[str, Any]) -> bool:
    """Check METRICS_TOKEN if it is set; otherwise require a direct client on this machine or a private network."""
    if token := settings.METRICS_TOKEN:
        offered = environ.get("HTTP_AUTHORIZATION", "")
        return hmac.compare_digest(offered.encode(), f"Bearer {token}".encode())
    if any(name.startswith(_PROXY_HEADERS) for name in environ):
        return False
    try:
        address = ipaddress.ip_address(environ.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_private)


def build_response(*extra: Collector) -> tuple[HTTPStatus, str, bytes]:
    """Return status, content type and body. 503 if counts are lost, so that Prometheus reports the target as down."""
    try:
        return HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, render_exposition(*extra)
    except multiprocess_files.FilesLost as error:
        logger.error("%s", error)
        return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", f"{error}\n".encode()


def render_exposition(*extra: Collector) -> bytes:
    """Render the counts of this process, or of all that share the metrics directory, and `extra` collectors.

    Raises FilesLost.
    """
    registry = CollectorRegistry()
    for collector in (_ProcessesCollector() if metrics.MULTIPROCESS_DIR else metrics.REGISTRY, *extra):
        registry.register(collector)
    return generate_latest(registry)


class _ProcessesCollector(Collector):
    """The counts of all processes that share the metrics directory."""

    def collect(self) -> Iterable[Metric]:
        return multiprocess_files.collect()


class ServicesCollector(Collector):
    """The gauges of `metrics.SCRAPED_GAUGES`, for the services that answer."""

    def collect(self) -> Iterator[Metric]:
        families = {
            name: GaugeMetricFamily(name, gauge.help, labels=gauge.labels)
            for name, gauge in metrics.SCRAPED_GAUGES.items()
        }
        for name, labels, value in _gauge_values(run_probes({**health.PROBES, **_registered_probes}, PROBES_TIMEOUT)):
            families[name].add_metric(labels, value)
        return (family for family in families.values() if family.samples)


def _gauge_values(reports: Mapping[str, Report]) -> Iterator[GaugeValue]:
    yield "instafeed_up", ("primary",), _is_up(reports["database"])
    yield from _replica_values(reports["replica"])
    for part in ("cache", "broker"):
        yield from _redis_values(part, reports[part])
    yield from _queue_values(reports["broker"])
    yield from _worker_values(reports["workers"])
    for name in _registered_probes:
        for gauge, value in reports[name].items():
            if gauge in metrics.SCRAPED_GAUGES:
                yield from _labelled_values(gauge, value)


def _labelled_values(gauge: str, value: float | Mapping[str, float]) -> Iterator[GaugeValue]:
    if isinstance(value, Mapping):
        yield from ((gauge, (label,), each) for label, each in value.items())
    else:
        yield gauge, (), value


def _is_up(report: Report) -> float:
    return float(report["status"] not in ("down", "full"))


def _replica_values(report: Report) -> Iterator[GaugeValue]:
    unknown = dict.fromkeys(settings.REPLICA_ALIASES, report)  # used if the probe timed out
    for alias, replica in report.get("replicas", unknown).items():
        yield "instafeed_up", (alias,), _is_up(replica)
        for unit in ("seconds", "bytes"):
            if (lag := replica.get(f"lag_{unit}")) is not None:
                yield f"instafeed_replica_lag_{unit}", (alias,), lag


def _redis_values(part: str, report: Report) -> Iterator[GaugeValue]:
    yield "instafeed_up", (part,), _is_up(report)
    if "used_memory" in report:
        yield "instafeed_redis_used_bytes", (part,), report["used_memory"]
        yield "instafeed_redis_max_bytes", (part,), report["max_memory"]


def _queue_values(report: Report) -> Iterator[GaugeValue]:
    if "queues" in report:
        for queue, depth in report["queues"].items():
            yield "instafeed_queue_tasks", (queue,), depth
    if "unacked" in report:  # absent with RabbitMQ
        yield "instafeed_unacked_tasks", (), report["unacked"]


def _worker_values(report: Report) -> Iterator[GaugeValue]:
    if "queues" in report:
        for queue, is_alive in report["queues"].items():
            yield "instafeed_worker_alive", (queue,), float(is_alive)
        yield "instafeed_beat_alive", (), float(report["beat"])
