"""The erasure of deleted accounts in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from accounts import erasure_worker, personal_data_registry, tasks
from accounts.models import Erasure, User
from accounts.personal_data_registry import PersonalDataCategory
from instafeed.core.cache import keys
from instafeed.core.jobs.leased import Outcome
from media import storage
from media.file_deletion import delete_due_files
from media.models import Media
from posts.models import Comment, Like, Post, Report
from social.models import Follow, Mute
from tests.db.accounts.auth_client import get, start_session
from tests.support.database_clock import assert_sets_ahead
from tests.support.factories import FollowFactory, UserFactory
from tests.support.leased_jobs import lose_tasks
from tests.support.pictures import expected_paths
from tests.support.populated_account import (
    assert_counts_are_exact,
    count_rows_mentioning,
    delete_account,
    end_in_flight_requests,
    registered_columns,
    run_erasure,
)

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("others")
def test_erasure_leaves_nothing_and_keeps_other_counts_exact(alice: User) -> None:
    alice.groups.add(Group.objects.get(name="Moderator"))
    not_populated = {"accounts.User_user_permissions.user", "admin.LogEntry.user", "accounts.Erasure.user"}
    assert {column for column in registered_columns() if column not in count_rows_mentioning(alice.pk)} <= not_populated
    rows = count_rows_of_others()
    files = [path for media in Media.objects.filter(owner=alice) for path in expected_paths(media)]
    delete_account(alice)
    run_erasure()
    assert count_rows_mentioning(alice.pk) == {}
    assert not User.objects.filter(pk=alice.pk).exists()
    assert_counts_are_exact()
    assert count_rows_of_others() == rows
    while delete_due_files():
        pass
    assert files
    assert not any(default_storage.exists(path) for path in files)
    assert all(default_storage.exists(path) for media in Media.objects.all() for path in expected_paths(media))


def count_rows_of_others() -> dict[str, int]:
    """Count the rows that do not involve alice."""
    return {
        "follows": Follow.objects.exclude(follower__username="alice").exclude(followee__username="alice").count(),
        "mutes": Mute.objects.exclude(muter__username="alice").exclude(muted__username="alice").count(),
        "posts": Post.objects.exclude(author__username="alice").count(),
        "pictures": Media.objects.exclude(owner__username="alice").count(),
        "comments": Comment.objects.exclude(author__username="alice").exclude(post__author__username="alice").count(),
        "likes": Like.objects.exclude(user__username="alice").exclude(post__author__username="alice").count(),
        "reports": Report.objects.exclude(reporter__username="alice").exclude(target_type="user").count(),
    }


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize("chunk", [1, 3])
def test_counts_stay_exact_between_slices(alice: User, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(personal_data_registry, "CHUNK_SIZE", chunk)
    monkeypatch.setattr(erasure_worker, "SLICE_SECONDS", 0)
    delete_account(alice)
    left, slices = sum(count_rows_mentioning(alice.pk).values()), 0
    end_in_flight_requests()
    while erasure_worker.process_next() is not Outcome.UNCLAIMED:
        assert_counts_are_exact()
        now = sum(count_rows_mentioning(alice.pk).values())
        assert now <= left
        left, slices = now, slices + 1
    assert 20 / chunk < slices < 200
    assert count_rows_mentioning(alice.pk) == {}


@pytest.mark.usefixtures("others")
def test_erasure_survives_worker_death_at_any_statement(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the worker after 10 statements, the next after 15, and so on until one of them finishes.

    Statements of savepoints are not counted: the rollback that follows a death must succeed.
    """

    class Killed(BaseException):
        pass

    monkeypatch.setattr(personal_data_registry, "CHUNK_SIZE", 2)
    monkeypatch.setattr(erasure_worker.queue, "lease", timedelta(0))
    delete_account(alice)
    end_in_flight_requests()
    deaths = 0
    while User.objects.filter(pk=alice.pk).exists():
        remaining = 10 + 5 * deaths

        def die(execute: Callable[..., Any], sql: str, *call: Any) -> Any:
            nonlocal remaining
            if "SAVEPOINT" not in sql:
                remaining -= 1
                if remaining < 0:
                    raise Killed
            return execute(sql, *call)

        with connection.execute_wrapper(die):
            try:
                erasure_worker.process_next()
            except Killed:
                deaths += 1
        assert_counts_are_exact()
    assert deaths > 3
    assert count_rows_mentioning(alice.pk) == {}


def test_redis_keys_are_deleted(alice: User, redis_cache: redis.Redis, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"export": "100/hour"}
    tokens = start_session(alice)
    assert get("me/export", tokens.access).status_code == 200
    assert get("feed", tokens.access).status_code == 200
    names = [
        keys.user_summary(alice.pk),
        keys.auth_state(alice.pk),
        keys.wal_position(alice.pk),
        keys.home_timeline(alice.pk),
    ]
    for name in names:
        redis_cache.set(name, "x")
    redis_cache.sadd(keys.celebrities(0), 0, alice.pk)
    User.objects.filter(pk=alice.pk).update(celebrity_state=2, celebrity_pin=True)
    delete_account(alice)
    run_erasure()
    assert [
        key for key in redis_cache.scan_iter("*") if str(alice.pk).encode() in key.replace(b":", b"/").split(b"/")
    ] == []
    assert not redis_cache.exists(keys.celebrities(0))


