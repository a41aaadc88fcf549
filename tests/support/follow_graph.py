"""Clients, counts and captured signals for tests of the social graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import Count
from django.dispatch import Signal
from rest_framework.test import APIClient

from accounts import sessions
from accounts.follower_counts import get_exact_counts, with_pending_counts
from accounts.models import CountChange, User
from social import services
from social.models import Follow
from tests.support.factories import FollowFactory, UserFactory

Write = Callable[[int, int], Any]  # a service; the acting user's id comes first

API = "/api/v1"
NO_RELATIONS = {"following": False, "requested": False, "followed_by": False, "blocking": False, "muting": False}


def signed_in_client(user: User) -> APIClient:
    """Return a client that sends an access token of the user."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {sessions.start(user).access}")
    return client


def shown_counts(user: User) -> tuple[int, int]:
    """Return (followers, following) as readers see them."""
    return get_exact_counts(User(pk=user.pk))


def stored_counts(user: User) -> tuple[int, int]:
    """Return (followers, following) of the user's row, without pending changes."""
    return User.objects.values_list("follower_count", "following_count").get(pk=user.pk)


def user_with_wrong_counts() -> User:
    """Create a user with two followers and one followee, whose row and pending changes are both wrong."""
    user = FollowFactory().followee
    services.follow(UserFactory().pk, user.pk)
    services.follow(user.pk, UserFactory().pk)
    User.objects.filter(pk=user.pk).update(follower_count=40, following_count=3)
    CountChange.objects.create(user_id=user.pk, followers=-5, following=1)
    return user


def assert_counts_match_follows() -> None:
    """Assert that the shown counts of all users equal their rows in Follow."""
    followers = dict(Follow.objects.values_list("followee_id").annotate(Count("follower_id")))
    following = dict(Follow.objects.values_list("follower_id").annotate(Count("followee_id")))
    shown = {user.pk: get_exact_counts(user) for user in with_pending_counts(User.objects.all())}
    assert shown == {pk: (followers.get(pk, 0), following.get(pk, 0)) for pk in shown}


@contextmanager
def captured_signals(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """Yield a list that collects the keyword arguments of every `signal` sent inside the block."""
    calls: list[dict[str, Any]] = []

    def record(signal: Signal, sender: Any, **kwargs: Any) -> None:
        calls.append({name: sorted(ids) for name, ids in kwargs.items()})

    signal.connect(record)
    try:
        yield calls
    finally:
        signal.disconnect(record)
