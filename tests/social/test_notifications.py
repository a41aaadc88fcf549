"""The outbox and its drain: what is told, once, to whom, and what is taken back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Event as Flag
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection, connections, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from instafeed import keys
from instafeed.redis import reset, trip
from instafeed.replicas import session
from social import notifications, services, tasks
from social.models import (
    Follow,
    FollowRequest,
    Notification,
    NotificationActor,
    NotificationEvent,
    NotificationState,
)
from social.notifications import Event, drain, entries, erasure, lock, selectors
from social.notifications.drain import drain_batch, drain_slice
from social.notifications.reading import mark_read
from tests.factories import BlockFactory, MuteFactory, UserFactory
from tests.feeds.helpers import replica_in_use
from tests.social.helpers import at_once

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)  # for what happens at a commit, or beside it

POST, COMMENT = 10**17, 10**17 + 1
NEW_BATCH, MIXED_BATCH = 14, 16  # statements, of which four are savepoints


def announce(*events: Event) -> None:
    with transaction.atomic():
        notifications.announce(*events)


def retract(*events: Event) -> None:
    with transaction.atomic():
        notifications.retract(*events)


def drained() -> None:
    """Everything that waits is applied."""
    while drain_slice():
        pass
    assert not NotificationEvent.objects.exists()


def like(recipient: User, actor: User, post_id: int = POST, comment_id: int | None = None) -> Event:
    return Event("like", recipient.pk, actor.pk, post_id, comment_id)


def told(user: User) -> list[tuple[str, list[int]]]:
    """The user's entries, newest first: subject, and the actors in it, newest first."""
    shown = []
    for entry in Notification.objects.filter(recipient_id=user.pk, actor_count__gt=0).order_by("-position"):
        actors = entry.actor_set.filter(is_active=True).order_by("-position")
        shown.append((entry.subject, [actor.actor_id for actor in actors]))
        assert entry.actor_count == len(shown[-1][1])
    return shown


def test_likes_of_one_post_are_one_entry_that_moves_to_the_top() -> None:
    owner, *fans = UserFactory.create_batch(4)
    announce(like(owner, fans[0]))
    announce(like(owner, fans[1], POST + 7))
    drained()
    first = Notification.objects.get(subject=f"like:post:{POST}")
    announce(like(owner, fans[1]), like(owner, fans[2]))
    drained()
    assert told(owner) == [
        (f"like:post:{POST}", [fans[2].pk, fans[1].pk, fans[0].pk]),
        (f"like:post:{POST + 7}", [fans[1].pk]),
    ]
    bumped = Notification.objects.get(pk=first.pk)
    assert bumped.position > first.position
    assert bumped.created_at > first.created_at


def test_what_is_told_twice_is_there_once() -> None:
    owner, fan = UserFactory.create_batch(2)
    for _ in range(2):
        announce(like(owner, fan), like(owner, fan))
        drained()
    announce(like(owner, fan))
    drained()
    assert told(owner) == [(f"like:post:{POST}", [fan.pk])]


def test_nobody_hears_of_their_own_actions() -> None:
    owner = UserFactory()
    announce(like(owner, owner))
    assert not NotificationEvent.objects.exists()


@committed
def test_what_is_rolled_back_is_not_told_and_nothing_is_told_outside_a_transaction() -> None:
    owner, fan = UserFactory.create_batch(2)
    with transaction.atomic():
        notifications.announce(like(owner, fan))
        transaction.set_rollback(True)
    for write in (notifications.announce, notifications.retract):
        with pytest.raises(transaction.TransactionManagementError):
            write(like(owner, fan))
    assert not NotificationEvent.objects.exists()


