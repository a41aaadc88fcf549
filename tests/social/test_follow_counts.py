"""Follower and following counts: exact for every reader at every moment, and nobody waits for anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from accounts.follower_counts import get_exact_counts, with_pending_counts
from accounts.models import CelebrityState, CountChange, User
from feeds import celebrity_transitions
from social import counter_rollup as rolling
from social import services, tasks
from social.counter_rollup import roll_up
from social.models import Follow
from social.services import follow_count_repair, locks
from social.signals import audience_changed
from tests.factories import FollowFactory, UserFactory
from tests.social.follow_graph import (
    API,
    assert_counts_match_follows,
    captured_signals,
    run_concurrently,
    signed_in_client,
)
from tests.social.follow_graph import shown_counts as seen

pytestmark = pytest.mark.django_db(transaction=True)


def in_row(user: User) -> tuple[int, int]:
    return User.objects.values_list("follower_count", "following_count").get(pk=user.pk)


def closing(call: Callable[[], Any]) -> Any:
    try:
        return call()
    finally:
        connection.close()


def test_a_count_is_the_row_and_what_is_pending() -> None:
    star = UserFactory(follower_count=7)
    fan = UserFactory()
    services.follow(fan.pk, star.pk)
    assert in_row(star) == (7, 0)
    assert (seen(star), seen(fan)) == ((8, 0), (0, 1))
    assert roll_up() == 2
    assert (in_row(star), in_row(fan)) == ((8, 0), (0, 1))
    assert (seen(star), seen(fan)) == ((8, 0), (0, 1))
    assert not CountChange.objects.exists()
    assert roll_up() == 0


def test_every_answer_has_the_counts_of_this_moment() -> None:
    star, fan = UserFactory(username="star"), UserFactory()
    client, own = signed_in_client(fan), signed_in_client(star)
    for follow, expected in ((True, 1), (False, 0), (True, 1)):
        (client.post if follow else client.delete)(f"{API}/users/star/follow")
        bodies = [
            client.get(f"{API}/users/star").json(),
            APIClient().get(f"{API}/users/star").json(),
            own.get(f"{API}/me").json(),
            own.patch(f"{API}/me", {"bio": str(expected)}).json(),
            json.loads(own.get(f"{API}/me/export").getvalue())["profile"][0],
        ]
        assert [body["follower_count"] for body in bodies] == [expected] * 5
        assert client.get(f"{API}/me").json()["following_count"] == expected
        roll_up()


def test_the_counts_of_many_are_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in (2, 48):
        for _ in range(number):
            services.follow(UserFactory().pk, UserFactory().pk)
        with django_assert_num_queries(1):
            assert {sum(get_exact_counts(user)) for user in with_pending_counts(User.objects.all())} == {1}


def test_a_roll_up_announces_whose_audience_changed_with_the_new_count_in_its_row() -> None:
    star, fan, other = UserFactory.create_batch(3)
    services.follow(fan.pk, star.pk)
    services.follow(fan.pk, other.pk)
    services.unfollow(fan.pk, other.pk)
    counts_then: list[int] = []

    def look(author_ids: list[int], **_: object) -> None:
        counts_then.extend(User.objects.filter(pk__in=author_ids).values_list("follower_count", flat=True))

    audience_changed.connect(look)
    try:
        with captured_signals(audience_changed) as audiences:
            roll_up()
            roll_up()
    finally:
        audience_changed.disconnect(look)
    assert audiences == [{"author_ids": [star.pk]}]
    assert counts_then == [1]


def test_a_roll_up_that_fails_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    star, fan = UserFactory.create_batch(2)
    services.follow(fan.pk, star.pk)

    def fail(**_: object) -> None:
        raise RuntimeError

    audience_changed.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            roll_up()
    finally:
        audience_changed.disconnect(fail)
    assert (in_row(star), seen(star)) == ((0, 0), (1, 0))
    roll_up()
    assert in_row(star) == seen(star) == (1, 0)


def test_a_roll_up_takes_users_in_batches_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "USER_BATCH_SIZE", 3)
    star = UserFactory()
    for fan in UserFactory.create_batch(10):
        services.follow(fan.pk, star.pk)
    assert roll_up() == 11
    assert in_row(star) == (10, 0)
    assert not CountChange.objects.exists()


def test_the_queries_of_a_roll_up_do_not_grow_with_what_is_pending() -> None:
    numbers = []
    for number in (2, 50):
        for fan in UserFactory.create_batch(number):
            services.follow(fan.pk, UserFactory().pk)
        with CaptureQueriesContext(connection) as captured:
            roll_up()
        numbers.append(len(captured))
    assert numbers[0] == numbers[1]


def test_a_roll_up_waits_for_no_locked_row_and_comes_back_to_it() -> None:
    busy, idle, fan = UserFactory.create_batch(3)
    services.follow(fan.pk, busy.pk)
    services.follow(fan.pk, idle.pk)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=busy.pk)
        assert pool.submit(closing, roll_up).result(timeout=10) == 2
        assert (in_row(busy), in_row(idle), in_row(fan)) == ((0, 0), (1, 0), (0, 2))
        assert seen(busy) == (1, 0)
    assert roll_up() == 1
    assert in_row(busy) == (1, 0)


def test_a_reader_beside_roll_ups_sees_one_and_the_same_count() -> None:
    """Read by two statements, the change would now and then be in neither the row nor what is pending, or in both."""
    star, done = UserFactory(follower_count=500), Event()

    def roll_to_and_fro() -> None:
        for _ in range(50):
            with transaction.atomic():
                User.objects.filter(pk=star.pk).update(follower_count=F("follower_count") - 1)
                CountChange.objects.create(user_id=star.pk, followers=1)
            roll_up()

    def read() -> set[int]:
        found = set()
        while not done.is_set():
            found.add(seen(star)[0])
        return found

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(closing, read) for _ in range(2)]
        assert run_concurrently([roll_to_and_fro]) == [None]
        done.set()
        assert [reader.result(timeout=30) for reader in readers] == [{500}, {500}]


def test_a_hundred_follow_one_account_at_once_while_others_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen threads, roll-ups beside them, and a reader who never sees a count that was never true."""
    monkeypatch.setattr(locks, "MAX_ATTEMPTS", 1)  # a deadlock would be an error
    star, leaving, coming = UserFactory(), UserFactory.create_batch(50), UserFactory.create_batch(100)
    for user in leaving:
        FollowFactory(follower=user, followee=star)
    writes = [partial(services.follow, user.pk, star.pk) for user in coming]
    writes += [partial(services.unfollow, user.pk, star.pk) for user in leaving]
    done, read = Event(), []

    def run(number: int) -> None:
        for write in writes[number::16]:
            write()

    def until_done(call: Callable[[], Any]) -> None:
        while not done.is_set():
            call()

    def look() -> None:
        """Both from one snapshot: what is counted, and what is there."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            read.append((get_exact_counts(User(pk=star.pk))[0], Follow.objects.filter(followee=star).count()))

    with ThreadPoolExecutor(4) as beside:
        others = [beside.submit(closing, partial(until_done, call)) for call in (roll_up, roll_up, look)]
        answers = run_concurrently([partial(run, number) for number in range(16)])
        done.set()
        for other in others:
            other.result(timeout=30)
    assert answers == [None] * 16
    assert [pair for pair in read if pair[0] != pair[1]] == []
    assert len({count for count, _ in read}) > 3, "the reader saw nothing of it"
    assert seen(star) == (100, 0)
    roll_up()
    assert in_row(star) == (100, 0)
    assert_counts_match_follows()


def test_an_author_over_the_line_becomes_a_celebrity_with_a_roll_up_and_no_sooner_back(
    settings: Settings, redis_broker: redis.Redis
) -> None:
    settings.CELEBRITY_THRESHOLD = 10
    star, *fans = UserFactory.create_batch(11)

    def state() -> int:
        """After a roll-up and the tasks that it sent for."""
        tasks.roll_up_counts()
        if redis_broker.delete("maintenance"):
            celebrity_transitions.reconcile_author(star.pk)
        return User.objects.values_list("celebrity_state", flat=True).get(pk=star.pk)

    for fan in fans[:9]:
        services.follow(fan.pk, star.pk)
    assert state() == CelebrityState.ORDINARY
    services.follow(fans[9].pk, star.pk)
    assert state() == CelebrityState.CELEBRITY
    services.unfollow(fans[9].pk, star.pk)
    assert state() == CelebrityState.CELEBRITY, "nine of ten: not yet below 90 %"
    services.unfollow(fans[8].pk, star.pk)
    assert state() == CelebrityState.ORDINARY


def test_beat_rolls_up_every_second_and_an_old_message_is_dropped() -> None:
    entry = settings.CELERY_BEAT_SCHEDULE["roll-up-counts"]
    assert (entry["task"], entry["schedule"]) == (tasks.roll_up_counts.name, 1.0)
    assert entry["options"]["expires"] <= 5


class TestRecount:
    def wrong(self) -> User:
        """A user whose row, and whose pending changes, are both off."""
        user = FollowFactory().followee
        services.follow(UserFactory().pk, user.pk)
        services.follow(user.pk, UserFactory().pk)
        User.objects.filter(pk=user.pk).update(follower_count=40, following_count=3)
        CountChange.objects.create(user_id=user.pk, followers=-5, following=1)
        return user

    def test_it_corrects_what_is_wrong_and_nothing_else(self) -> None:
        wrong, right = self.wrong(), FollowFactory().followee
        assert follow_count_repair.repair_follow_counts(dry_run=True) == 1
        assert seen(wrong) == (36, 5)
        assert follow_count_repair.repair_follow_counts() == 1
        assert in_row(wrong) == seen(wrong) == (2, 1)
        assert in_row(right) == (1, 0)
        assert_counts_match_follows()
        assert follow_count_repair.repair_follow_counts() == 0

    def test_a_count_below_zero_is_made_right(self) -> None:
        follow = FollowFactory()
        User.objects.filter(pk=follow.followee_id).update(follower_count=0)
        services.unfollow(follow.follower_id, follow.followee_id)
        roll_up()
        services.follow(follow.follower_id, follow.followee_id)
        follow_count_repair.repair_follow_counts()
        assert seen(follow.followee) == in_row(follow.followee) == (1, 0)

    def test_at_once_with_itself_it_corrects_once(self) -> None:
        users = [self.wrong() for _ in range(4)]
        answers = run_concurrently([partial(follow_count_repair.correct_counts, [user.pk for user in users])] * 6)
        assert answers == [None] * 6
        assert [seen(user) for user in users] == [(2, 1)] * 4

    def test_a_recount_from_before_a_follow_and_a_roll_up_is_still_right_after_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user, fan = self.wrong(), UserFactory()
        found = follow_count_repair.find_wrong_counts

        def drifted(user_ids: list[int]) -> dict[int, tuple[int, int]]:
            result = found(user_ids)
            assert run_concurrently([partial(services.follow, fan.pk, user.pk)]) == ["following"]
            assert run_concurrently([roll_up])[0] > 1
            return result

        monkeypatch.setattr(follow_count_repair, "find_wrong_counts", drifted)
        follow_count_repair.correct_counts([user.pk])
        assert seen(user) == (3, 1)
        assert_counts_match_follows()
