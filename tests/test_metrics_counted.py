"""What is counted, and under which labels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import shared_task
from celery.app.trace import build_tracer
from celery.signals import task_failure
from django.test import Client
from pytest_django import Settings

from feeds import assembly, backlog, fanout, ledger, store
from feeds.models import FanOut
from instafeed import dispatch, metrics, task_events
from instafeed import redis as breaker
from instafeed.celery import app
from instafeed.replicas import sticking
from media.processing import ProcessingError
from posts import services as posts
from tests.counting import Change, scraped
from tests.factories import UserFactory
from tests.feeds.helpers import deliver, follow, people, write
from tests.media.helpers import upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_probes")]


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


def test_failures_of_tasks_are_counted_from_zero() -> None:
    app.loader.import_default_modules()
    task_events._count_from_zero(SimpleNamespace(app=app))
    for outcome in ("failure", "lost"):
        labels = {"task": "posts.tasks.rank_explore", "outcome": outcome}
        assert metrics.REGISTRY.get_sample_value("instafeed_tasks_total", labels) is not None


def test_a_site_without_replicas_does_not_miss_them(settings: Settings) -> None:
    assert sticking._choose(1, []) == (None, "none_usable")
    settings.REPLICA_ALIASES = []
    assert sticking._choose(1, []) == (None, "off")


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
