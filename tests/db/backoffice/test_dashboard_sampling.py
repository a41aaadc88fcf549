"""Dashboard samples of real services, and of services that do not answer."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from feeds.models import FanOut
from instafeed.backoffice.dashboard import sampling
from instafeed.backoffice.dashboard.panels import METRIC_NAMES
from instafeed.backoffice.models import Sample
from instafeed.backoffice.tasks import take_sample
from instafeed.core.cache import keys
from instafeed.core.jobs.leased import JobState
from media.models import Relocation
from posts.models import Post
from posts.models.report import Reason, TargetType
from posts.services.reports import Target, file_report
from tests.db.feeds.feed_setup import create_posts, deliver_all, follow
from tests.support.eventually import eventually
from tests.support.factories import UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_probes")]


@pytest.fixture(autouse=True)
def _patient_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "STATEMENT_TIMEOUT", "60s")  # a busy machine may need longer than production allows


def measure_now() -> sampling.Values:
    return sampling.measure(timezone.now())


def test_all_metrics_are_measured(redis_cache: redis.Redis) -> None:
    Relocation.objects.create(owner_id=1)
    Relocation.objects.create(owner_id=2, due_at=timezone.now() + timedelta(hours=1))
    values = measure_now()
    assert set(values) == set(METRIC_NAMES)
    nulls = {name for name, value in values.items() if value is None}
    assert nulls == {"lag_p50", "lag_p99"}, "there are no posts"
    assert (values["jobs_relocation"], values["jobs_erasure"]) == (1, 0)

    def is_cache_server_measured() -> bool:
        """Other test processes fill and empty their databases of the same server."""
        used: int = redis_cache.info("memory")["used_memory"]
        return measure_now()["memory_cache"] == pytest.approx(used, rel=0.5)

    eventually(is_cache_server_measured)


def test_at_most_one_sample_per_minute() -> None:
    for _ in range(3):
        take_sample()
    assert Sample.objects.count() in (1, 2)  # the next minute may begin meanwhile
    assert all(at.second == at.microsecond == 0 for at in Sample.objects.values_list("at", flat=True))


def test_fan_out_lag_includes_the_age_of_unfinished_ones() -> None:
    author = UserFactory()
    *done, stuck = create_posts(author, 4)
    deliver_all()
    created = timezone.now() - timedelta(minutes=1)
    for post_id in done:
        FanOut.objects.filter(pk=post_id).update(created_at=created, finished_at=created + timedelta(seconds=2))
    FanOut.objects.filter(pk=stuck).update(created_at=created, finished_at=None, state=JobState.RUNNING)
    values = measure_now()
    assert values["lag_p50"] == pytest.approx(2)
    assert 50 < (values["lag_p99"] or 0) < (timezone.now() - created).total_seconds()
    assert (values["fan_outs_open"], values["fan_outs_dead"]) == (1, 0)
    FanOut.objects.filter(pk=stuck).update(state=JobState.DEAD)
    values = measure_now()
    assert (values["fan_outs_open"], values["fan_outs_dead"]) == (0, 1)


def test_posts_and_reports_of_the_previous_minute_are_counted() -> None:
    author, reader = UserFactory(), UserFactory()
    post = create_posts(author, 3)[0]
    file_report(reader.pk, Target(TargetType.POST, post, author.pk), Reason.SPAM, "")
    born = Post.objects.get(pk=post).created_at
    for at, expected in ((born + timedelta(seconds=30), (3, 1)), (born + timedelta(seconds=90), (0, 0))):
        values = sampling.measure(at)
        assert (values["posts"], values["reports"]) == expected


def test_warm_feeds_are_estimated_from_random_keys(redis_cache: redis.Redis) -> None:
    author, readers = UserFactory(), [UserFactory() for _ in range(3)]
    follow(author, *readers)
    for number in range(1, 301):
        redis_cache.rpush(keys.home_timeline(number), 1)
        redis_cache.set(keys.post_card(number), 1)
    warm = measure_now()["feeds_warm"]
    assert warm is not None
    assert 180 < warm < 420, "300 of 600 keys"
    redis_cache.flushdb()
    assert measure_now()["feeds_warm"] == 0


@pytest.mark.parametrize(
    ("setting", "lost"),
    [
        ("REDIS_URL", {"memory_cache", "feeds_warm"}),
        ("CELERY_BROKER_URL", {"memory_broker"}),
    ],
)
def test_service_that_does_not_answer_gives_null(setting: str, lost: set[str], settings: Settings) -> None:
    setattr(settings, setting, "redis://127.0.0.1:1/0")
    values = measure_now()
    assert {values[name] for name in lost} == {None}
    others = {"memory_cache", "memory_broker", "replica_lag", "posts"} - lost
    assert None not in {values[name] for name in others}


def test_sampling_uses_indexes_only() -> None:
    create_posts(UserFactory(), 3)
    with CaptureQueriesContext(connection) as queries:
        measure_now()
    selects = [query["sql"] for query in queries if query["sql"].startswith(("SELECT", "\nSELECT"))]
    assert len(selects) == 6
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for sql in selects:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Index" in plan and "Seq Scan" not in plan, plan  # noqa: PT018
        cursor.execute("RESET enable_seqscan")
