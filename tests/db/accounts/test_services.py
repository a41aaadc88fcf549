"""Services that change accounts, with their invalidations and signals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework_simplejwt.settings import api_settings

from accounts import services, sessions, tasks
from accounts.models import CelebrityState, Session, User
from accounts.signals import access_changed
from accounts.user_cache import get_user_summaries, render_user_summary, user_summary_cache
from instafeed.core.cache import keys
from tests.db.accounts.auth_client import is_token_accepted, start_session
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def access_changes() -> Iterator[list[tuple[int, bool]]]:
    changes: list[tuple[int, bool]] = []

    def receive(sender: Any, user_id: int, is_active: bool, **_: Any) -> None:
        changes.append((user_id, is_active))

    access_changed.connect(receive)
    yield changes
    access_changed.disconnect(receive)


def test_access_changed_is_sent_once_per_change(access_changes: list[tuple[int, bool]]) -> None:
    user = UserFactory()
    assert services.suspend(user.pk)
    assert not services.suspend(user.pk)
    assert services.reinstate(user.pk)
    assert not services.reinstate(user.pk)
    assert access_changes == [(user.pk, False), (user.pk, True)]


def test_second_suspension_changes_only_the_end() -> None:
    user = UserFactory()
    services.suspend(user.pk)
    user.refresh_from_db()
    since = user.suspended_at
    until = timezone.now() + timedelta(days=1)
    services.suspend(user.pk, until)
    user.refresh_from_db()
    assert (user.is_active, user.suspended_at, user.suspended_until) == (False, since, until)


def test_deleted_account_cannot_be_reinstated(access_changes: list[tuple[int, bool]]) -> None:
    user = UserFactory(is_active=False, deleted_at=timezone.now(), suspended_at=timezone.now())
    assert not services.reinstate(user.pk)
    user.refresh_from_db()
    assert (user.is_active, user.suspended_at) == (False, None)
    assert access_changes == []


def test_due_suspensions_are_lifted(access_changes: list[tuple[int, bool]]) -> None:
    due, later, for_good = UserFactory.create_batch(3)
    services.suspend(due.pk, timezone.now())
    services.suspend(later.pk, timezone.now() + timedelta(minutes=1))
    services.suspend(for_good.pk)
    access_changes.clear()
    tasks.lift_suspensions()
    tasks.lift_suspensions()
    assert access_changes == [(due.pk, True)]
    assert set(User.objects.filter(is_active=True)) == {due}


@pytest.mark.parametrize("call", [services.suspend, services.reinstate])
def test_unknown_user_raises(call: Any) -> None:
    with pytest.raises(User.DoesNotExist):
        call(1)


def test_every_change_invalidates_caches(redis_cache: redis.Redis) -> None:
    user = UserFactory()
    for change in (
        lambda: services.update_profile(user.pk, {"display_name": "x"}),
        lambda: services.suspend(user.pk),
        lambda: services.reinstate(user.pk),
    ):
        cached = [keys.user_summary(user.pk), keys.auth_state(user.pk)]
        for key in cached:
            redis_cache.set(key, "x")
        change()
        assert redis_cache.exists(*cached) == 0


def test_unchanged_values_write_nothing(
    django_assert_num_queries: DjangoAssertNumQueries, redis_cache: redis.Redis
) -> None:
    user = UserFactory(bio="x")
    redis_cache.set(keys.user_summary(user.pk), "x")
    with django_assert_num_queries(3):  # BEGIN, SELECT, COMMIT
        services.update_profile(user.pk, {"bio": "x"})
    assert redis_cache.exists(keys.user_summary(user.pk))


def test_other_integrity_errors_are_not_reported_as_taken() -> None:
    with pytest.raises(IntegrityError):
        services.register("not plain", "", "x")


def test_user_summary() -> None:
    user = UserFactory(display_name="Ünïcode 😀", celebrity_state=CelebrityState.CELEBRITY)
    card = {
        "id": str(user.pk),
        "username": user.username,
        "display_name": "Ünïcode 😀",
        "avatar_url": None,
        "is_celebrity": True,
    }
    assert render_user_summary(user) == card
    (raw,) = get_user_summaries([user.pk]).values()
    assert "Ünïcode 😀".encode() in raw


@pytest.mark.parametrize("state", [s for s in CelebrityState if s != CelebrityState.CELEBRITY])
def test_only_pulled_authors_are_celebrities(state: CelebrityState) -> None:
    assert render_user_summary(UserFactory(celebrity_state=state))["is_celebrity"] is False


def test_summaries_are_loaded_with_one_query_and_cached(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    users = UserFactory.create_batch(3)
    gone = UserFactory(is_active=False)
    ids = [user.pk for user in users]
    wanted = [*ids, gone.pk, 10**9, ids[0]]
    with django_assert_num_queries(1):
        assert set(get_user_summaries(wanted)) == set(ids)
    with django_assert_num_queries(0):
        assert set(get_user_summaries(wanted)) == set(ids)
    assert user_summary_cache.ttl == keys.USER_SUMMARY_TTL


def test_summaries_follow_changes_at_once() -> None:
    user = UserFactory(username="alice")
    assert b"alice" in get_user_summaries([user.pk])[user.pk]
    services.update_profile(user.pk, {"username": "alicia"})
    assert b"alicia" in get_user_summaries([user.pk])[user.pk]
    services.suspend(user.pk)
    assert get_user_summaries([user.pk]) == {}
    services.reinstate(user.pk)
    assert user.pk in get_user_summaries([user.pk])


def test_only_expired_sessions_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "FLUSH_BATCH_SIZE", 2)
    user = UserFactory()
    for _ in range(6):
        start_session(user)
    expired = Session.objects.order_by("pk").values("pk")[:5]
    Session.objects.filter(pk__in=expired).update(expires_at=timezone.now() - timedelta(seconds=1))
    tasks.flush_expired_tokens()
    tasks.flush_expired_tokens()
    assert Session.objects.count() == 1


def test_ended_session_is_kept_until_access_tokens_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that were issued before the lifetime was lowered."""
    monkeypatch.setattr(api_settings, "ACCESS_TOKEN_LIFETIME", timedelta(minutes=1))
    user = UserFactory()
    tokens = start_session(user)
    sessions.end(tokens.refresh)
    tasks.flush_expired_tokens()
    assert not is_token_accepted(tokens.access)
    ended = Session.objects.get()
    assert ended.expires_at - timezone.now() > timedelta(hours=23)