@pytest.mark.parametrize(
    ("kind", "ids"),
    [("like", {}), ("comment", {"post_id": POST}), ("reply", {}), ("mention", {}), ("poke", {"post_id": POST})],
)
def test_what_is_no_event_is_refused(kind: str, ids: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is no event"):
        announce(Event(kind, 1, 2, **ids))


def test_what_is_taken_back_is_gone_and_the_last_one_takes_the_entry_along() -> None:
    owner, one, other = UserFactory.create_batch(3)
    announce(like(owner, one), like(owner, other))
    drained()
    retract(like(owner, other))
    drained()
    assert told(owner) == [(f"like:post:{POST}", [one.pk])]
    retract(like(owner, one), like(owner, one), like(owner, UserFactory()))
    drained()
    assert told(owner) == []


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("steps", ["+-", "-+", "+-+", "-+-", "++-", "+-+-+"])
def test_the_last_word_counts(steps: str, together: bool) -> None:
    owner, fan = UserFactory.create_batch(2)
    for step in steps:
        {"+": announce, "-": retract}[step](like(owner, fan))
        if not together:
            drained()
    drained()
    assert told(owner) == ([(f"like:post:{POST}", [fan.pk])] if steps[-1] == "+" else [])


def test_who_likes_again_takes_their_place_and_is_news_again_only_after_a_day() -> None:
    owner, fan, other = UserFactory.create_batch(3)
    announce(like(owner, fan))
    announce(like(owner, other, POST + 1))
    drained()
    before = told(owner)
    for _ in range(3):
        retract(like(owner, fan))
        drained()
        announce(like(owner, fan))
        drained()
    assert told(owner) == before, "not on top"

    retract(like(owner, fan))
    drained()
    long_ago = timezone.now() - erasure.MEMORY - timedelta(seconds=1)
    NotificationActor.objects.filter(actor_id=fan.pk).update(announced_at=long_ago)
    announce(like(owner, fan))
    drained()
    assert told(owner) == before[::-1], "on top"


def test_nothing_is_told_of_the_muted_across_a_block_of_the_suspended_or_to_the_suspended() -> None:
    owner, muted, blocked, blocker, suspended, fan = UserFactory.create_batch(6)
    MuteFactory(muter=owner, muted=muted)
    BlockFactory(blocker=owner, blocked=blocked)
    BlockFactory(blocker=blocker, blocked=owner)
    User.objects.filter(pk=suspended.pk).update(is_active=False)
    announce(*(like(owner, actor) for actor in (fan, muted, blocked, blocker, suspended)))
    announce(like(suspended, fan), like(muted, owner))
    announce(Event("like", 10**9, fan.pk, POST), Event("like", owner.pk, 10**9, POST))  # erased meanwhile
    drained()
    assert told(owner) == [(f"like:post:{POST}", [fan.pk])]
    assert told(suspended) == []
    assert told(muted) == [(f"like:post:{POST}", [owner.pk])], "who is muted does not learn of it"


def test_likes_of_a_comment_and_words_on_it_are_subjects_of_their_own() -> None:
    owner, fan = UserFactory.create_batch(2)
    announce(
        like(owner, fan),
        like(owner, fan, POST, COMMENT),
        Event("reply", owner.pk, fan.pk, POST, COMMENT),
        Event("mention", owner.pk, fan.pk, POST),
    )
    drained()
    announce(Event("comment", owner.pk, fan.pk, POST, COMMENT))
    drained()
    kinds = Notification.objects.order_by("position").values_list("kind", "post_id", "comment_id")
    assert list(kinds) == [
        ("like", POST, None),
        ("like", POST, COMMENT),
        ("reply", POST, COMMENT),  # and not as a comment too
        ("mention", POST, None),
    ]


# --- Follows -----------------------------------------------------------------------------------------


def test_a_follow_is_told_and_untold() -> None:
    ann, bob = UserFactory.create_batch(2)
    for end, actor, other in ((services.unfollow, ann, bob), (services.remove_follower, bob, ann)):
        services.follow(ann.pk, bob.pk)
        drained()
        assert told(bob) == [(f"follow:{ann.pk}", [ann.pk])]
        end(actor.pk, other.pk)
        drained()
        assert told(bob) == []


def test_a_request_is_told_until_it_is_answered_or_withdrawn() -> None:
    ann, bob = UserFactory(), UserFactory(is_private=True)
    for answer in (services.accept_request, services.reject_request, lambda bob, ann: services.unfollow(ann, bob)):
        services.follow(ann.pk, bob.pk)
        services.follow(ann.pk, bob.pk)
        drained()
        assert told(bob) == [(f"follow_request:{ann.pk}", [ann.pk])]
        answer(bob.pk, ann.pk)
        drained()
        assert told(bob) == [], "nor is one's own answer news"
        accepted = [(f"follow_accepted:{bob.pk}", [bob.pk])]
        assert told(ann) == (accepted if answer is services.accept_request else [])
        services.unfollow(ann.pk, bob.pk)
        drained()
        assert told(ann) == []


def test_a_block_leaves_nothing_told_of_either_and_lifting_it_brings_nothing_back() -> None:
    ann, bob, cat = UserFactory(), UserFactory(), UserFactory(is_private=True)
    services.follow(ann.pk, bob.pk)
    services.follow(bob.pk, ann.pk)
    services.follow(ann.pk, cat.pk)
    drained()
    services.block(bob.pk, ann.pk)
    services.block(cat.pk, ann.pk)
    services.unblock(bob.pk, ann.pk)
    services.unblock(cat.pk, ann.pk)
    drained()
    assert told(ann) == told(bob) == told(cat) == []


def test_who_turns_public_answers_all_requests_at_once() -> None:
    owner = UserFactory(is_private=True)
    fans = UserFactory.create_batch(5)
    for fan in fans:
        services.follow(fan.pk, owner.pk)
    drained()
    assert len(told(owner)) == 5
    accounts.update_profile(owner.pk, {"is_private": False})
    drained()
    assert told(owner) == []
    for fan in fans:
        assert told(fan) == [(f"follow_accepted:{owner.pk}", [owner.pk])]


# --- The drain ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 50])
def test_a_batch_costs_a_fixed_number_of_statements(size: int, django_assert_num_queries: Any) -> None:
    owner, other, *fans = UserFactory.create_batch(size + 2)
    announce(*(like(owner, fan) for fan in fans), *(like(other, fan, POST + fan.pk) for fan in fans))
    with django_assert_num_queries(NEW_BATCH):
        assert drain_batch() is False
    announce(*(like(owner, fan) for fan in fans), *(like(owner, fan, POST + 1) for fan in fans))
    retract(*(like(other, fan, POST + fan.pk) for fan in fans))
    with django_assert_num_queries(MIXED_BATCH):
        assert drain_batch() is False
    assert told(other) == []
    assert [actors for _, actors in told(owner)] == [[fan.pk for fan in fans[::-1]]] * 2


def test_more_than_a_batch_is_drained_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "BATCH", 3)
    owner, *fans = UserFactory.create_batch(9)
    announce(*(like(owner, fan) for fan in fans))
    retract(*(like(owner, fan) for fan in fans[:4]))
    drained()
    assert told(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[:3:-1]])]
    assert Notification.objects.get().position == NotificationActor.objects.get(actor_id=fans[-1].pk).position


