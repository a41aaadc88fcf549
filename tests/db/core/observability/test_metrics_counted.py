"""What each metric counts, and its labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from celery import shared_task
from celery.app.trace import build_tracer
from celery.signals import task_failure
from django.test import Client
from pytest_django import Settings

from feeds import fanout, fanout_outbox, timeline, timeline_store
from instafeed.celery import app
from instafeed.core.cache import client as cache_client
from instafeed.core.db.replicas import read_your_writes
from instafeed.core.db.replicas.session import Session
from instafeed.core.jobs import enqueue, instrumentation
from instafeed.core.observability import metrics
from media import variants
from media.processing import ProcessingError
from posts import services as posts
from tests.db.feeds.feed_setup import create_posts, create_users, deliver, deliver_all, follow, make_overdue
from tests.db.media.lifecycle import process, upload
from tests.support.factories import UserFactory
from tests.support.metric_values import MetricChange

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
def test_requests_are_counted_by_route(client: Client, method: str, path: str, labels: tuple[str, str, str]) -> None:
    method_, route, status = labels
    change = MetricChange("instafeed_request_seconds_count", method=method_, route=route, status=status)
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


def test_task_failures_start_at_zero() -> None:
    app.loader.import_default_modules()
    instrumentation.initialise_failure_series(SimpleNamespace(app=app))
    for outcome in ("failure", "lost"):
        labels = {"task": "posts.tasks.rank_explore", "outcome": outcome}
        assert metrics.REGISTRY.get_sample_value("instafeed_tasks_total", labels) is not None


@pytest.mark.parametrize(("aliases", "reason"), [(["replica1"], "none_usable"), ([], "off")])
def test_reads_that_no_replica_can_answer(aliases: list[str], reason: str, settings: Settings) -> None:
    settings.REPLICA_ALIASES = aliases
    change = MetricChange("instafeed_replica_choices_total", target="primary", reason=reason)
    assert read_your_writes.choose_replica(Session(user_id=1)) is None
    assert change.by == 1


def test_throttled_requests(client: Client, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"anon": "1/minute"}
    change = MetricChange("instafeed_throttled_total", scope="anon")
    statuses = [client.get("/api/v1/explore").status_code for _ in range(3)]
    assert statuses == [401, 429, 429]
    assert change.by == 2


def test_fan_out_counts_deliveries_slices_and_visibility_delay() -> None:
    author, *followers = create_users(4)
    follow(author, *followers)
    for follower in followers[:2]:
        timeline.get_page(follower.pk, None, 5)
    began = time.monotonic()
    pushed = MetricChange("instafeed_deliveries_total")
    finished = MetricChange("instafeed_job_slices_total", kind="fanout", outcome="finished")
    seen, seconds = (MetricChange(f"instafeed_post_visible_seconds_{part}", mode="push") for part in ("count", "sum"))
    create_posts(author)
    deliver_all()
    assert (pushed.by, finished.by, seen.by) == (2, 1, 1)
    assert 0 < seconds.by <= time.monotonic() - began


def test_post_that_waits_for_media_has_no_visibility_delay() -> None:
    author = UserFactory()
    media = upload(author)
    seen = MetricChange("instafeed_post_visible_seconds_count", mode="push")
    finished = MetricChange("instafeed_job_slices_total", kind="fanout", outcome="finished")
    post = posts.create_post(author.pk, "", [media.pk])
    assert post.media_pending
    deliver_all()
    assert (finished.by, seen.by) == (1, 0)


def test_fan_out_slice_outcomes(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.FAN_OUT_BATCH_SIZE = 1
    author, *followers = create_users(3)
    follow(author, *followers)
    outcomes = ("continued", "postponed", "failed", "overtaken")
    changes = {
        outcome: MetricChange("instafeed_job_slices_total", kind="fanout", outcome=outcome) for outcome in outcomes
    }
    (post_id,) = create_posts(author)
    with monkeypatch.context() as patch:
        patch.setattr(fanout, "ROUND_SECONDS", 0.0)
        deliver(post_id)
    for error in (redis.ConnectionError("gone"), ZeroDivisionError()):
        with monkeypatch.context() as patch:
            patch.setattr(timeline_store, "push_to_home_timelines", _raising(error))
            deliver(post_id)
        make_overdue(post_id)
    with monkeypatch.context() as patch:
        patch.setattr(fanout_outbox, "mark_done", lambda _: 0)
        deliver(post_id)
    assert {outcome: change.by for outcome, change in changes.items()} == dict.fromkeys(outcomes, 1)


def _raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_feed_and_cache_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_client.breaker, "cooldown", 1_000.0)
    author, viewer = create_users(2)
    follow(author, viewer)
    create_posts(author)
    deliver_all()
    reads = {source: MetricChange("instafeed_feed_reads_total", source=source) for source in ("warm", "rebuilt", "sql")}
    results = ("hit", "miss", "bypassed")
    cards = {result: MetricChange("instafeed_cache_reads_total", kind="card", result=result) for result in results}
    rebuilt = MetricChange("instafeed_feed_rebuild_seconds_count", kind="feed")
    pulled = MetricChange("instafeed_feed_pulls_total", shape="by_author")
    timeline.get_page(viewer.pk, None, 5)
    timeline.get_page(viewer.pk, None, 5)
    assert {source: change.by for source, change in reads.items()} == {"warm": 1, "rebuilt": 1, "sql": 0}
    assert (cards["hit"].by, cards["miss"].by, rebuilt.by) == (1, 1, 1)
    assert pulled.by >= 1
    tripped = MetricChange("instafeed_breaker_trips_total", part="cache")
    cache_client.record_failure(redis.ConnectionError("gone"))
    timeline.get_page(viewer.pk, None, 5)
    assert (reads["sql"].by, tripped.by) == (1, 1)
    assert cards["bypassed"].by == 1


def test_broker_breaker_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueue.breaker, "cooldown", 1_000.0)
    tripped = MetricChange("instafeed_breaker_trips_total", part="broker")
    monkeypatch.setattr(succeeding, "apply_async", _raising(redis.ConnectionError("gone")))
    assert not enqueue.try_enqueue(succeeding)
    assert not enqueue.try_enqueue(succeeding)
    assert tripped.by == 1


@pytest.mark.parametrize("result", ["ready", "failed", "retried"])
def test_media_results(result: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    content = b"\xff\xd8\xff\xe0 no picture" if result == "failed" else None
    if result == "retried":
        monkeypatch.setattr(variants, "generate", _raising(ProcessingError("busy")))
    change, attempts = (
        MetricChange("instafeed_media_results_total", result=result),
        MetricChange("instafeed_media_seconds_count"),
    )
    media = upload(UserFactory(), content)
    process(media.pk)
    if result != "retried":
        process(media.pk)  # the job is gone
    assert (change.by, attempts.by) == (1, 1)


@shared_task(name="tests.succeeding")
def succeeding() -> None:
    pass


@shared_task(name="tests.failing")
def failing() -> None:
    raise RuntimeError


def test_tasks_by_name_and_outcome() -> None:
    good = MetricChange("instafeed_tasks_total", task="tests.succeeding", outcome="success")
    bad = MetricChange("instafeed_tasks_total", task="tests.failing", outcome="failure")
    lost = MetricChange("instafeed_tasks_total", task="tests.failing", outcome="lost")
    timed = MetricChange("instafeed_task_seconds_count", task="tests.failing")
    for task in (succeeding, failing):
        build_tracer(task.name, task, app=app)("task-1", [], {}, {"id": "task-1"})
    assert (good.by, bad.by, timed.by, lost.by) == (1, 1, 1, 0)
    task_failure.send(sender=failing, task_id="killed in the pool", exception=RuntimeError())
    assert (bad.by, lost.by) == (1, 1)
