"""Notifications from outbox to entries: aggregation, retraction, deliverability, follows, and the read position."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from social import notifications, services
from social.models import (
    Notification,
    NotificationActor,
    NotificationEvent,
    NotificationState,
)
from social.notifications import Event, deletion
from social.notifications.read_state import mark_read
from tests.db.social.notification_setup import (
    COMMENT,
    POST,
    announce,
    consume_all_events,
    entries_of,
    like,
    read_up_to,
    retract,
)
from tests.support.concurrency import run_concurrently
from tests.support.factories import BlockFactory, MuteFactory, UserFactory

pytestmark = pytest.mark.django_db


def test_likes_of_one_post_share_an_entry_that_moves_to_the_top() -> None:
    owner, *fans = UserFactory.create_batch(4)
    announce(like(owner, fans[0]))
    announce(like(owner, fans[1], POST + 7))
    consume_all_events()
    first = Notification.objects.get(aggregation_key=f"like:post:{POST}")
    announce(like(owner, fans[1]), like(owner, fans[2]))
    consume_all_events()
    assert entries_of(owner) == [
        (f"like:post:{POST}", [fans[2].pk, fans[1].pk, fans[0].pk]),
        (f"like:post:{POST + 7}", [fans[1].pk]),
    ]
    moved = Notification.objects.get(pk=first.pk)
    assert moved.position > first.position
    assert moved.created_at > first.created_at


def test_repeated_events_are_notified_once() -> None:
    owner, fan = UserFactory.create_batch(2)
    for _ in range(2):
        announce(like(owner, fan), like(owner, fan))
        consume_all_events()
    announce(like(owner, fan))
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk])]


def test_own_actions_are_not_notified() -> None:
    owner = UserFactory()
    announce(like(owner, owner))
    assert not NotificationEvent.objects.exists()


def test_events_require_a_transaction_and_roll_back_with_it() -> None:
    owner, fan = UserFactory.create_batch(2)
    with transaction.atomic():
        notifications.announce(like(owner, fan))
        transaction.set_rollback(True)
    # On threads, whose connections are in no transaction.
    writes = [partial(write, like(owner, fan)) for write in (notifications.announce, notifications.retract)]
    assert [type(error) for error in run_concurrently(writes)] == [transaction.TransactionManagementError] * 2
    assert not NotificationEvent.objects.exists()


@pytest.mark.parametrize(
    ("kind", "ids"),
    [("like", {}), ("comment", {"post_id": POST}), ("reply", {}), ("mention", {}), ("poke", {"post_id": POST})],
)
def test_impossible_events_raise_value_error(kind: str, ids: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="not a notification event"):
        announce(Event(kind, 1, 2, **ids))


def test_retraction_removes_the_actor_and_the_last_one_the_entry() -> None:
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
def test_last_event_of_an_actor_wins(steps: str, together: bool) -> None:
    owner, fan = UserFactory.create_batch(2)
    for step in steps:
        {"+": announce, "-": retract}[step](like(owner, fan))
        if not together:
            consume_all_events()
    consume_all_events()
    assert entries_of(owner) == ([(f"like:post:{POST}", [fan.pk])] if steps[-1] == "+" else [])


def test_repeated_like_notifies_again_only_after_the_cooldown() -> None:
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
    assert entries_of(owner) == before, "the entry has not moved"

    retract(like(owner, fan))
    consume_all_events()
    long_ago = timezone.now() - deletion.RENOTIFY_COOLDOWN - timedelta(seconds=1)
    NotificationActor.objects.filter(actor_id=fan.pk).update(announced_at=long_ago)
    announce(like(owner, fan))
    consume_all_events()
    assert entries_of(owner) == before[::-1], "the entry is on top"


def test_no_notification_for_muted_blocked_or_suspended_users() -> None:
    owner, muted, blocked, blocker, suspended, fan = UserFactory.create_batch(6)
    MuteFactory(muter=owner, muted=muted)
    BlockFactory(blocker=owner, blocked=blocked)
    BlockFactory(blocker=blocker, blocked=owner)
    User.objects.filter(pk=suspended.pk).update(is_active=False)
    announce(*(like(owner, actor) for actor in (fan, muted, blocked, blocker, suspended)))
    announce(like(suspended, fan), like(muted, owner))
    announce(Event("like", 10**9, fan.pk, POST), Event("like", owner.pk, 10**9, POST))  # already erased
    consume_all_events()
    assert entries_of(owner) == [(f"like:post:{POST}", [fan.pk])]
    assert entries_of(suspended) == []
    assert entries_of(muted) == [(f"like:post:{POST}", [owner.pk])], "muted users are still notified"


def test_post_comment_and_caption_events_have_separate_entries() -> None:
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
        ("reply", POST, COMMENT),  # not repeated as a comment
        ("mention", POST, None),
    ]


# --- Follows -----------------------------------------------------------------------------------------


def test_follow_notification_ends_with_the_follow() -> None:
    ann, bob = UserFactory.create_batch(2)
    for end_follow, actor, other in ((services.unfollow, ann, bob), (services.remove_follower, bob, ann)):
        services.follow(ann.pk, bob.pk)
        consume_all_events()
        assert entries_of(bob) == [(f"follow:{ann.pk}", [ann.pk])]
        end_follow(actor.pk, other.pk)
        consume_all_events()
        assert entries_of(bob) == []


def test_request_notification_ends_when_answered_or_withdrawn() -> None:
    ann, bob = UserFactory(), UserFactory(is_private=True)
    for answer in (services.accept_request, services.reject_request, lambda bob, ann: services.unfollow(ann, bob)):
        services.follow(ann.pk, bob.pk)
        services.follow(ann.pk, bob.pk)
        consume_all_events()
        assert entries_of(bob) == [(f"follow_request:{ann.pk}", [ann.pk])]
        answer(bob.pk, ann.pk)
        consume_all_events()
        assert entries_of(bob) == [], "own answers are not notified"
        accepted = [(f"follow_accepted:{bob.pk}", [bob.pk])]
        assert entries_of(ann) == (accepted if answer is services.accept_request else [])
        services.unfollow(ann.pk, bob.pk)
        consume_all_events()
        assert entries_of(ann) == []


def test_block_removes_follow_notifications_for_good() -> None:
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


def test_change_to_public_notifies_all_accepted_requesters() -> None:
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


# --- Read position -----------------------------------------------------------------------------------


def test_read_position_is_capped_at_the_newest_entry_and_never_falls() -> None:
    owner, fan, stranger = UserFactory.create_batch(3)
    mark_read(owner.pk, 10**18)
    assert not NotificationState.objects.exists(), "no entries, no state"
    announce(like(owner, fan), like(owner, fan, POST + 1), like(stranger, fan))
    consume_all_events()
    oldest, newest = Notification.objects.filter(recipient_id=owner.pk).order_by("pk")
    mark_read(owner.pk, oldest.position)
    assert read_up_to(owner) == oldest.position
    mark_read(owner.pk, 10**18)
    assert read_up_to(owner) == newest.position
    mark_read(owner.pk, 1)
    assert read_up_to(owner) == newest.position
