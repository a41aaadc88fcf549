"""Concurrent writes on the social graph against PostgreSQL: rows, counts and invariants hold in the end.

Concurrent writes may raise a `RelationError`, never a deadlock or an integrity error.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.dispatch import Signal
from pytest_django import Settings

from accounts.models import User
from accounts.services import update_profile
from accounts.signals import privacy_changed
from social import services
from social.errors import FollowingLimit, RelationError, UnknownUser
from social.models import Block, Follow, FollowRequest
from social.services import locks
from social.signals import relations_changed
from tests.support.concurrency import close_connection_after, run_concurrently
from tests.support.eventually import TIMEOUT, eventually
from tests.support.factories import FollowRequestFactory, UserFactory
from tests.support.follow_graph import assert_counts_match_follows, shown_counts
from tests.support.lock_waits import count_lock_waiters

pytestmark = pytest.mark.django_db(transaction=True)


def run_shuffled(writes: list[Callable[[], Any]], threads: int = 12) -> None:
    """Run `writes` in random order on `threads` threads. Raise any error except a RelationError."""
    random.shuffle(writes)

    def run(own_writes: list[Callable[[], Any]]) -> None:
        for write in own_writes:
            with suppress(RelationError):
                write()

    for error in run_concurrently([partial(run, writes[number::threads]) for number in range(threads)]):
        if error is not None:
            raise error


@contextmanager
def pause_at(signal: Signal) -> Iterator[tuple[Event, Event]]:
    """Pause the first transaction that sends `signal`. Yield the events (it has arrived, let it continue)."""
    arrived, resume = Event(), Event()

    def pause(**_: Any) -> None:
        if not arrived.is_set():
            arrived.set()
            assert resume.wait(TIMEOUT)

    signal.connect(pause)
    try:
        yield arrived, resume
    finally:
        resume.set()
        signal.disconnect(pause)


def assert_waits_for_a_lock(write: Future[Any]) -> None:
    """Assert that `write`, the only running write, cannot go on before a lock is released."""
    eventually(lambda: count_lock_waiters() or write.done())
    assert not write.done()


def assert_invariants_hold() -> None:
    """Assert: no follow or request across a block, no request beside a follow or to a public account, exact counts."""
    follows = set(Follow.objects.values_list("follower_id", "followee_id"))
    requests = set(FollowRequest.objects.values_list("follower_id", "followee_id"))
    blocks = set(Block.objects.values_list("blocker_id", "blocked_id"))
    blocked_pairs = blocks | {(blocked, blocker) for blocker, blocked in blocks}
    assert not (follows | requests) & blocked_pairs
    assert not follows & requests
    assert not FollowRequest.objects.filter(followee__is_private=False).exists()
    assert_counts_match_follows()


def test_concurrent_followers_are_all_counted() -> None:
    star = UserFactory()
    fans = UserFactory.create_batch(50)
    results = run_concurrently([partial(services.follow, fan.pk, star.pk) for fan in fans])
    assert results == ["following"] * 50
    assert shown_counts(star) == (50, 0)
    assert_counts_match_follows()


def test_concurrent_follows_by_one_user_create_one_follow() -> None:
    ann, bob = UserFactory(), UserFactory()
    assert run_concurrently([partial(services.follow, ann.pk, bob.pk)] * 20) == ["following"] * 20
    assert shown_counts(bob) == (1, 0)
    assert_counts_match_follows()


@pytest.mark.parametrize("private", [False, True])
def test_concurrent_writes_on_one_pair_stay_consistent(private: bool) -> None:
    ann, bob = UserFactory(is_private=private), UserFactory()
    writes = [
        services.follow,
        services.follow,
        services.unfollow,
        services.remove_follower,
        services.accept_request,
        services.reject_request,
        services.block,
        services.unblock,
        services.mute,
    ]
    pairs = [(ann.pk, bob.pk), (bob.pk, ann.pk)]
    run_shuffled([partial(write, *pair) for write in writes for pair in pairs for _ in range(12)])
    assert_invariants_hold()


def test_concurrent_writes_on_many_pairs_do_not_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "MAX_ATTEMPTS", 1)
    users = [user.pk for user in UserFactory.create_batch(6)]
    pairs = [(one, other) for one in users for other in users if one != other]
    run_shuffled([partial(write, *pair) for write in (services.follow, services.unfollow) for pair in pairs * 4])
    assert_invariants_hold()


def test_concurrent_privacy_changes_leave_no_pending_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "MAX_ATTEMPTS", 1)
    users = UserFactory.create_batch(7)
    owners, ids = users[2:4], [user.pk for user in users]
    pairs = [(one, other) for one in ids for other in ids if one != other]
    writes = [services.follow, services.follow, services.unfollow, services.accept_request, services.block]
    calls: list[Callable[[], Any]] = [partial(write, *pair) for write in writes for pair in pairs]
    calls += [partial(services.unblock, *pair) for pair in pairs * 2]
    for owner in owners:
        calls += [partial(update_profile, owner.pk, {"is_private": number % 2 == 0}) for number in range(30)]
    run_shuffled(calls)
    assert_invariants_hold()


def test_follow_during_change_to_private_becomes_a_request() -> None:
    owner, fan = UserFactory(), UserFactory()
    with pause_at(privacy_changed) as (arrived, resume), ThreadPoolExecutor(2) as pool:
        turning = pool.submit(close_connection_after, update_profile, owner.pk, {"is_private": True})
        assert arrived.wait(TIMEOUT)
        following = pool.submit(close_connection_after, services.follow, fan.pk, owner.pk)
        assert_waits_for_a_lock(following)
        resume.set()
        turning.result(TIMEOUT)
        assert following.result(TIMEOUT) == "requested"
    assert_invariants_hold()


def test_follow_during_change_to_public_becomes_a_follow() -> None:
    owner, fan = UserFactory(is_private=True), UserFactory()
    early_requester = FollowRequestFactory(followee=owner).follower
    with pause_at(privacy_changed) as (arrived, resume), ThreadPoolExecutor(2) as pool:
        turning = pool.submit(close_connection_after, update_profile, owner.pk, {"is_private": False})
        assert arrived.wait(TIMEOUT)
        following = pool.submit(close_connection_after, services.follow, fan.pk, owner.pk)
        assert_waits_for_a_lock(following)
        resume.set()
        turning.result(TIMEOUT)
        assert following.result(TIMEOUT) == "following"
    assert Follow.objects.filter(followee=owner, follower__in=[early_requester, fan]).count() == 2
    assert_invariants_hold()


def test_change_to_private_waits_for_a_running_follow() -> None:
    owner, fan = UserFactory(), UserFactory()
    with pause_at(relations_changed) as (arrived, resume), ThreadPoolExecutor(2) as pool:
        following = pool.submit(close_connection_after, services.follow, fan.pk, owner.pk)
        assert arrived.wait(TIMEOUT)
        turning = pool.submit(close_connection_after, update_profile, owner.pk, {"is_private": True})
        assert_waits_for_a_lock(turning)
        resume.set()
        assert following.result(TIMEOUT) == "following"
        turning.result(TIMEOUT)
    assert shown_counts(owner) == (1, 0)


def test_other_pairs_do_not_wait_for_a_running_follow() -> None:
    owner, fan, other, another = UserFactory.create_batch(4)
    with pause_at(relations_changed) as (arrived, resume), ThreadPoolExecutor(2) as pool:
        following = pool.submit(close_connection_after, services.follow, fan.pk, owner.pk)
        assert arrived.wait(TIMEOUT)
        services.mute(another.pk, owner.pk)
        assert services.follow(other.pk, another.pk) == "following"
        resume.set()
        following.result(TIMEOUT)


def test_follow_of_a_concurrently_erased_account_raises_unknown_user() -> None:
    """The foreign key is checked at the commit, when the user is gone. The retry sees that."""
    owner, fan = UserFactory(), UserFactory()
    with pause_at(relations_changed) as (arrived, resume), ThreadPoolExecutor(1) as pool:
        following = pool.submit(close_connection_after, services.follow, fan.pk, owner.pk)
        assert arrived.wait(TIMEOUT)
        User.objects.filter(pk=owner.pk).delete()
        resume.set()
        assert isinstance(following.exception(TIMEOUT), UnknownUser)
    assert shown_counts(fan) == (0, 0)


def test_follow_inserted_by_a_concurrent_import_is_retried() -> None:
    ann, bob = UserFactory(), UserFactory()
    attempts: list[int] = []

    def run() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise IntegrityError("duplicate key")
        return services.follow(ann.pk, bob.pk)

    assert locks.retry_on_conflict(run)() == "following"


@contextmanager
def foreign_session() -> Iterator[psycopg.Connection]:
    """Open a transaction that PostgreSQL does not cancel when it takes part in a deadlock."""
    database = connection.settings_dict
    address = {"host": database["HOST"], "port": database["PORT"], "dbname": database["NAME"]}
    # Only a superuser may set the time after which a waiting session looks for deadlocks, and cancels itself.
    with psycopg.connect(**address, user="postgres", password=database["PASSWORD"]) as session:
        session.execute("SET deadlock_timeout = '1h'")
        yield session


def test_deadlock_with_a_foreign_session_is_retried() -> None:
    """A session that locks users against the lock order delays the follow by a second but does not fail it."""
    low, high = UserFactory.create_batch(2)
    attempts: list[str] = []
    has_locked = Event()

    def lock_until_the_foreign_session_waits(**_: Any) -> None:
        """Lock `low` as the commit does, which then waits for `high`."""
        attempts.append("attempt")
        if len(attempts) == 1:
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM accounts_user WHERE id = %s FOR KEY SHARE", [low.pk])
            has_locked.set()
            eventually(count_lock_waiters)

    relations_changed.connect(lock_until_the_foreign_session_waits)
    try:
        with ThreadPoolExecutor(1) as pool:
            with foreign_session() as session:
                session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [high.pk])
                following = pool.submit(close_connection_after, services.follow, high.pk, low.pk)
                assert has_locked.wait(TIMEOUT)
                session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [low.pk])
            assert following.result(TIMEOUT) == "following"
    finally:
        relations_changed.disconnect(lock_until_the_foreign_session_waits)
    assert len(attempts) == 2
    assert_counts_match_follows()


def test_relation_writes_do_not_wait_for_user_rows() -> None:
    ann, bob = UserFactory.create_batch(2)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        list(User.objects.select_for_update(no_key=True))
        for write in (services.follow, services.unfollow, services.block):
            pool.submit(close_connection_after, write, ann.pk, bob.pk).result(TIMEOUT)
    assert_counts_match_follows()


def test_concurrent_changes_to_public_do_not_deadlock() -> None:
    for _ in range(8):
        common, one, other = (UserFactory(is_private=number > 0) for number in range(3))
        for follower, followee in ((one, other), (other, one), (common, one), (common, other)):
            FollowRequestFactory(follower=follower, followee=followee)
        results = run_concurrently([partial(update_profile, user.pk, {"is_private": False}) for user in (one, other)])
        assert [result for result in results if isinstance(result, Exception)] == []
        assert Follow.objects.filter(followee__in=[one, other]).count() == 4
    assert_counts_match_follows()


def test_concurrent_follows_do_not_exceed_the_limit(settings: Settings) -> None:
    ann, others = UserFactory(), UserFactory.create_batch(12)
    settings.MAX_FOLLOWING = 3
    results = run_concurrently([partial(services.follow, ann.pk, other.pk) for other in others])
    assert results.count("following") == 3
    assert sum(isinstance(result, FollowingLimit) for result in results) == 9
    assert Follow.objects.filter(follower=ann).count() == 3
    assert_counts_match_follows()
