"""Subscriptions and preferences beside sign-outs, other sessions and other devices."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from accounts import sessions
from accounts.models import Session, User
from social.models import PushSubscription
from social.notifications.preferences import Channels, change_preferences, get_preferences
from social.push import subscriptions
from tests.support.concurrency import run_concurrently
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 10


def new_session(user: User) -> int:
    sessions.start(user)
    return Session.objects.filter(user=user).latest("pk").pk


def subscribing(user: User, session_id: int, endpoint: str) -> Callable[[], bool]:
    return partial(subscriptions.subscribe, user.pk, session_id, endpoint, b"", b"")


def run_all(calls: Sequence[Callable[[], Any]]) -> None:
    """Run calls at once. None may fail, except because its session has ended."""
    for result in run_concurrently(calls):
        assert not isinstance(result, Exception) or isinstance(result, subscriptions.SessionEnded), repr(result)


def new_endpoint() -> str:
    return f"https://fcm.googleapis.com/fcm/send/{secrets.token_urlsafe(16)}"


def test_endpoint_has_one_session_however_many_subscribe_it_at_once() -> None:
    users = UserFactory.create_batch(3)
    for _ in range(ROUNDS):
        endpoint = new_endpoint()
        run_all([subscribing(user, new_session(user), endpoint) for user in users])
        row = PushSubscription.objects.get(endpoint=endpoint)
        assert row.session.user_id == row.user_id


def test_ended_session_has_no_subscription_when_both_happen_at_once() -> None:
    user = UserFactory()
    for _ in range(ROUNDS):
        session_id = new_session(user)
        run_all(
            [
                subscribing(user, session_id, new_endpoint()),
                partial(sessions.end_one, user.pk, session_id),
            ]
        )
        assert not PushSubscription.objects.exists()


def test_limit_holds_when_sessions_subscribe_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_SUBSCRIPTIONS", 2)
    user = UserFactory()
    for _ in range(ROUNDS):
        run_all([subscribing(user, new_session(user), new_endpoint()) for _ in range(4)])
        assert PushSubscription.objects.count() == 2


def test_two_devices_change_two_channels_of_a_kind_at_once() -> None:
    for _ in range(ROUNDS):
        user_id = UserFactory().pk
        run_all(
            [
                partial(change_preferences, user_id, {"like": Channels(in_app=False)}),
                partial(change_preferences, user_id, {"like": Channels(push=False)}),
            ]
        )
        assert get_preferences(user_id)["like"] == Channels(in_app=False, push=False)
