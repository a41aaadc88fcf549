"""Rows that have served their purpose are deleted after the days of their setting, and no others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
import redis
from django.utils import timezone
from pytest_django import Settings

from accounts import personal_data, personal_data_registry
from instafeed.backoffice import retention, tasks
from instafeed.backoffice.models import Sample
from instafeed.core.api import idempotency
from instafeed.core.models import IdempotentResponse
from social.models import Notification, NotificationKind

pytestmark = pytest.mark.django_db

SETTINGS = ("NOTIFICATION", "IDEMPOTENCY", "SAMPLE")


@pytest.fixture(autouse=True)
def retention_of_ten_days(settings: Settings) -> None:
    for name in SETTINGS:
        setattr(settings, f"{name}_RETENTION_DAYS", 10)


def create_notification(days: int, kind: str = NotificationKind.LIKE) -> Notification:
    number = Notification.objects.count()
    at = timezone.now() - timedelta(days=days, minutes=1)
    return Notification.objects.create(
        recipient_id=1, aggregation_key=f"key:{number}", kind=kind, position=number, actor_count=1, created_at=at
    )


def create_response(days: int) -> IdempotentResponse:
    at = timezone.now() - timedelta(days=days, minutes=1)
    digest = UUID(int=IdempotentResponse.objects.count())
    return IdempotentResponse.objects.create(
        user_id=1, digest=digest, request_digest=digest, status=201, body=b"", created_at=at
    )


def create_sample(days: int) -> Sample:
    return Sample.objects.create(at=timezone.now() - timedelta(days=days, minutes=1), metrics={})


Create = Callable[[int], Notification | IdempotentResponse | Sample]


@pytest.mark.parametrize("create", [create_notification, create_response, create_sample])
def test_only_rows_older_than_the_setting_are_deleted(create: Create) -> None:
    old, young = create(10), create(9)
    assert retention.delete_expired_rows()
    assert list(type(old)._default_manager.all()) == [young]


@pytest.mark.parametrize("create", [create_notification, create_response, create_sample])
def test_zero_keeps_rows_for_ever(create: Create, settings: Settings) -> None:
    for name in SETTINGS:
        setattr(settings, f"{name}_RETENTION_DAYS", 0)
    old = create(3_000)
    assert retention.delete_expired_rows()
    assert type(old)._default_manager.exists()


def test_warnings_are_kept() -> None:
    create_notification(99, NotificationKind.WARNING)
    assert retention.delete_expired_rows()
    assert Notification.objects.exists()


def test_responses_that_are_still_replayed_are_kept() -> None:
    create_response(0)
    assert idempotency.delete_older(timezone.now())
    assert IdempotentResponse.objects.exists()


def test_task_deletes_in_slices_and_continues_behind_others(
    monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis
) -> None:
    monkeypatch.setattr(retention, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(retention, "SAMPLES_BATCH_SIZE", 2)
    for days in range(11, 14):
        create_sample(days)
    tasks.delete_expired_rows()
    assert Sample.objects.count() == 1
    assert redis_broker.llen("bulk") == 1
    tasks.delete_expired_rows()
    assert not Sample.objects.exists()
    assert redis_broker.llen("bulk") == 1, "nothing is left"


def test_erasure_of_kept_responses_takes_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be many, if they are kept for ever."""
    monkeypatch.setattr(personal_data_registry, "CHUNK_SIZE", 2)
    for _ in range(3):
        create_response(99)
    assert not personal_data.erase_idempotent_responses(1)
    assert IdempotentResponse.objects.count() == 1
    assert personal_data.erase_idempotent_responses(1)
