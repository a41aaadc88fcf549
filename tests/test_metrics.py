"""/metrics: what it says, to whom, and how soon when parts are dead."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import shared_task
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import task_failure
from django.db import connections
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from feeds import assembly, backlog, fanout, ledger, store
from feeds.models import FanOut
from instafeed import dispatch, health, heartbeat, metrics, probes, scrape
from instafeed import redis as breaker
from instafeed.celery import app
from media.processing import ProcessingError
from posts import services as posts
from tests.factories import UserFactory
from tests.feeds.helpers import deliver, follow, people, write
from tests.media.helpers import upload

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[1]
TOKEN = "a-token-of-the-monitoring"


@pytest.fixture(autouse=True)
def _new_probes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for place in (health.PROBES, scrape._added):
        for name, probe in place.items():
            monkeypatch.setitem(place, name, probes.Probe(probe._check))
    probes._executor.cache_clear()
    yield
    probes._executor.cache_clear()


class Change:
    """How much a series grew since."""

    def __init__(self, series: str, **labels: str) -> None:
        self._series, self._labels = series, labels
        self._before = self._now()

    def _now(self) -> float:
        return metrics.REGISTRY.get_sample_value(self._series, self._labels) or 0.0

    @property
    def by(self) -> float:
        return self._now() - self._before


def scraped(client: Client, **options: Any) -> dict[tuple[str, ...], float]:
    """Values by name and labels' values."""
    answer = client.get("/metrics", **options)
    assert answer.status_code == 200
    families = list(text_string_to_metric_families(answer.content.decode()))
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


# --- The answer --------------------------------------------------------------------------------------


def test_it_is_prometheus_text_with_everything_that_is_counted_and_asked(client: Client) -> None:
    heartbeat.note_sweep()
    answer = client.get("/metrics")
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "no-store" in answer["Cache-Control"]
    families = {family.name for family in text_string_to_metric_families(answer.content.decode())}
    assert {metric.name for metric in metrics.REGISTRY.collect()} | metrics.SCRAPED.keys() <= families


def test_it_tells_how_the_services_are(client: Client, redis_broker: redis.Redis) -> None:
    redis_broker.rpush("media", "one", "two")
    values = scraped(client)
    assert {part: values["instafeed_up", part] for part in ("primary", "replica1", "cache", "broker")} == {
        "primary": 1,
        "replica1": 1,
        "cache": 1,
        "broker": 1,
    }
    assert values["instafeed_queue_tasks", "media"] == 2
    assert values["instafeed_redis_used_bytes", "cache"] > 0
    assert values["instafeed_replica_lag_bytes", "replica1"] >= 0
    assert values["instafeed_worker_alive", "fan_out"] == 0
    assert values[("instafeed_beat_alive",)] == 0