def test_avatar_file_is_deleted(alice: User) -> None:
    path = f"avatars/{storage.new_key()}.webp"
    storage.save(path, BytesIO(b"a face"), "image/webp")
    User.objects.filter(pk=alice.pk).update(avatar_path=path)
    delete_account(alice)
    run_erasure()
    delete_due_files()
    assert not default_storage.exists(path)


def test_admin_log_of_former_staff_is_deleted(alice: User) -> None:
    moderator, kind = UserFactory(is_staff=True), ContentType.objects.get_for_model(User)
    for user, subject in ((moderator, alice), (alice, moderator), (moderator, moderator)):
        LogEntry.objects.create(user=user, content_type=kind, object_id=str(subject.pk), action_flag=CHANGE)
    delete_account(alice)
    run_erasure()
    assert [(entry.user_id, entry.object_id) for entry in LogEntry.objects.all()] == [(moderator.pk, str(moderator.pk))]


def test_claimed_account_is_skipped_until_claim_expires(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    delete_account(alice)
    assert len(erasure_worker.queue.claim_due(1)) == 1
    assert erasure_worker.process_next() is Outcome.UNCLAIMED
    assert User.objects.filter(pk=alice.pk).exists()
    Erasure.objects.update(due_at=timezone.now())  # the claim expired
    run_erasure()
    assert not User.objects.filter(pk=alice.pk).exists()


def test_erasure_waits_for_in_flight_requests(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure_worker, "IN_FLIGHT_WRITES_TIMEOUT", timedelta(minutes=10))
    delete_account(alice)
    assert erasure_worker.process_next() is Outcome.CONTINUED
    assert erasure_worker.process_next() is Outcome.UNCLAIMED
    erasure, deleted_at = Erasure.objects.get(), User.objects.get(pk=alice.pk).deleted_at
    assert deleted_at
    assert erasure.due_at == deleted_at + erasure_worker.IN_FLIGHT_WRITES_TIMEOUT
    assert erasure.attempts == 0


@pytest.fixture
def slow_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make retries due long after the test has looked at the failure, even on a slow machine."""
    assert erasure_worker.queue.retry_delay == timedelta(seconds=1)
    monkeypatch.setattr(erasure_worker.queue, "retry_delay", timedelta(minutes=1))


@pytest.mark.usefixtures("slow_retries")
def test_failed_step_is_retried_with_backoff(alice: User) -> None:
    bob = UserFactory()
    delete_account(alice)
    delete_account(bob)

    def fail(user_id: int) -> bool:
        if user_id == alice.pk:
            raise OSError("the storage is unavailable")
        return True

    with registered(PersonalDataCategory("broken", erase=fail)):
        for minutes in (2, 4, 5):
            with assert_sets_ahead(Erasure.objects.filter(pk=alice.pk), "due_at", timedelta(minutes=minutes)):
                run_erasure()
            Erasure.objects.update(due_at=timezone.now())
    assert "the storage is unavailable" in Erasure.objects.get(pk=alice.pk).error
    assert not User.objects.filter(pk=bob.pk).exists()
    run_erasure()
    assert not User.objects.filter(pk=alice.pk).exists()


@contextmanager
def registered(category: PersonalDataCategory, *, erased_last: bool = False) -> Iterator[None]:
    """Register one more category: erased first, or last."""
    categories = personal_data_registry.get_categories()
    extended = [category, *categories] if erased_last else [*categories, category]
    with patch.object(personal_data_registry, "get_categories", lambda: extended):
        yield


@pytest.mark.usefixtures("slow_retries")
def test_late_row_is_erased_by_next_pass(alice: User) -> None:
    bob = UserFactory()
    written = threading.Event()

    def write_late(user_id: int) -> bool:
        if not written.is_set():
            written.set()
            FollowFactory(follower=bob, followee=alice)
        return True

    delete_account(alice)
    with registered(PersonalDataCategory("late", erase=write_late), erased_last=True):
        run_erasure()
        assert User.objects.filter(pk=alice.pk).exists(), "the late row refers to it"
        assert "ForeignKeyViolation" in Erasure.objects.get().error or "IntegrityError" in Erasure.objects.get().error
        Erasure.objects.update(due_at=timezone.now())
        run_erasure()
    assert not User.objects.filter(pk=alice.pk).exists()
    assert_counts_are_exact()


@pytest.mark.usefixtures("others")
def test_user_row_is_not_deleted_before_dependent_rows(alice: User) -> None:
    delete_account(alice)
    with patch.object(personal_data_registry, "get_categories", list):
        run_erasure()
    assert "IntegrityError" in Erasure.objects.get(pk=alice.pk).error
    assert Follow.objects.filter(followee=alice).count() == 2


def test_task_requests_another_while_accounts_are_due(
    alice: User, monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis
) -> None:
    monkeypatch.setattr(erasure_worker, "IN_FLIGHT_WRITES_TIMEOUT", timedelta(0))
    delete_account(alice)
    delete_account(UserFactory())
    assert redis_broker.llen("bulk") == 2, "one for both erasures, one for both relocations"
    lose_tasks(redis_broker)
    tasks.erase_accounts()
    assert redis_broker.llen("bulk") == 1
    tasks.erase_accounts()
    assert redis_broker.llen("bulk") == 1
    assert not Erasure.objects.exists()
    tasks.erase_accounts()  # nothing is left
