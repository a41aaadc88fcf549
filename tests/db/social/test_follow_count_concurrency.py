"""Follow counts during concurrent follows, roll-ups and repairs: always exact, for readers too."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.db import connection, transaction
from django.db.models import F

from accounts.follower_counts import get_exact_counts
from accounts.models import CountChange, User
from social import services
from social.counter_rollup import roll_up
from social.models import Follow
from social.services import follow_count_repair, locks
from tests.support.concurrency import close_connection_after, repeated_in_threads, run_concurrently
from tests.support.eventually import TIMEOUT, eventually
from tests.support.factories import FollowFactory, UserFactory
from tests.support.follow_graph import (
    Write,
    assert_counts_match_follows,
    shown_counts,
    stored_counts,
    user_with_wrong_counts,
)

pytestmark = pytest.mark.django_db(transaction=True)


def wait_for_another(reads: Sequence[object]) -> None:
    """Wait until a thread has added to `reads`."""
    seen = len(reads)
    eventually(lambda: len(reads) > seen)


def test_roll_up_skips_locked_rows_until_the_next_run() -> None:
    busy, idle, fan = UserFactory.create_batch(3)
    services.follow(fan.pk, busy.pk)
    services.follow(fan.pk, idle.pk)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=busy.pk)
        assert pool.submit(close_connection_after, roll_up).result(TIMEOUT) == 2
        assert (stored_counts(busy), stored_counts(idle), stored_counts(fan)) == ((0, 0), (1, 0), (0, 2))
        assert shown_counts(busy) == (1, 0)
    assert roll_up() == 1
    assert stored_counts(busy) == (1, 0)


def test_readers_see_a_stable_count_during_roll_ups() -> None:
    """Two statements would sometimes see a change in neither the row nor the pending changes, or in both."""
    star = UserFactory(follower_count=500)
    read: list[int] = []

    def read_count() -> None:
        read.append(shown_counts(star)[0])

    with repeated_in_threads(read_count, read_count):
        for _ in range(30):
            with transaction.atomic():
                User.objects.filter(pk=star.pk).update(follower_count=F("follower_count") - 1)
                CountChange.objects.create(user_id=star.pk, followers=1)
            roll_up()
            wait_for_another(read)
    assert set(read) == {500}


def test_counts_stay_exact_under_concurrent_follows_and_unfollows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen writing threads, two rolling up, and a reader that compares count and rows in one snapshot."""
    monkeypatch.setattr(locks, "MAX_ATTEMPTS", 1)  # a deadlock fails the test
    star, leaving, joining = UserFactory(), UserFactory.create_batch(50), UserFactory.create_batch(100)
    for user in leaving:
        FollowFactory(follower=user, followee=star)
    writes: list[tuple[Write, User]] = [(services.follow, user) for user in joining]
    writes += [(services.unfollow, user) for user in leaving]
    read: list[tuple[int, int]] = []

    def run(number: int) -> None:
        for write, user in writes[number::16]:
            write(user.pk, star.pk)
            if user in (joining[number], joining[number + 16]):
                wait_for_another(read)

    def read_in_one_snapshot() -> None:
        """Read the shown count and the number of rows."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            read.append((get_exact_counts(User(pk=star.pk))[0], Follow.objects.filter(followee=star).count()))

    with repeated_in_threads(roll_up, roll_up, read_in_one_snapshot):
        results = run_concurrently([partial(run, number) for number in range(16)])
    assert results == [None] * 16
    assert [pair for pair in read if pair[0] != pair[1]] == []
    assert shown_counts(star) == (100, 0)
    roll_up()
    assert stored_counts(star) == (100, 0)
    assert_counts_match_follows()


def test_concurrent_repairs_correct_once() -> None:
    users = [user_with_wrong_counts() for _ in range(4)]
    results = run_concurrently([partial(follow_count_repair.correct_counts, [user.pk for user in users])] * 6)
    assert results == [None] * 6
    assert [shown_counts(user) for user in users] == [(2, 1)] * 4


def test_repair_stays_right_when_a_follow_and_a_roll_up_intervene(monkeypatch: pytest.MonkeyPatch) -> None:
    user, fan = user_with_wrong_counts(), UserFactory()
    found = follow_count_repair.find_wrong_counts

    def drifted(user_ids: list[int]) -> dict[int, tuple[int, int]]:
        result = found(user_ids)
        assert run_concurrently([partial(services.follow, fan.pk, user.pk)]) == ["following"]
        assert run_concurrently([roll_up])[0] > 1
        return result

    monkeypatch.setattr(follow_count_repair, "find_wrong_counts", drifted)
    follow_count_repair.correct_counts([user.pk])
    assert shown_counts(user) == (3, 1)
    assert_counts_match_follows()
