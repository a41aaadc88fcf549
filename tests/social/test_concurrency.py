"""Writers of the graph at the same time, on the real database: rows, counts and rules hold in the end.

What the storms may raise are refusals (`RelationError`), never a deadlock or a broken constraint.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.dispatch import Signal

from accounts.models import User
from accounts.services import update_profile
from accounts.signals import privacy_changed
from social import services
from social.errors import RelationError, UnknownUser
from social.models import Block, Follow, FollowRequest
from social.services import locks
from social.signals import relations_changed
from tests.factories import FollowRequestFactory, UserFactory
from tests.social.follow_graph import assert_counts_match_follows, run_concurrently, shown_counts

pytestmark = pytest.mark.django_db(transaction=True)


def storm(writes: list[Callable[[], Any]], threads: int = 12) -> None:
    """Run `writes` over `threads` threads that start together; whatever is no refusal is raised."""
    random.shuffle(writes)

    def run(mine: list[Callable[[], Any]]) -> None:
        for write in mine:
            with suppress(RelationError):
                write()

    for error in run_concurrently([partial(run, writes[number::threads]) for number in range(threads)]):
        if error is not None:
            raise error


@contextmanager
def held_at(signal: Signal) -> Iterator[tuple[Event, Event]]:
    """Stops the first transaction that sends `signal` until told: (it has arrived, let it go on)."""
    arrived, go_on = Event(), Event()

    def hold(**_: Any) -> None:
        if not arrived.is_set():
            arrived.set()
            assert go_on.wait(timeout=20)

    signal.connect(hold)
    try:
        yield arrived, go_on
    finally:
        go_on.set()
        signal.disconnect(hold)


def closing(call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        connection.close()


def assert_rules_hold() -> None:
    """Nobody follows across a block, nobody waits who follows, nobody waits at a public account."""
    follows = set(Follow.objects.values_list("follower_id", "followee_id"))
    requests = set(FollowRequest.objects.values_list("follower_id", "followee_id"))
    blocks = set(Block.objects.values_list("blocker_id", "blocked_id"))
    apart = blocks | {(blocked, blocker) for blocker, blocked in blocks}
    assert not (follows | requests) & apart
    assert not follows & requests
    assert not FollowRequest.objects.filter(followee__is_private=False).exists()
    assert_counts_match_follows()


def test_fifty_who_follow_one_user_at_once_are_all_counted() -> None:
    star = UserFactory()
    fans = UserFactory.create_batch(50)
    answers = run_concurrently([partial(services.follow, fan.pk, star.pk) for fan in fans])
    assert answers == ["following"] * 50
    assert shown_counts(star) == (50, 0)
    assert_counts_match_follows()


def test_one_who_follows_in_twenty_requests_at_once_follows_once() -> None:
    ann, bob = UserFactory(), UserFactory()
    assert run_concurrently([partial(services.follow, ann.pk, bob.pk)] * 20) == ["following"] * 20
    assert shown_counts(bob) == (1, 0)
    assert_counts_match_follows()


@pytest.mark.parametrize("private", [False, True])
def test_a_storm_on_one_pair_ends_consistent(private: bool) -> None:
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
    storm([partial(write, *pair) for write in writes for pair in pairs for _ in range(12)])
    assert_rules_hold()


def test_a_storm_in_a_ring_of_users_meets_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "MAX_ATTEMPTS", 1)
    users = [user.pk for user in UserFactory.create_batch(6)]
    pairs = [(one, other) for one in users for other in users if one != other]
    storm([partial(write, *pair) for write in (services.follow, services.unfollow) for pair in pairs * 4])
    assert_rules_hold()


def test_a_storm_around_an_account_that_turns_private_and_public_leaves_nobody_waiting(
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
    storm(calls)
    assert_rules_hold()


def test_a_follow_waits_for_the_account_that_is_turning_private_and_then_asks() -> None:
    owner, fan = UserFactory(), UserFactory()
    with held_at(privacy_changed) as (arrived, go_on), ThreadPoolExecutor(2) as pool:
        turning = pool.submit(closing, partial(update_profile, owner.pk, {"is_private": True}))
        assert arrived.wait(timeout=20)
        following = pool.submit(closing, partial(services.follow, fan.pk, owner.pk))
        with pytest.raises(TimeoutError):
            following.result(timeout=0.3)
        go_on.set()
        turning.result(timeout=20)
        assert following.result(timeout=20) == "requested"
    assert_rules_hold()


def test_a_follow_waits_for_the_account_that_is_turning_public_and_then_follows() -> None:
    owner, fan = UserFactory(is_private=True), UserFactory()
    early = FollowRequestFactory(followee=owner).follower
    with held_at(privacy_changed) as (arrived, go_on), ThreadPoolExecutor(2) as pool:
        turning = pool.submit(closing, partial(update_profile, owner.pk, {"is_private": False}))
        assert arrived.wait(timeout=20)
        following = pool.submit(closing, partial(services.follow, fan.pk, owner.pk))
        with pytest.raises(TimeoutError):
            following.result(timeout=0.3)
        go_on.set()
        turning.result(timeout=20)
        assert following.result(timeout=20) == "following"
    assert Follow.objects.filter(followee=owner, follower__in=[early, fan]).count() == 2
    assert_rules_hold()


def test_turning_private_waits_for_the_follow_that_is_under_way() -> None:
    owner, fan = UserFactory(), UserFactory()
    with held_at(relations_changed) as (arrived, go_on), ThreadPoolExecutor(2) as pool:
        following = pool.submit(closing, partial(services.follow, fan.pk, owner.pk))
        assert arrived.wait(timeout=20)
        turning = pool.submit(closing, partial(update_profile, owner.pk, {"is_private": True}))
        with pytest.raises(TimeoutError):
            turning.result(timeout=0.3)
        go_on.set()
        assert following.result(timeout=20) == "following"
        turning.result(timeout=20)
    assert shown_counts(owner) == (1, 0)


def test_relations_of_other_pairs_do_not_wait_for_a_follow_that_is_under_way() -> None:
    owner, fan, other, another = UserFactory.create_batch(4)
    with held_at(relations_changed) as (arrived, go_on), ThreadPoolExecutor(2) as pool:
        following = pool.submit(closing, partial(services.follow, fan.pk, owner.pk))
        assert arrived.wait(timeout=20)
        services.mute(another.pk, owner.pk)
        assert services.follow(other.pk, another.pk) == "following"
        go_on.set()
        following.result(timeout=20)


def test_a_follow_of_an_account_erased_meanwhile_finds_nobody() -> None:
    """The foreign key is checked at the commit only, when the row is gone; the next attempt sees that."""
    owner, fan = UserFactory(), UserFactory()
    with held_at(relations_changed) as (arrived, go_on), ThreadPoolExecutor(1) as pool:
        following = pool.submit(closing, partial(services.follow, fan.pk, owner.pk))
        assert arrived.wait(timeout=20)
        User.objects.filter(pk=owner.pk).delete()
        go_on.set()
        assert isinstance(following.exception(timeout=20), UnknownUser)
    assert shown_counts(fan) == (0, 0)


def test_a_follow_that_an_import_inserted_meanwhile_is_not_an_error() -> None:
    ann, bob = UserFactory(), UserFactory()
    attempts: list[int] = []

    def run() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            raise IntegrityError("duplicate key")
        return services.follow(ann.pk, bob.pk)

    assert locks.retry_on_conflict(run)() == "following"


def test_a_deadlock_with_a_stranger_is_tried_again() -> None:
    """A session that locks two users for deletion against the order costs a second, not the follow."""
    low, high = UserFactory.create_batch(2)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            User.objects.select_for_update().get(pk=high.pk)
            following = pool.submit(closing, partial(services.follow, high.pk, low.pk))
            with pytest.raises(TimeoutError):
                following.result(timeout=0.3)
            # It has waited for longer than this will, so it is the one that PostgreSQL ends.
            User.objects.select_for_update().get(pk=low.pk)
        assert following.result(timeout=20) == "following"
    assert_counts_match_follows()


def test_a_follow_waits_for_no_row_of_a_user() -> None:
    ann, bob = UserFactory.create_batch(2)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        list(User.objects.select_for_update(no_key=True))
        for write in (services.follow, services.unfollow, services.block):
            pool.submit(closing, partial(write, ann.pk, bob.pk)).result(timeout=5)
    assert_counts_match_follows()


def test_accounts_that_asked_each_other_turn_public_together_without_a_deadlock() -> None:
    for _ in range(8):
        common, one, other = (UserFactory(is_private=number > 0) for number in range(3))
        for follower, followee in ((one, other), (other, one), (common, one), (common, other)):
            FollowRequestFactory(follower=follower, followee=followee)
        answers = run_concurrently([partial(update_profile, user.pk, {"is_private": False}) for user in (one, other)])
        assert [answer for answer in answers if isinstance(answer, Exception)] == []
        assert Follow.objects.filter(followee__in=[one, other]).count() == 4
    assert_counts_match_follows()
