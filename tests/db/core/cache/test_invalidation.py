"""The invalidation outbox deletes keys after the commit, even if a process or Redis fails in between."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import transaction
from django.utils import timezone

from instafeed.core.cache import commands, invalidation
from instafeed.core.cache.lua import Command
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
        patch.setattr(commands, "get_client", gone)
        with transaction.atomic():
            invalidation.invalidate(["a"])
        assert Invalidation.objects.count() == 1
        Invalidation.objects.update(created_at=timezone.now() - timedelta(seconds=10))
        with pytest.raises(redis.ConnectionError):
            invalidation.sweep()
        assert Invalidation.objects.count() == 1
    assert invalidation.sweep() == 1
    assert not redis_cache.exists("a")


# --- Many keys ----------------------------------------------------------------------------------------------


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of keys of each command that deletes keys."""
    run, sizes = commands.run_unguarded, list[int]()

    def count(sent: Sequence[Command]) -> list[Any]:
        sizes.extend(len(command) - 1 for command in sent if command[0] == "UNLINK")
        if any("stuck" in command for command in sent):
            raise redis.TimeoutError("this key takes too long")
        return run(sent)

    monkeypatch.setattr(commands, "run_unguarded", count)
    return sizes


def make_old() -> None:
    Invalidation.objects.update(created_at=timezone.now() - timedelta(seconds=10))


def test_many_keys_are_split_over_rows_and_commands(redis_cache: redis.Redis, sizes: list[int]) -> None:
    redis_cache.mset({f"k{number}": 1 for number in range(2_500)})
    with transaction.atomic():
        invalidation.invalidate(f"k{number}" for number in range(2_500))
        assert sorted(len(row.keys) for row in Invalidation.objects.all()) == [500, 1_000, 1_000]
    assert sorted(sizes) == [500, 1_000, 1_000]
    assert not redis_cache.exists("k0", "k2499")
    assert not Invalidation.objects.exists()


def test_the_sweep_splits_the_keys_of_a_huge_row(redis_cache: redis.Redis, sizes: list[int]) -> None:
    """As older versions wrote them."""
    redis_cache.set("k0", 1)
    Invalidation.objects.create(keys=[f"k{number}" for number in range(2_500)])
    make_old()
    assert invalidation.sweep() == 1
    assert max(sizes) == 1_000
    assert not redis_cache.exists("k0")


def test_a_key_that_cannot_be_deleted_delays_no_other_row(redis_cache: redis.Redis, sizes: list[int]) -> None:
    redis_cache.mset({f"k{number}": 1 for number in range(100)})
    stuck = Invalidation.objects.create(keys=["k0", "stuck"])
    for number in range(1, 100):
        Invalidation.objects.create(keys=[f"k{number}"])
    make_old()
    assert invalidation.sweep() == 99
    assert list(Invalidation.objects.all()) == [stuck]
    assert not redis_cache.exists(*(f"k{number}" for number in range(100)))
    assert len(sizes) < 20, "found by halving"


def test_the_sweep_tries_once_while_redis_is_down(
    redis_cache: redis.Redis, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(sent: Sequence[Command]) -> None:
        sizes.append(len(sent))
        raise redis.ConnectionError("gone")

    monkeypatch.setattr(commands, "run_unguarded", gone)
    Invalidation.objects.create(keys=["k0", "stuck"])
    make_old()
    with pytest.raises(redis.ConnectionError):
        invalidation.sweep()
    assert len(sizes) == 2, "the keys, and whether Redis answers at all"
