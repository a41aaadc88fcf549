"""The invalidation outbox: keys go with the commit, or a little later, but they go."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.db import transaction
from django.utils import timezone

from instafeed.core.cache import invalidation
from instafeed.core.models import Invalidation
from instafeed.core.tasks import sweep_invalidations

pytestmark = pytest.mark.django_db(transaction=True)


def test_keys_go_when_the_change_commits_and_nothing_is_left(redis_cache: redis.Redis) -> None:
    redis_cache.set("a", 1)
    with transaction.atomic():
        invalidation.invalidate(["a", "b"])
        assert redis_cache.exists("a"), "readers still see the old rows"
    assert not redis_cache.exists("a")
    assert not Invalidation.objects.exists()


def test_a_rolled_back_change_drops_nothing(redis_cache: redis.Redis) -> None:
    redis_cache.set("a", 1)
    with transaction.atomic():
        invalidation.invalidate(["a"])
        transaction.set_rollback(True)
    assert redis_cache.exists("a")
    assert not Invalidation.objects.exists()


def test_outside_a_transaction_it_is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        invalidation.invalidate(["a"])


def test_what_a_dead_process_left_is_dropped_by_the_sweeper(redis_cache: redis.Redis) -> None:
    redis_cache.set("a", 1)
    Invalidation.objects.create(keys=["a"])
    sweep_invalidations()
    assert redis_cache.exists("a"), "it may be in the middle of its commit"
    Invalidation.objects.update(created_at=timezone.now() - timedelta(seconds=10))
    sweep_invalidations()
    assert not redis_cache.exists("a")
    assert not Invalidation.objects.exists()


def test_a_failing_redis_fails_no_writer_and_the_sweeper_remembers(
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
