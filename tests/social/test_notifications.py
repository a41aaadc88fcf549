"""The outbox and its drain: what is told, once, to whom, and what is taken back."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from instafeed.core.db.replicas import session
from social import notifications, services
from social.models import (
    Notification,
    NotificationActor,
    NotificationEvent,
    NotificationState,
)
from social.notifications import Event, deletion, selectors
from social.notifications.read_state import mark_read
from tests.factories import BlockFactory, MuteFactory, UserFactory
from tests.feeds.feed_setup import wait_for_replica
from tests.social.follow_graph import run_concurrently
from tests.social.notification_setup import COMMENT, POST, announce, consume_all_events, entries_of, like, retract

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)  # for what happens at a commit, or beside it


def test_likes_of_one_post_are_one_entry_that_moves_to_the_top() -> None:
    owner, *fans = UserFactory.create_batch(4)
    announce(like(owner, fans[0]))
    announce(like(owner, fans[1], POST + 7))
    consume_all_events()
    first = Notification.objects.get(subject=f"like:post:{POST}")
    announce(like(owner, fans[1]), like(owner, fans[2]))
    consume_all_events()
    assert entries_of(owner) == [
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
        consume_all_events()
    announce(like(owner, fan))
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk])]


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
    consume_all_events()
    retract(like(owner, other))
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [one.pk])]
    retract(like(owner, one), like(owner, one), like(owner, UserFactory()))
    consume_all_events()
    assert entries_of(owner) == []


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("steps", ["+-", "-+", "+-+", "-+-", "++-", "+-+-+"])
def test_the_last_word_counts(steps: str, together: bool) -> None:
    owner, fan = UserFactory.create_batch(2)
    for step in steps:
        {"+": announce, "-": retract}[step](like(owner, fan))
        if not together:
            consume_all_events()
    consume_all_events()
    assert entries_of(owner) == ([(f"like:post:{POST}", [fan.pk])] if steps[-1] == "+" else [])


def test_who_likes_again_takes_their_place_and_is_news_again_only_after_a_day() -> None:
    owner, fan, other = UserFactory.create_batch(3)
    announce(like(owner, fan))
    announce(like(owner, other, POST + 1))
    consume_all_events()
    before = entries_of(owner)
    for _ in range(3):
        retract(like(owner, fan))
        consume_all_events()
        announce(like(owner, fan))
        consume_all_events()
    assert entries_of(owner) == before, "not on top"

    retract(like(owner, fan))
    consume_all_events()
    long_ago = timezone.now() - deletion.RENOTIFY_COOLDOWN - timedelta(seconds=1)
    NotificationActor.objects.filter(actor_id=fan.pk).update(announced_at=long_ago)
    announce(like(owner, fan))
    consume_all_events()
    assert entries_of(owner) == before[::-1], "on top"


def test_nothing_is_told_of_the_muted_across_a_block_of_the_suspended_or_to_the_suspended() -> None:
    owner, muted, blocked, blocker, suspended, fan = UserFactory.create_batch(6)
    MuteFactory(muter=owner, muted=muted)
    BlockFactory(blocker=owner, blocked=blocked)
    BlockFactory(blocker=blocker, blocked=owner)
    User.objects.filter(pk=suspended.pk).update(is_active=False)
    announce(*(like(owner, actor) for actor in (fan, muted, blocked, blocker, suspended)))
    announce(like(suspended, fan), like(muted, owner))
    announce(Event("like", 10**9, fan.pk, POST), Event("like", owner.pk, 10**9, POST))  # erased meanwhile
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk])]
    assert entries_of(suspended) == []
    assert entries_of(muted) == [(f"like:post:{POST}", [owner.pk])], "who is muted does not learn of it"


def test_likes_of_a_comment_and_words_on_it_are_subjects_of_their_own() -> None:
    owner, fan = UserFactory.create_batch(2)
    announce(
        like(owner, fan),
        like(owner, fan, POST, COMMENT),
        Event("reply", owner.pk, fan.pk, POST, COMMENT),
        Event("mention", owner.pk, fan.pk, POST),
    )
    consume_all_events()
    announce(Event("comment", owner.pk, fan.pk, POST, COMMENT))
    consume_all_events()
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
        consume_all_events()
        assert entries_of(bob) == [(f"follow:{ann.pk}", [ann.pk])]
        end(actor.pk, other.pk)
        consume_all_events()
        assert entries_of(bob) == []


def test_a_request_is_told_until_it_is_answered_or_withdrawn() -> None:
    ann, bob = UserFactory(), UserFactory(is_private=True)
    for answer in (services.accept_request, services.reject_request, lambda bob, ann: services.unfollow(ann, bob)):
        services.follow(ann.pk, bob.pk)
        services.follow(ann.pk, bob.pk)
        consume_all_events()
        assert entries_of(bob) == [(f"follow_request:{ann.pk}", [ann.pk])]
        answer(bob.pk, ann.pk)
        consume_all_events()
        assert entries_of(bob) == [], "nor is one's own answer news"
        accepted = [(f"follow_accepted:{bob.pk}", [bob.pk])]
        assert entries_of(ann) == (accepted if answer is services.accept_request else [])
        services.unfollow(ann.pk, bob.pk)
        consume_all_events()
        assert entries_of(ann) == []


def test_a_block_leaves_nothing_told_of_either_and_lifting_it_brings_nothing_back() -> None:
    ann, bob, cat = UserFactory(), UserFactory(), UserFactory(is_private=True)
    services.follow(ann.pk, bob.pk)
    services.follow(bob.pk, ann.pk)
    services.follow(ann.pk, cat.pk)
    consume_all_events()
    services.block(bob.pk, ann.pk)
    services.block(cat.pk, ann.pk)
    services.unblock(bob.pk, ann.pk)
    services.unblock(cat.pk, ann.pk)
    consume_all_events()
    assert entries_of(ann) == entries_of(bob) == entries_of(cat) == []


def test_who_turns_public_answers_all_requests_at_once() -> None:
    owner = UserFactory(is_private=True)
    fans = UserFactory.create_batch(5)
    for fan in fans:
        services.follow(fan.pk, owner.pk)
    consume_all_events()
    assert len(entries_of(owner)) == 5
    accounts.update_profile(owner.pk, {"is_private": False})
    consume_all_events()
    assert entries_of(owner) == []
    for fan in fans:
        assert entries_of(fan) == [(f"follow_accepted:{owner.pk}", [owner.pk])]


# --- Reading -----------------------------------------------------------------------------------------


def read_up_to(user: User) -> int:
    return NotificationState.objects.get(pk=user.pk).read_up_to


def test_what_is_read_never_reaches_beyond_the_newest_entry_and_never_falls() -> None:
    owner, fan, stranger = UserFactory.create_batch(3)
    mark_read(owner.pk, 10**18)
    assert not NotificationState.objects.exists(), "there is nothing to read"
    announce(like(owner, fan), like(owner, fan, POST + 1), like(stranger, fan))
    consume_all_events()
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
    consume_all_events()
    positions = list(Notification.objects.values_list("position", flat=True))
    for _ in range(5):
        NotificationState.objects.all().delete()
        assert run_concurrently([partial(mark_read, owner.pk, position) for position in positions]) == [None] * 11
        assert read_up_to(owner) == max(positions)


@pytest.mark.django_db(transaction=True, databases=["default", "replica1"])
def test_later_pages_and_who_is_heard_of_come_from_the_primary() -> None:
    """On a replica that lags an entry that has moved is still in its old place, and a block is not there yet."""
    owner, fan = UserFactory.create_batch(2)
    announce(like(owner, fan))
    consume_all_events()
    (entry,) = selectors.list_entries(owner.pk, None, 5)
    wait_for_replica()
    session.begin_session(is_write=False)
    try:
        with CaptureQueriesContext(connections["replica1"]) as on_replica:
            selectors.list_entries(owner.pk, None, 5)
            assert len(on_replica) == 1
            assert selectors.list_entries(owner.pk, entry.position + 1, 5) == [entry]
            assert selectors.filter_visible_actors(owner.pk, [entry]) == [entry]
            assert len(on_replica) == 1
    finally:
        session.end_session()
