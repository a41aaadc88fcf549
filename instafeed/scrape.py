"""`GET /metrics`: what all processes counted, and how the services are at this moment, in Prometheus' text form.

The services are asked by the probes of /health and by what apps add with `probe()`; a part that is dead has no
series but its `instafeed_up` of 0, and holds the answer up for `LIMIT` at most.

A Celery worker in a container of its own serves its own counts: instafeed.metrics_port.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from instafeed import health, metric_files, metrics
from instafeed.probes import Probe, Report, ask_all

LIMIT = 1.0  # seconds for all the probes; what is later is absent from this scrape
logger = logging.getLogger(__name__)
_PROXIED = ("HTTP_X_FORWARDED", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")

# A gauge's name, its labels' values, its value.
Value = tuple[str, tuple[str, ...], float]
_added: dict[str, Probe] = {}


def probe(name: str, check: Callable[[], dict[str, float]]) -> None:
    """Have `check` asked at each scrape: values of gauges without labels, by their names in metrics.SCRAPED."""
    _added[name] = Probe(check)


@require_safe
@never_cache
def view(request: HttpRequest) -> HttpResponse:
    """404 to whoever may not know."""
    if not is_allowed(request.META):
        return HttpResponseNotFound("Not Found.\n", content_type="text/plain; charset=utf-8")
    return HttpResponse(exposition(Services()), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def is_allowed(environ: Mapping[str, Any]) -> bool:
    """By METRICS_TOKEN where there is one, else only straight from this machine or a private network."""
    if token := settings.METRICS_TOKEN:
        offered = environ.get("HTTP_AUTHORIZATION", "")
        return hmac.compare_digest(offered.encode(), f"Bearer {token}".encode())
    if any(name.startswith(_PROXIED) for name in environ):
        return False
    try:
        address = ipaddress.ip_address(environ.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_private)


def exposition(*more: Collector) -> bytes:
    """The text: the counts of all processes that share the directory, or of this one, and what `more` tells."""
    return generate_latest(_Joined([_Summed() if metrics.DIRECTORY else metrics.REGISTRY, *more]))


class _Joined(Collector):
    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterable[Metric]:
        return chain.from_iterable(collector.collect() for collector in self._collectors)


class _Summed(Collector):
    """Over the files of all processes, the dead among them: a sum must not shrink. Rather no counts than wrong ones."""

    def collect(self) -> Iterable[Metric]:
        try:
            with metric_files.summed() as paths:
                return MultiProcessCollector.merge(paths, accumulate=True)
        except TimeoutError as error:
            logger.error("no counts in this scrape: %s", error)
            return ()


class Services(Collector):
    """The gauges of metrics.SCRAPED, as far as the parts that they are about answer."""

    def collect(self) -> Iterator[Metric]:
        families = {
            name: GaugeMetricFamily(name, asked.help, labels=asked.labels) for name, asked in metrics.SCRAPED.items()
        }
        for name, labels, value in _values(ask_all({**health.PROBES, **_added}, LIMIT)):
            families[name].add_metric(labels, value)
        return (family for family in families.values() if family.samples)


def _values(reports: Mapping[str, Report]) -> Iterator[Value]:
    yield "instafeed_up", ("primary",), _is_up(reports["database"])
    yield from _of_replicas(reports["replica"])
    for part in ("cache", "broker"):
        yield from _of_redis(part, reports[part])
    yield from _of_queues(reports["broker"])
    yield from _of_workers(reports["workers"])
    for name in _added:
        yield from ((gauge, (), value) for gauge, value in reports[name].items() if gauge in metrics.SCRAPED)


def _is_up(report: Report) -> float:
    return float(report["status"] not in ("down", "full"))


def _of_replicas(report: Report) -> Iterator[Value]:
    unknown = dict.fromkeys(settings.REPLICA_ALIASES, report)  # the probe as a whole was late
    for alias, replica in report.get("replicas", unknown).items():
        yield "instafeed_up", (alias,), _is_up(replica)
        for unit in ("seconds", "bytes"):
            if (lag := replica.get(f"lag_{unit}")) is not None:
                yield f"instafeed_replica_lag_{unit}", (alias,), lag


def _of_redis(part: str, report: Report) -> Iterator[Value]:
    yield "instafeed_up", (part,), _is_up(report)
    if "used_memory" in report:
        yield "instafeed_redis_used_bytes", (part,), report["used_memory"]
        yield "instafeed_redis_max_bytes", (part,), report["max_memory"]


def _of_queues(report: Report) -> Iterator[Value]:
    if "queues" in report:
        for queue, depth in report["queues"].items():
            yield "instafeed_queue_tasks", (queue,), depth
        yield "instafeed_unacked_tasks", (), report["unacked"]


def _of_workers(report: Report) -> Iterator[Value]:
    if "queues" in report:
        for queue, is_alive in report["queues"].items():
            yield "instafeed_worker_alive", (queue,), float(is_alive)
        yield "instafeed_beat_alive", (), float(report["beat"])
