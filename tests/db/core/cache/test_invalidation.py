"""The invalidation outbox deletes keys after the commit, even if a process or Redis fails in between."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.db import transaction
from django.utils import timezone

from instafeed.core.cache import invalidation
from instafeed.core.models import Invalidation
from instafeed.core.tasks import sweep_invalidations

pytestmark = pytest.mark.django_db


def test_keys_and_row_are_deleted_after_the_commit(redis_cache: redis.Redis) -> None:
    redis_cache.set("a", 1)
    with transaction.atomic():
        invalidation.invalidate(["a", "b"])
        assert redis_cache.exists("a"), "readers still see the old rows"
    assert not redis_cache.exists("a")
    assert not Invalidation.objects.exists()


def test_a_rollback_deletes_no_keys(redis_cache: redis.Redis) -> None:
    redis_cache.set("a", 1)
    with transaction.atomic():
        invalidation.invalidate(["a"])
        transaction.set_rollback(True)
    assert redis_cache.exists("a")
    assert not Invalidation.objects.exists()


def test_invalidate_requires_a_transaction() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        invalidation.invalidate(["a"])


def test_the_sweep_deletes_the_keys_of_a_dead_process(
    redis_cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invalidation, "MIN_SWEEP_AGE", timedelta(hours=1))
    redis_cache.set("a", 1)
    Invalidation.objects.create(keys=["a"])
    sweep_invalidations()
    assert redis_cache.exists("a"), "a young row may belong to a commit in progress"
    Invalidation.objects.update(created_at=timezone.now() - timedelta(hours=1))
    sweep_invalidations()
    assert not redis_cache.exists("a")
    assert not Invalidation.objects.exists()


def test_a_redis_outage_fails_no_writer_and_leaves_the_keys_to_the_sweep(
    redis_cache: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> redis.Redis:
        raise redis.ConnectionError("gone")

    redis_cache.set("a", 1)
    with monkeypatch.context() as patch:
        patch.setattr(invalidation, "get_client", gone)
        with transaction.atomic():
            invalidation.invalidate(["a"])
        assert Invalidation.objects.count() == 1
        Invalidation.objects.update(created_at=timezone.now() - timedelta(seconds=10))
        with pytest.raises(redis.ConnectionError):
            invalidation.sweep()
        assert Invalidation.objects.count() == 1
    assert invalidation.sweep() == 1
    assert not redis_cache.exists("a")
