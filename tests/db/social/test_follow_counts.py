"""Follower and following counts: always exact for readers, without lock waits between writers."""

from __future__ import annotations

import json

import pytest
import redis
from django.conf import settings
from django.db import connection
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
from social.services import follow_count_repair
from social.signals import audience_changed
from tests.support.factories import FollowFactory, UserFactory
from tests.support.follow_graph import (
    API,
    assert_counts_match_follows,
    captured_signals,
    shown_counts,
    signed_in_client,
    stored_counts,
    user_with_wrong_counts,
)

pytestmark = pytest.mark.django_db


def test_count_is_the_row_plus_pending_changes() -> None:
    star = UserFactory(follower_count=7)
    fan = UserFactory()
    services.follow(fan.pk, star.pk)
    assert stored_counts(star) == (7, 0)
    assert (shown_counts(star), shown_counts(fan)) == ((8, 0), (0, 1))
    assert roll_up() == 2
    assert (stored_counts(star), stored_counts(fan)) == ((8, 0), (0, 1))
    assert (shown_counts(star), shown_counts(fan)) == ((8, 0), (0, 1))
    assert not CountChange.objects.exists()
    assert roll_up() == 0


def test_every_response_has_current_counts() -> None:
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


def test_counts_of_many_users_are_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in (2, 48):
        for _ in range(number):
            services.follow(UserFactory().pk, UserFactory().pk)
        with django_assert_num_queries(1):
            assert {sum(get_exact_counts(user)) for user in with_pending_counts(User.objects.all())} == {1}


def test_roll_up_sends_audience_changed_after_writing_the_row() -> None:
    star, fan, other = UserFactory.create_batch(3)
    services.follow(fan.pk, star.pk)
    services.follow(fan.pk, other.pk)
    services.unfollow(fan.pk, other.pk)
    counts_at_signal: list[int] = []

    def record_counts(author_ids: list[int], **_: object) -> None:
        counts_at_signal.extend(User.objects.filter(pk__in=author_ids).values_list("follower_count", flat=True))

    audience_changed.connect(record_counts)
    try:
        with captured_signals(audience_changed) as audiences:
            roll_up()
            roll_up()
    finally:
        audience_changed.disconnect(record_counts)
    assert audiences == [{"author_ids": [star.pk]}]
    assert counts_at_signal == [1]


def test_failed_roll_up_loses_no_changes() -> None:
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
    assert (stored_counts(star), shown_counts(star)) == ((0, 0), (1, 0))
    roll_up()
    assert stored_counts(star) == shown_counts(star) == (1, 0)


def test_roll_up_processes_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "USER_BATCH_SIZE", 3)
    star = UserFactory()
    for fan in UserFactory.create_batch(10):
        services.follow(fan.pk, star.pk)
    assert roll_up() == 11
    assert stored_counts(star) == (10, 0)
    assert not CountChange.objects.exists()


def test_roll_up_query_count_is_constant() -> None:
    numbers = []
    for number in (2, 50):
        for fan in UserFactory.create_batch(number):
            services.follow(fan.pk, UserFactory().pk)
        with CaptureQueriesContext(connection) as captured:
            roll_up()
        numbers.append(len(captured))
    assert numbers[0] == numbers[1]


def test_roll_up_promotes_and_demotes_with_hysteresis(settings: Settings, redis_broker: redis.Redis) -> None:
    settings.CELEBRITY_THRESHOLD = 10
    star, *fans = UserFactory.create_batch(11)

    def state() -> int:
        """Return the celebrity state after a roll-up and the tasks that it enqueued."""
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
    assert state() == CelebrityState.CELEBRITY, "9 of 10 followers: not below 90 %"
    services.unfollow(fans[8].pk, star.pk)
    assert state() == CelebrityState.ORDINARY


def test_roll_up_is_scheduled_every_five_seconds_and_expires() -> None:
    entry = settings.CELERY_BEAT_SCHEDULE["roll-up-counts"]
    assert (entry["task"], entry["schedule"]) == (tasks.roll_up_counts.name, 5.0)
    assert entry["options"]["expires"] <= 10


class TestRepair:
    def test_corrects_only_wrong_counts(self) -> None:
        wrong, right = user_with_wrong_counts(), FollowFactory().followee
        assert follow_count_repair.repair_follow_counts(dry_run=True) == 1
        assert shown_counts(wrong) == (36, 5)
        assert follow_count_repair.repair_follow_counts() == 1
        assert stored_counts(wrong) == shown_counts(wrong) == (2, 1)
        assert stored_counts(right) == (1, 0)
        assert_counts_match_follows()
        assert follow_count_repair.repair_follow_counts() == 0

    def test_corrects_a_negative_count(self) -> None:
        follow = FollowFactory()
        User.objects.filter(pk=follow.followee_id).update(follower_count=0)
        services.unfollow(follow.follower_id, follow.followee_id)
        roll_up()
        services.follow(follow.follower_id, follow.followee_id)
        follow_count_repair.repair_follow_counts()
        assert shown_counts(follow.followee) == stored_counts(follow.followee) == (1, 0)
