"""Moderation actions on accounts. The effects of suspensions on content are tested in tests/db/posts."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.utils import timezone

from accounts import deletion, moderation, sessions
from accounts.models import AuditEntry, CelebrityState, User
from accounts.moderation import ActionRefused, ProfilePart
from feeds import celebrity_transitions, tasks
from tests.db.accounts.auth_client import is_token_accepted, start_session
from tests.db.feeds.feed_setup import create_posts, deliver_all, follow, read_feed
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def moderator() -> User:
    return UserFactory(username="mod", is_staff=True)


def audit_entries() -> list[tuple[str, dict[str, object], dict[str, object]]]:
    return list(AuditEntry.objects.order_by("pk").values_list("action", "before", "after"))


def test_suspend_and_lift(moderator: User) -> None:
    user = UserFactory()
    access = start_session(user).access
    assert is_token_accepted(access)
    until = timezone.now() + timedelta(days=1)
    assert moderation.suspend(moderator, user.pk, until, "spam")
    assert not is_token_accepted(access)
    assert moderation.suspend(moderator, user.pk, None, "worse"), "the suspension becomes indefinite"
    assert moderation.lift_suspension(moderator, user.pk)
    assert is_token_accepted(access)
    assert [(action, after) for action, _, after in audit_entries()] == [
        ("suspend", {"suspended": True, "until": until.isoformat()}),
        ("suspend", {"until": None}),
        ("lift", {"suspended": False}),
    ]


@pytest.mark.parametrize("part", list(ProfilePart))
def test_remove_a_part_of_a_profile(part: ProfilePart, moderator: User) -> None:
    profile = {"display_name": "Spam", "bio": "Buy this.", "website": "https://spam.example", "avatar_path": "a.webp"}
    user = UserFactory(**profile)
    with pytest.raises(ActionRefused, match="reason"):
        moderation.remove_profile_part(moderator, user.pk, part, " ")
    assert moderation.remove_profile_part(moderator, user.pk, part, "spam")
    assert not moderation.remove_profile_part(moderator, user.pk, part, "again")
    user.refresh_from_db()
    field = "avatar_path" if part is ProfilePart.AVATAR else part
    assert {name: getattr(user, name) for name in profile} == profile | {field: ""}
    assert audit_entries() == [(f"remove_{part}", {part: True}, {part: False})]


def test_suspension_must_end_in_the_future(moderator: User) -> None:
    with pytest.raises(ActionRefused, match="future"):
        moderation.suspend(moderator, UserFactory().pk, timezone.now(), "spam")


def test_end_sessions_signs_out_everywhere(moderator: User) -> None:
    user, other = UserFactory(), UserFactory()
    mine, others = [start_session(user).access for _ in range(3)], start_session(other).access
    assert all(is_token_accepted(access) for access in (*mine, others))
    assert sessions.get_live(user.pk).count() == 3
    with pytest.raises(ActionRefused, match="reason"):
        moderation.end_sessions(moderator, user.pk, "")
    assert moderation.end_sessions(moderator, user.pk, "stolen phone")
    assert not any(is_token_accepted(access) for access in mine)
    assert is_token_accepted(others)
    assert sessions.get_live(user.pk).count() == 0
    assert not moderation.end_sessions(moderator, user.pk, "stolen phone")
    assert audit_entries() == [("end_sessions", {"sessions": 3}, {"sessions": 0})]
    assert is_token_accepted(start_session(user).access), "they may sign in again"


@pytest.mark.parametrize("action", ["suspend", "lift", "end_sessions", "pin"])
def test_staff_and_deleted_accounts_are_protected(action: str, moderator: User) -> None:
    calls = {
        "suspend": lambda actor, user: moderation.suspend(actor, user.pk, None, "x"),
        "lift": lambda actor, user: moderation.lift_suspension(actor, user.pk),
        "end_sessions": lambda actor, user: moderation.end_sessions(actor, user.pk, "x"),
        "pin": lambda actor, user: moderation.pin(actor, user.pk, True),
    }
    for power in ("is_staff", "is_superuser"):
        with pytest.raises(ActionRefused, match="superusers"):
            calls[action](moderator, UserFactory(**{power: True}))
    calls[action](UserFactory(is_superuser=True), UserFactory(is_staff=True))
    gone = UserFactory()
    gone.pk = 10**9
    with pytest.raises(ActionRefused, match="gone"):
        calls[action](moderator, gone)
    leaving = UserFactory()
    deletion.delete_account(leaving.pk)
    if action in ("suspend", "pin"):
        with pytest.raises(ActionRefused, match="erased"):
            calls[action](moderator, leaving)


# --- Pins --------------------------------------------------------------------------------------------


def celebrity_state_of(user: User) -> CelebrityState:
    return CelebrityState(User.objects.get(pk=user.pk).celebrity_state)


def test_pin_changes_delivery_without_losing_posts(moderator: User, redis_broker: redis.Redis) -> None:
    author, follower = UserFactory(), UserFactory()
    follow(author, follower)
    read_feed(follower)
    posts = create_posts(author)
    deliver_all()
    redis_broker.flushdb()
    assert moderation.pin(moderator, author.pk, True, "a singer")
    assert b"reconcile_celebrity_status" in redis_broker.lrange("maintenance", 0, -1)[0]
    tasks.reconcile_celebrity_status(author.pk)
    assert celebrity_state_of(author) == CelebrityState.CELEBRITY
    posts += create_posts(author)
    deliver_all()
    assert read_feed(follower) == posts[::-1]

    assert not moderation.pin(moderator, author.pk, True)
    assert moderation.pin(moderator, author.pk, None)
    tasks.reconcile_celebrity_status(author.pk)
    assert celebrity_state_of(author) == CelebrityState.ORDINARY, "two followers do not make a celebrity"
    assert read_feed(follower) == posts[::-1]
    assert audit_entries() == [
        ("pin", {"celebrity_pin": None}, {"celebrity_pin": True}),
        ("unpin", {"celebrity_pin": True}, {"celebrity_pin": None}),
    ]


def test_pin_without_nudge_is_applied_by_beat(moderator: User) -> None:
    up, down = UserFactory(), UserFactory(celebrity_state=CelebrityState.CELEBRITY, follower_count=10**6)
    moderation.pin(moderator, up.pk, True)
    moderation.pin(moderator, down.pk, False)
    tasks.resume_celebrity_transitions()
    assert (celebrity_state_of(up), celebrity_state_of(down)) == (CelebrityState.CELEBRITY, CelebrityState.ORDINARY)
    moderation.pin(moderator, up.pk, None)
    moderation.pin(moderator, down.pk, None)
    tasks.resume_celebrity_transitions()
    assert (celebrity_state_of(up), celebrity_state_of(down)) == (CelebrityState.ORDINARY, CelebrityState.CELEBRITY)


@pytest.mark.parametrize("pinned", [True, False])
def test_pin_reverses_a_running_transition(pinned: bool, moderator: User) -> None:
    """The worker of the running transition cannot finish it, and no post is lost."""
    author, follower = UserFactory(), UserFactory()
    follow(author, follower)
    read_feed(follower)
    if pinned:
        celebrity_transitions.promote([author.pk])
    posts = create_posts(author)
    since = timezone.now()
    before, between = (
        (CelebrityState.CELEBRITY, CelebrityState.DEMOTING)
        if pinned
        else (CelebrityState.ORDINARY, CelebrityState.PROMOTING)
    )
    assert celebrity_transitions.change_state(User.objects.filter(pk=author.pk), before, between, since=since) == [
        author.pk
    ]
    posts += create_posts(author)
    moderation.pin(moderator, author.pk, pinned)
    finish = celebrity_transitions.finish_demotion if pinned else celebrity_transitions.finish_promotion
    assert finish([author.pk], since) == 0
    posts += create_posts(author)
    deliver_all()
    assert read_feed(follower) == posts[::-1]
    tasks.resume_celebrity_transitions()
    assert celebrity_state_of(author) == (CelebrityState.CELEBRITY if pinned else CelebrityState.ORDINARY)
    posts += create_posts(author)
    deliver_all()
    assert read_feed(follower) == posts[::-1]
