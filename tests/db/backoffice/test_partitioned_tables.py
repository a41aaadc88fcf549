"""Which tables have partitions, and which of these retention drops."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from feeds.models import DeliveryMode, FanOut
from instafeed.backoffice import partitioned_tables, tasks
from instafeed.core.db.partitions import fetch_partitions
from instafeed.core.db.snowflake import first_id_at
from instafeed.core.jobs.leased import JobState
from posts.models import Like, Post
from tests.support.factories import UserFactory
from tests.support.partitioned import partition_by_moments, partition_by_month

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _six_months(settings: Settings) -> None:
    settings.FAN_OUT_RETENTION_DAYS = 40
    partition_by_month(6)


@transaction.atomic  # whose end checks the foreign keys; a table with unchecked ones cannot be dropped
def create_fan_out(days: int, state: JobState = JobState.DONE) -> FanOut:
    """Create the fan-out of a post of this age, and a like of the post."""
    author, at = UserFactory(), timezone.now() - timedelta(days=days, minutes=1)
    post = Post(id=first_id_at(at), author=author, caption="old", created_at=at)
    Post.objects.bulk_create([post])
    Like.objects.create(post=post, user=author)
    return FanOut.objects.create(post=post, author=author, mode=DeliveryMode.PUSH, state=state, created_at=at)


def test_every_partitioned_table_is_maintained() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'p'")
        assert {name for (name,) in cursor.fetchall()} == {table.name for table in partitioned_tables.list_tables()}


def test_finished_fan_outs_are_dropped_with_their_partition() -> None:
    young = create_fan_out(39)
    for days in (75, 120, 900):
        create_fan_out(days)
    tasks.delete_expired_rows()
    assert list(FanOut.objects.all()) == [young]
    assert Post.objects.count() == Like.objects.count() == 4, "posts and likes are never dropped"


@pytest.mark.parametrize("state", [JobState.PENDING, JobState.RUNNING, JobState.DEAD])
def test_unfinished_and_dead_fan_outs_are_kept(state: JobState) -> None:
    kept = create_fan_out(99, state)
    create_fan_out(98)
    tasks.delete_expired_rows()
    assert list(FanOut.objects.values_list("pk", "state", "author_id")) == [(kept.pk, state, kept.author_id)]


def test_zero_keeps_fan_outs_for_ever(settings: Settings) -> None:
    settings.FAN_OUT_RETENTION_DAYS = 0
    create_fan_out(3_000)
    tasks.delete_expired_rows()
    assert FanOut.objects.exists()


def test_each_table_has_a_partition_ahead() -> None:
    partition_by_moments(timedelta(days=1), 2)
    assert partitioned_tables.maintain() == []
    soon = first_id_at(timezone.now() + timedelta(days=13))
    assert all((fetch_partitions(table.name)[-1].start or 0) > soon for table in partitioned_tables.list_tables())