def test_dead_parts_neither_fail_nor_delay_it(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    where = connections["default"].settings_dict
    port, where["PORT"] = where["PORT"], "1"
    try:
        began = time.monotonic()
        values = scraped(client)
        assert time.monotonic() - began < 3
    finally:
        where["PORT"] = port
    assert {part: values["instafeed_up", part] for part in ("primary", "cache", "broker")} == {
        "primary": 0,
        "cache": 0,
        "broker": 0,
    }
    of_the_dead = ("instafeed_queue", "instafeed_redis", "instafeed_fan_outs", "instafeed_worker_alive")
    assert not [key for key in values if key[0].startswith(of_the_dead)]
    assert ("instafeed_deliveries_total",) in values, "what was counted is there all the same"


def test_a_part_that_hangs_delays_it_by_a_second_at_most(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(health.PROBES, "broker", probes.Probe(lambda: time.sleep(6) or {"status": "ok"}))
    began = time.monotonic()
    values = scraped(client)
    assert time.monotonic() - began < 3, "a second, and what a crowded machine takes"
    assert values["instafeed_up", "broker"] == 0
    assert values["instafeed_up", "cache"] == 1, "the others are asked beside it"


def test_it_costs_the_request_no_query_of_its_own(client: Client, django_assert_num_queries: Any) -> None:
    client.get("/metrics")
    with django_assert_num_queries(0):
        client.get("/metrics")


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_can_only_be_read(client: Client, method: str) -> None:
    assert getattr(client, method)("/metrics").status_code == 405


# --- Who may read it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.1.2.3", "192.168.7.7", "172.18.0.4", "::ffff:10.0.0.1"])
def test_a_private_network_may_read_it_without_a_token(client: Client, address: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450::1", "::ffff:8.8.8.8", "", "unix"])
def test_for_others_it_does_not_exist(client: Client, address: str) -> None:
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto", "Via"])
def test_nor_for_whoever_comes_through_a_proxy(client: Client, header: str) -> None:
    assert client.get("/metrics", headers={header: "127.0.0.1"}).status_code == 404


def test_with_a_token_only_the_token_counts(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    for wrong in ("", TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"bearer {TOKEN}", f"Basic {TOKEN}", "Bearer \u00e9"):
        assert client.get("/metrics", headers={"Authorization": wrong}).status_code == 404
    through_a_proxy = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "8.8.8.8"}
    assert client.get("/metrics", headers=through_a_proxy, REMOTE_ADDR="8.8.8.8").status_code == 200


# --- What is counted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("get", "/api/v1/users/somebody", ("GET", "/api/v1/users/<str:username>", "4xx")),
        ("get", "/api/v1/no/such/thing", ("GET", "unmatched", "4xx")),
        ("get", "/nothing/here", ("GET", "unmatched", "4xx")),
        ("get", "/health/live", ("GET", "/health/live", "2xx")),
        ("generic", "/health/live", ("other", "/health/live", "4xx")),
    ],
)
def test_requests_are_counted_by_route_never_by_path(
    client: Client, method: str, path: str, labels: tuple[str, str, str]
) -> None:
    method_, route, status = labels
    change = Change("instafeed_request_seconds_count", method=method_, route=route, status=status)
    client.generic("BREW", path) if method == "generic" else client.get(path)
    assert change.by == 1
    routes = {
        sample.labels["route"]
        for metric in metrics.REGISTRY.collect()
        if metric.name == "instafeed_request_seconds"
        for sample in metric.samples
    }
    assert "somebody" not in str(routes)
    assert metrics.REGISTRY.get_sample_value("instafeed_requests_in_progress") == 0


def test_requests_beyond_a_limit_are_counted(client: Client, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"anon": "1/minute"}
    change = Change("instafeed_throttled_total", scope="anon")
    statuses = [client.get("/api/v1/explore").status_code for _ in range(3)]
    assert statuses == [401, 429, 429]
    assert change.by == 2


@pytest.mark.django_db(transaction=True)
def test_a_fan_out_counts_deliveries_slices_and_the_time_until_the_post_was_visible() -> None:
    author, *followers = people(4)
    follow(author, *followers)
    for follower in followers[:2]:
        assembly.page(follower.pk, None, 5)
    pushed = Change("instafeed_deliveries_total")
    finished = Change("instafeed_fan_out_slices_total", outcome="finished")
    seen, seconds = (Change(f"instafeed_post_visible_seconds_{part}", mode="push") for part in ("count", "sum"))
    write(author)
    deliver()
    assert (pushed.by, finished.by, seen.by) == (2, 1, 1)
    assert 0 < seconds.by < 10


@pytest.mark.django_db(transaction=True)
def test_a_post_that_waits_for_its_pictures_is_not_counted_as_late() -> None:
    author = UserFactory()
    media = upload(author)
    seen = Change("instafeed_post_visible_seconds_count", mode="push")
    finished = Change("instafeed_fan_out_slices_total", outcome="finished")
    post = posts.create_post(author.pk, "", [media.pk])
    assert post.waiting
    deliver()
    assert (finished.by, seen.by) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_what_becomes_of_slices_is_counted(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.FAN_OUT_BATCH_SIZE = 1
    author, *followers = people(3)
    follow(author, *followers)
    outcomes = ("continued", "postponed", "failed", "overtaken", "unclaimed")
    changes = {outcome: Change("instafeed_fan_out_slices_total", outcome=outcome) for outcome in outcomes}
    (post_id,) = write(author)
    with monkeypatch.context() as patch:
        patch.setattr(fanout, "SLICE", 0.0)
        assert fanout.deliver_slice(post_id)
    for error in (redis.ConnectionError("gone"), ZeroDivisionError()):
        with monkeypatch.context() as patch:
            patch.setattr(store, "push", _raising(error))
            fanout.deliver_slice(post_id)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "close", lambda *_: False)
        fanout.deliver_slice(post_id)
    fanout.deliver_slice(post_id)  # claimed still
    assert {outcome: change.by for outcome, change in changes.items()} == dict.fromkeys(outcomes, 1)


def _raising(error: Exception) -> Any:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.django_db(transaction=True)
def test_the_backlog_is_asked_at_each_scrape(client: Client) -> None:
    author = UserFactory()
    ids = write(author, 3)
    FanOut.objects.filter(pk=ids[0]).update(state=3)
    values = scraped(client)
    assert values[("instafeed_fan_outs_open",)] == 2
    assert values[("instafeed_fan_outs_dead",)] == 1
    assert 0 < values[("instafeed_fan_out_oldest_seconds",)] < 60
    deliver()
    assert backlog.gauges()["instafeed_fan_out_oldest_seconds"] == 0


@pytest.mark.django_db(transaction=True)
def test_reads_of_feeds_and_of_the_cache_are_counted_warm_and_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = people(2)
    follow(author, viewer)
    write(author)
    deliver()
    reads = {source: Change("instafeed_feed_reads_total", source=source) for source in ("warm", "rebuilt", "sql")}
    results = ("hit", "miss", "bypassed")
    cards = {result: Change("instafeed_cache_reads_total", kind="card", result=result) for result in results}
    rebuilt = Change("instafeed_feed_rebuild_seconds_count", kind="feed")
    pulled = Change("instafeed_feed_pulls_total", shape="by_author")
    assembly.page(viewer.pk, None, 5)
    assembly.page(viewer.pk, None, 5)
    assert {source: change.by for source, change in reads.items()} == {"warm": 1, "rebuilt": 1, "sql": 0}
    assert (cards["hit"].by, cards["miss"].by, rebuilt.by) == (1, 1, 1)
    assert pulled.by >= 1
    tripped = Change("instafeed_breaker_trips_total", part="cache")
    breaker.trip(redis.ConnectionError("gone"))
    assembly.page(viewer.pk, None, 5)
    assert (reads["sql"].by, tripped.by) == (1, 1)
    assert cards["bypassed"].by == 1


def test_a_broker_that_is_left_alone_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tripped = Change("instafeed_breaker_trips_total", part="broker")
    monkeypatch.setattr(well, "apply_async", lambda *_, **__: _raising(redis.ConnectionError("gone"))())
    assert not dispatch.nudge(well)
    assert not dispatch.nudge(well)
    assert tripped.by == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("result", ["ready", "failed", "retried"])
def test_what_becomes_of_pictures_is_counted(
    result: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from media import pipeline, variants

    settings.MEDIA_ROOT = str(tmp_path)
    content = b"\xff\xd8\xff\xe0 no picture" if result == "failed" else None
    if result == "retried":
        monkeypatch.setattr(variants, "make", lambda *_, **__: _raising(ProcessingError("busy"))())
    change, attempts = Change("instafeed_media_results_total", result=result), Change("instafeed_media_seconds_count")
    media = upload(UserFactory(), content)
    pipeline.run(media.pk)
    pipeline.run(media.pk)  # nothing is due any more
    assert (change.by, attempts.by) == (1, 1)


@shared_task(name="tests.well")
def well() -> None:
    pass


@shared_task(name="tests.ill")
def ill() -> None:
    raise RuntimeError


def test_tasks_are_counted_by_name_and_outcome() -> None:
    good = Change("instafeed_tasks_total", task="tests.well", outcome="success")
    bad = Change("instafeed_tasks_total", task="tests.ill", outcome="failure")
    lost = Change("instafeed_tasks_total", task="tests.ill", outcome="lost")
    timed = Change("instafeed_task_seconds_count", task="tests.ill")
    for task in (well, ill):
        build_tracer(task.name, task, app=app)("task-1", [], {}, {"id": "task-1"})
    assert (good.by, bad.by, timed.by, lost.by) == (1, 1, 1, 0)
    task_failure.send(sender=ill, task_id="killed in the pool", exception=RuntimeError())
    assert (bad.by, lost.by) == (1, 1)


# --- The registry ------------------------------------------------------------------------------------


def test_the_operators_page_lists_every_metric_with_its_labels() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(instafeed_\w+)` \| (\w+) \| ([^|]*) \|", page, re.MULTILINE)
    documented = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    counted = {
        f"{metric._name}{'_total' if metric._type == 'counter' else ''}": (metric._type, tuple(metric._labelnames))
        for metric in metrics.REGISTRY._collector_to_names
    }
    asked = {name: ("gauge", asked.labels) for name, asked in metrics.SCRAPED.items()}
    assert documented == counted | asked


@pytest.mark.parametrize(
    ("error", "outcome"), [(Ignore(), "ignored"), (Reject(), "rejected"), (SystemExit(), "ignored"), (Retry(), "retry")]
)
def test_every_end_of_a_task_has_an_outcome_that_the_operators_page_lists(error: BaseException, outcome: str) -> None:
    @shared_task(name=f"tests.{type(error).__name__}")
    def ending() -> None:
        raise error

    change = Change("instafeed_tasks_total", task=f"tests.{type(error).__name__}", outcome=outcome)
    with suppress(SystemExit, Reject):
        build_tracer(ending.name, ending, app=app)("task-1", [], {}, {"id": "task-1"})
    assert change.by == 1


def test_the_operators_page_lists_the_outcomes_of_tasks() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (row,) = (line for line in page.splitlines() if line.startswith("| `instafeed_tasks_total`"))
    assert set(re.findall(r"`(\w+)`", row.split("|")[4])) == set(metrics.TASK_OUTCOMES)
    outcomes = {
        sample.labels["outcome"]
        for metric in metrics.REGISTRY.collect()
        if metric.name == "instafeed_tasks"
        for sample in metric.samples
    }
    assert outcomes <= set(metrics.TASK_OUTCOMES)


COUNT = """
import os, sys
from multiprocessing import get_context
from instafeed import metrics

metrics.DELIVERIES.inc(1)
def work(number):
    metrics.DELIVERIES.inc(10)
    metrics.TASKS.labels("x", "success").inc()
processes = [get_context("fork").Process(target=work, args=[number]) for number in range(3)]
for process in processes: process.start()
for process in processes: process.join()
from django.conf import settings
settings.configure()
from instafeed import scrape
print(scrape.exposition().decode())
"""


def test_processes_that_share_the_directory_are_summed_also_after_a_fork(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT],
        cwd=ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "new" / "one"), "PATH": "", "REDIS_URL": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "instafeed_deliveries_total 31.0" in done.stdout, done.stderr
    assert 'instafeed_tasks_total{outcome="success",task="x"} 3.0' in done.stdout


def test_a_file_that_has_just_been_made_does_not_fail_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setattr(metrics, "DIRECTORY", str(tmp_path))
    (tmp_path / "counter_1.db").touch()
    assert scraped(client)["instafeed_up", "primary"] == 1
