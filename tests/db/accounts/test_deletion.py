"""DELETE /me: its responses and immediate effects."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts import deletion, services, sessions, user_cache
from accounts.models import Erasure, User
from accounts.signals import access_changed
from tests.db.accounts.auth_client import PASSWORD, delete_me, get, is_token_accepted, post, refresh, start_session
from tests.support.error_shape import assert_error
from tests.support.factories import FollowFactory, UserFactory
from tests.support.leased_jobs import lose_tasks
from tests.support.mails import send_due_mails, token_in
from tests.support.populated_account import delete_account, run_erasure

pytestmark = pytest.mark.django_db

DELETION_QUERIES = 15  # statements, including those of transactions, invalidations and the position in the WAL


def test_deleted_account_disappears_at_once(alice: User) -> None:
    tokens, others = start_session(alice), start_session(alice)
    bob = start_session(UserFactory()).access
    assert is_token_accepted(tokens.access)
    assert get("users/alice", bob).status_code == 200
    response = delete_me(tokens.access)
    assert (response.status_code, response.content) == (204, b"")
    for access in (tokens.access, others.access):
        assert not is_token_accepted(access)
        assert_error(delete_me(access), 401)
    for token in (tokens.refresh, others.refresh):
        assert_error(refresh(token), 401)
    unknown = get("users/unknown", bob)
    assert (get("users/alice", bob).status_code, get("users/alice", bob).content) == (404, unknown.content)
    assert user_cache.get_user_summaries([alice.pk]) == {}


def test_sign_in_answers_as_for_unknown_user(alice: User) -> None:
    delete_account(alice)
    unknown = post("auth/token", {"username": "unknown", "password": PASSWORD})
    response = post("auth/token", {"username": "alice", "password": PASSWORD})
    assert (response.status_code, response.content) == (unknown.status_code, unknown.content)
    assert response.status_code == 401


def test_wrong_password_changes_nothing(alice: User) -> None:
    access = start_session(alice).access
    error = assert_error(delete_me(access, {"password": "wrong"}), 400, "wrong_password")
    assert error["attr"] == "password"
    assert is_token_accepted(access)
    assert not Erasure.objects.exists()


@pytest.mark.parametrize("body", [{}, {"password": None}, {"password": 5}, {"password": ""}, {"password": "x" * 1_025}])
def test_invalid_password_value_is_400(alice: User, body: Any) -> None:
    access = start_session(alice).access
    assert assert_error(delete_me(access, body), 400)["attr"] == "password"
    assert is_token_accepted(access)


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_non_object_body_is_400(alice: User, body: Any) -> None:
    access = start_session(alice).access
    data = "null" if body is None else body
    assert_error(delete_me(access, data), 400)
    assert is_token_accepted(access)


def test_token_is_required() -> None:
    assert_error(delete_me(None), 401, "not_authenticated")


def test_attempts_are_throttled(alice: User, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": "2/minute"}
    access = start_session(alice).access
    for _ in range(2):
        assert_error(delete_me(access, {"password": "wrong"}), 400)
    response = delete_me(access)
    assert_error(response, 429)
    assert int(response["Retry-After"]) > 0
    assert get("me", access).status_code == 200


@pytest.mark.parametrize("power", ["is_staff", "is_superuser"])
def test_staff_accounts_cannot_be_deleted(alice: User, power: str) -> None:
    access = start_session(alice).access
    User.objects.filter(pk=alice.pk).update(**{power: True})
    assert_error(delete_me(access), 403, "staff_account")
    assert is_token_accepted(access)
    User.objects.filter(pk=alice.pk).update(**{power: False})
    assert delete_me(access).status_code == 204


def test_username_and_email_stay_taken_until_erased(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(email_verified=True)
    delete_account(alice)
    again = {"username": "Alice", "email": "x@example.org", "password": PASSWORD}
    same_address = {"username": "alice2", "email": "Alice@example.org", "password": PASSWORD}
    assert assert_error(post("auth/register", again), 400, "unique")["attr"] == "username"
    assert post("auth/register", same_address).status_code == 201, "the address is a claim until it is verified"
    (mail,) = send_due_mails()
    verification = {"token": token_in(mail)}
    assert_error(post("auth/email/verify", verification), 400, "address_in_use")
    run_erasure()
    assert post("auth/register", again).status_code == 201
    assert post("auth/email/verify", verification).status_code == 204


def test_password_changed_during_deletion(alice: User) -> None:
    check = User.check_password

    def check_and_change_password(self: User, raw: str) -> bool:
        right = check(self, raw)
        changed = User.objects.get(pk=self.pk)
        changed.set_password("another one")
        changed.save(update_fields=["password"])
        return right

    with patch.object(User, "check_password", check_and_change_password), pytest.raises(services.WrongPassword):
        deletion.delete_own_account(alice.pk, PASSWORD)
    assert not Erasure.objects.exists()


def test_access_changed_is_sent_once(alice: User) -> None:
    received: list[Any] = []

    def receive(**kwargs: Any) -> None:
        received.append((kwargs["user_id"], kwargs["is_active"]))

    access_changed.connect(receive)
    try:
        assert deletion.delete_account(alice.pk)
        assert not deletion.delete_account(alice.pk)
    finally:
        access_changed.disconnect(receive)
    assert received == [(alice.pk, False)]


def test_deleted_suspended_account_is_not_reinstated(alice: User) -> None:
    services.suspend(alice.pk)
    assert deletion.delete_account(alice.pk)
    assert not services.reinstate(alice.pk)
    assert not User.objects.get(pk=alice.pk).is_active


@pytest.mark.parametrize("size", [2, 50])
def test_deletion_query_count_is_constant(alice: User, size: int) -> None:
    for _ in range(size):
        FollowFactory(followee=alice)
        FollowFactory(follower=alice)
        sessions.start(alice)
    access = start_session(alice).access
    assert is_token_accepted(access)
    with CaptureQueriesContext(connection) as queries:
        assert delete_me(access).status_code == 204
    assert len(queries) == DELETION_QUERIES


def test_worker_is_nudged_and_broker_failure_is_ignored(alice: User, redis_broker: redis.Redis) -> None:
    delete_account(alice)
    assert redis_broker.llen("bulk") == 2  # the erasure, and the relocation of public files
    lose_tasks(redis_broker)
    with patch("celery.Celery.send_task", side_effect=redis.ConnectionError):
        assert deletion.delete_account(UserFactory().pk)