@committed
def test_a_slice_ends_and_says_that_more_is_left(monkeypatch: pytest.MonkeyPatch, redis_broker: redis.Redis) -> None:
    monkeypatch.setattr(drain, "BATCH", 1)
    monkeypatch.setattr(drain, "SLICE", 0)
    owner, *fans = UserFactory.create_batch(3)
    announce(*(like(owner, fan) for fan in fans))
    redis_broker.flushdb()
    tasks.drain_notifications()
    assert NotificationEvent.objects.count() == 1
    assert redis_broker.llen("notifications") == 1, "it has put itself behind the others"


@committed
def test_a_worker_that_dies_in_the_middle_leaves_all_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, *fans = UserFactory.create_batch(3)
    announce(*(like(owner, fan) for fan in fans))

    def die(*_: Any, **__: Any) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(NotificationActor.objects, "bulk_create", die)
        with pytest.raises(OperationalError):
            drain_slice()
    assert (Notification.objects.count(), NotificationEvent.objects.count()) == (0, 2)
    drained()
    assert told(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[::-1]])]


def test_an_event_that_cannot_be_applied_is_set_aside_and_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    owner, *fans = UserFactory.create_batch(8)
    announce(like(owner, fans[0], POST + 1))
    drained()
    Notification.objects.update(actor_count=0)  # by a bug: below zero the database refuses
    announce(*(like(owner, fan) for fan in fans[:4]))
    retract(like(owner, fans[0], POST + 1))
    announce(*(like(owner, fan) for fan in fans[4:]))
    drain_slice()
    event = NotificationEvent.objects.get()
    assert event.failed_at is not None
    assert f"event {event.pk} is set aside" in caplog.text
    assert told(owner) == [(f"like:post:{POST}", [fan.pk for fan in fans[::-1]])]
    assert drain_batch() is False


@committed
def test_one_drains_at_a_time_and_the_others_do_not_wait() -> None:
    owner, fan = UserFactory.create_batch(2)
    with transaction.atomic():
        assert lock.be_the_drainer()
        announce(like(owner, fan))
        assert at_once([drain_batch, drain_batch]) == [None, None]
    assert at_once([drain_slice]) == [False]
    assert told(owner) == [(f"like:post:{POST}", [fan.pk])]


@committed
def test_many_likes_in_a_moment_publish_one_task(redis_broker: redis.Redis, redis_cache: redis.Redis) -> None:
    owner, *fans = UserFactory.create_batch(4)
    for fan in fans:
        announce(like(owner, fan))
    assert redis_broker.llen("notifications") == 1
    assert 0 < redis_cache.pttl(keys.NOTIFICATIONS_DUE) <= keys.NOTIFICATIONS_DUE_TTL_MS
    drained()
    assert redis_broker.llen("notifications") == 1
    announce(like(owner, fans[0], POST + 1))
    assert redis_broker.llen("notifications") == 2, "the drain has looked before"


@committed
def test_who_comes_while_a_drain_looks_is_drained_by_it_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own task finds the lock taken and goes home: the mark it left keeps the drainer."""
    owner, one, other = UserFactory.create_batch(3)
    announce(like(owner, one))
    late = partial(announce, like(owner, other))

    def apply_and_be_overtaken(events: Any) -> None:
        monkeypatch.undo()
        entries.apply(events)
        assert at_once([late]) == [None]
        assert at_once([drain_slice]) == [False]

    monkeypatch.setattr(entries, "apply", apply_and_be_overtaken)
    assert drain_slice() is False
    assert told(owner) == [(f"like:post:{POST}", [other.pk, one.pk])]


@committed
def test_without_the_cache_nobody_is_nudged_and_the_sweep_finds_it(redis_broker: redis.Redis) -> None:
    owner, fan = UserFactory.create_batch(2)
    trip(redis.ConnectionError("away"))
    try:
        announce(like(owner, fan))
        assert redis_broker.llen("notifications") == 0
        tasks.drain_notifications()
    finally:
        reset()
    assert told(owner) == [(f"like:post:{POST}", [fan.pk])]


@committed
def test_storms_of_follows_and_drainers_end_in_what_is_true() -> None:
    star, private = UserFactory(), UserFactory(is_private=True)
    fans = UserFactory.create_batch(6)
    stop = Flag()

    def change() -> None:
        for _ in range(25):
            fan, other = random.choice(fans), random.choice([star, private])
            random.choice([services.follow, services.follow, services.unfollow])(fan.pk, other.pk)

    def drain_on() -> None:
        while not stop.is_set():
            drain_slice()

    def change_then_stop() -> None:
        assert [error for error in at_once([change] * 6) if error] == []
        stop.set()

    assert [error for error in at_once([change_then_stop, drain_on, drain_on]) if error] == []
    drained()
    following = set(Follow.objects.filter(followee=star).values_list("follower_id", flat=True))
    asking = set(FollowRequest.objects.filter(followee=private).values_list("follower_id", flat=True))
    assert {actor for _, (actor,) in told(star)} == following
    assert {actor for _, (actor,) in told(private)} == asking


# --- Forgetting --------------------------------------------------------------------------------------


def forget(*, posts: list[int] | None = None, comments: list[int] | None = None) -> None:
    with transaction.atomic():
        notifications.forget_posts(posts or [])
        notifications.forget_comments(comments or [])


@pytest.mark.parametrize("rows", [2, 1_000])
def test_a_post_that_is_forgotten_takes_all_that_was_told_of_it(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "ROWS", rows)
    owner, *fans = UserFactory.create_batch(8)
    gone = [like(owner, fan) for fan in fans]
    gone += [like(owner, fan, POST, COMMENT) for fan in fans]
    gone += [Event("comment", owner.pk, fan.pk, POST, COMMENT + fan.pk) for fan in fans]
    gone += [Event("mention", fan.pk, owner.pk, POST) for fan in fans]
    announce(*gone)
    drained()
    announce(like(owner, fans[0], POST + 10**6), *gone[::2], Event("follow", owner.pk, fans[0].pk))
    forget(posts=[POST])
    drained()
    assert told(owner) == [(f"follow:{fans[0].pk}", [fans[0].pk]), (f"like:post:{POST + 10**6}", [fans[0].pk])]
    assert (Notification.objects.count(), NotificationActor.objects.count()) == (2, 2)


def follow(recipient: User, actor: User) -> Event:
    return Event("follow", recipient.pk, actor.pk)


@pytest.mark.parametrize("batch", [2, 500])
def test_what_is_forgotten_in_many_slices_holds_up_no_batch_of_events(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "ROWS", 2)
    monkeypatch.setattr(drain, "BATCH", batch)
    owner, *fans = UserFactory.create_batch(6)
    announce(*(like(owner, fan, POST + number) for fan in fans for number in range(5)))
    drained()
    forget(posts=[POST + number for number in range(5)])
    for done, fan in enumerate(fans[:3], start=1):
        announce(follow(owner, fan))
        assert drain_batch() is True
        assert Notification.objects.latest("position").subject == f"follow:{fan.pk}"
        assert NotificationActor.objects.count() == 25 - 2 * done + done, "a slice a batch"
    drained()
    assert [subject for subject, _ in told(owner)] == [f"follow:{fan.pk}" for fan in fans[2::-1]]
    assert Notification.objects.count() == 3


def test_what_was_told_before_it_is_forgotten_is_applied_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "BATCH", 3)
    owner, *fans = UserFactory.create_batch(9)
    announce(*(like(owner, fan) for fan in fans))
    forget(posts=[POST])
    announce(*(follow(owner, fan) for fan in fans))
    assert drain_batch() is True
    assert len(told(owner)) == 1
    drained()
    assert [subject for subject, _ in told(owner)] == [f"follow:{fan.pk}" for fan in fans[::-1]]


@committed
def test_what_is_told_and_forgotten_while_a_drain_reads_is_not_told_after_all() -> None:
    owner, fan = UserFactory.create_batch(2)
    reads: list[str] = []

    def tell_and_forget() -> None:
        announce(like(owner, fan))
        forget(posts=[POST])

    def tell_and_forget_between_the_reads(execute: Any, sql: str, *rest: Any) -> Any:
        if sql.startswith("SELECT") and NotificationEvent._meta.db_table in sql:
            reads.append(sql)
            if len(reads) == 2:
                assert at_once([tell_and_forget]) == [None]
        return execute(sql, *rest)

    with connection.execute_wrapper(tell_and_forget_between_the_reads):
        drain_batch()
    assert len(reads) == 2
    drained()
    assert not Notification.objects.exists()


def waiting_for_the_lock() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
            " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
        )
        return int(cursor.fetchone()[0])


def drain_beside() -> bool | None:
    try:
        return drain_batch()
    finally:
        connection.close()


@committed
def test_a_drain_that_comes_during_a_slice_of_an_erasure_goes_before_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "ROWS", 2)
    owner, erased, fan = UserFactory.create_batch(3)
    announce(*(like(erased, fan, POST + number) for number in range(10)))
    drained()
    User.objects.filter(pk=erased.pk).update(is_active=False)
    announce(follow(owner, fan))
    leave: Callable[[QuerySet[NotificationActor]], bool] = erasure._leave
    drains: list[Future[bool | None]] = []

    def leave_while_a_drain_comes(actors: QuerySet[NotificationActor]) -> bool:
        if not drains:
            drains.append(pool.submit(drain_beside))
            ends = time.monotonic() + 30
            while not (waiting_for_the_lock() or drains[0].done()) and time.monotonic() < ends:
                time.sleep(0.01)
        return leave(actors)

    monkeypatch.setattr(erasure, "_leave", leave_while_a_drain_comes)
    with ThreadPoolExecutor(1) as pool:
        slices = [notifications.forget_user(erased.pk) for _ in range(2)]
        assert told(owner) == [(f"follow:{fan.pk}", [fan.pk])], "after the first slice, not after the last"
        assert drains[0].result(timeout=30) is False
    assert slices == [False, False]
    while not notifications.forget_user(erased.pk):
        pass
    assert Notification.objects.get().recipient_id == owner.pk


def test_a_comment_that_is_forgotten_leaves_the_other_comments() -> None:
    owner, fan = UserFactory.create_batch(2)
    for comment in (COMMENT, COMMENT + 1):
        announce(like(owner, fan, POST, comment), Event("reply", owner.pk, fan.pk, POST, comment))
    forget(comments=[COMMENT])
    drained()
    assert [subject for subject, _ in told(owner)] == [f"comment:{COMMENT + 1}", f"like:comment:{COMMENT + 1}"]


@pytest.mark.parametrize("rows", [2, 1_000])
def test_an_erased_user_is_nowhere_and_nobody_else_loses_anything(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "ROWS", rows)
    owner, erased, other = UserFactory.create_batch(3)
    announce(*(like(owner, erased, POST + number) for number in range(5)), like(owner, other))
    announce(*(like(erased, other, POST + 100 + number) for number in range(5)), Event("follow", owner.pk, erased.pk))
    drained()
    mark_read(erased.pk, 10**6)
    mark_read(owner.pk, 10**6)
    announce(like(erased, other, POST + 200), like(owner, erased, POST + 200))
    User.objects.filter(pk=erased.pk).update(is_active=False)
    slices = 1
    while not notifications.forget_user(erased.pk):
        slices += 1
    assert slices == 1 if rows > 10 else slices > 3
    drained()
    assert told(owner) == [(f"like:post:{POST}", [other.pk])]
    assert Notification.objects.get().recipient_id == owner.pk
    assert NotificationActor.objects.get().actor_id == other.pk
    assert NotificationState.objects.get().user_id == owner.pk
    assert notifications.forget_user(erased.pk)


def test_what_was_taken_back_is_remembered_for_a_day_only() -> None:
    owner, fan, other = UserFactory.create_batch(3)
    announce(like(owner, fan), like(owner, other), like(owner, fan, POST + 1))
    drained()
    retract(like(owner, fan), like(owner, fan, POST + 1))
    drained()
    tasks.forget_notifications_taken_back()
    assert (Notification.objects.count(), NotificationActor.objects.count()) == (2, 3)
    long_ago = timezone.now() - erasure.MEMORY - timedelta(seconds=1)
    NotificationActor.objects.update(announced_at=long_ago)
    Notification.objects.update(created_at=long_ago)
    tasks.forget_notifications_taken_back()
    assert told(owner) == [(f"like:post:{POST}", [other.pk])]
    assert (Notification.objects.count(), NotificationActor.objects.count()) == (1, 1)


# --- Reading -----------------------------------------------------------------------------------------


def read_up_to(user: User) -> int:
    return NotificationState.objects.get(pk=user.pk).read_up_to


def test_what_is_read_never_reaches_beyond_the_newest_entry_and_never_falls() -> None:
    owner, fan, stranger = UserFactory.create_batch(3)
    mark_read(owner.pk, 10**18)
    assert not NotificationState.objects.exists(), "there is nothing to read"
    announce(like(owner, fan), like(owner, fan, POST + 1), like(stranger, fan))
    drained()
    oldest, newest = Notification.objects.filter(recipient_id=owner.pk).order_by("pk")
    mark_read(owner.pk, oldest.position)
    assert read_up_to(owner) == oldest.position
    mark_read(owner.pk, 10**18)
    assert read_up_to(owner) == newest.position
    mark_read(owner.pk, 1)
    assert read_up_to(owner) == newest.position


@committed
def test_devices_that_read_at_once_leave_the_furthest() -> None:
    owner, *fans = UserFactory.create_batch(12)
    announce(*(like(owner, fan, POST + fan.pk) for fan in fans))
    drained()
    positions = list(Notification.objects.values_list("position", flat=True))
    for _ in range(5):
        NotificationState.objects.all().delete()
        assert at_once([partial(mark_read, owner.pk, position) for position in positions]) == [None] * 11
        assert read_up_to(owner) == max(positions)


@pytest.mark.django_db(transaction=True, databases=["default", "replica1"])
def test_later_pages_and_who_is_heard_of_come_from_the_primary() -> None:
    """On a replica that lags an entry that has moved is still in its old place, and a block is not there yet."""
    owner, fan = UserFactory.create_batch(2)
    announce(like(owner, fan))
    drained()
    (entry,) = selectors.entries(owner.pk, None, 5)
    replica_in_use()
    session.begin(is_write=False)
    try:
        with CaptureQueriesContext(connections["replica1"]) as on_replica:
            selectors.entries(owner.pk, None, 5)
            assert len(on_replica) == 1
            assert selectors.entries(owner.pk, entry.position + 1, 5) == [entry]
            assert selectors.heard_of(owner.pk, [entry]) == [entry]
            assert len(on_replica) == 1
    finally:
        session.end()
