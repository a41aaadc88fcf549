"""DELETE /me: what it answers, and what is true at once."""

from __future__ import annotations

from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts import cards, erasure, services, sessions, tasks
from accounts.models import Erasure, Session, User
from accounts.signals import access_changed
from accounts.tokens import TokenRefused
from tests.accounts.calls import PASSWORD, bearer, get, post, refresh, signed_in, works
from tests.accounts.lives import delete, erase_all
from tests.api.shape import check_shape
from tests.factories import FollowFactory, UserFactory
from tests.social.helpers import at_once

pytestmark = pytest.mark.django_db(transaction=True)  # caches are dropped, and constraints checked, on commit

DELETION = 13  # statements, those of transactions and of dropping cache keys included


def delete_me(access: str | None, body: Any = None) -> Any:
    data = {"password": PASSWORD} if body is None else body
    return Client().delete("/api/v1/me", data, content_type="application/json", headers=bearer(access))


def test_the_account_is_gone_at_once_for_itself_and_for_others(alice: User) -> None:
    tokens, others = signed_in(alice), signed_in(alice)
    bob = signed_in(UserFactory()).access
    assert works(tokens.access)
    assert get("users/alice", bob).status_code == 200
    answer = delete_me(tokens.access)
    assert (answer.status_code, answer.content) == (204, b"")
    for access in (tokens.access, others.access):
        assert not works(access)
        check_shape(delete_me(access), 401)
    for token in (tokens.refresh, others.refresh):
        check_shape(refresh(token), 401)
    unknown = get("users/nobody", bob)
    assert (get("users/alice", bob).status_code, get("users/alice", bob).content) == (404, unknown.content)
    assert cards.people([alice.pk]) == {}


def test_signing_in_is_answered_as_for_an_unknown_user(alice: User) -> None:
    delete(alice)
    unknown = post("auth/token", {"username": "nobody", "password": PASSWORD})
    answer = post("auth/token", {"username": "alice", "password": PASSWORD})
    assert (answer.status_code, answer.content) == (unknown.status_code, unknown.content)
    assert answer.status_code == 401


def test_a_wrong_password_changes_nothing(alice: User) -> None:
    access = signed_in(alice).access
    error = check_shape(delete_me(access, {"password": "wrong"}), 400, "wrong_password")
    assert error["attr"] == "password"
    assert works(access)
    assert not Erasure.objects.exists()


@pytest.mark.parametrize("body", [{}, {"password": None}, {"password": 5}, {"password": ""}, {"password": "x" * 1_025}])
def test_a_bad_body_is_a_400_of_the_password(alice: User, body: Any) -> None:
    access = signed_in(alice).access
    assert check_shape(delete_me(access, body), 400)["attr"] == "password"
    assert works(access)


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_a_body_that_is_no_object_is_a_400(alice: User, body: Any) -> None:
    access = signed_in(alice).access
    data = "null" if body is None else body
    check_shape(delete_me(access, data), 400)
    assert works(access)


def test_it_needs_a_token() -> None:
    check_shape(delete_me(None), 401, "not_authenticated")


def test_tries_are_throttled_with_those_of_signing_in_and_reading_is_not(alice: User, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": "2/minute"}
    access = signed_in(alice).access
    for _ in range(2):
        check_shape(delete_me(access, {"password": "wrong"}), 400)
    answer = delete_me(access)
    check_shape(answer, 429)
    assert int(answer["Retry-After"]) > 0
    check_shape(post("auth/token", {"username": "alice", "password": PASSWORD}), 429)
    assert get("me", access).status_code == 200


@pytest.mark.parametrize("power", ["is_staff", "is_superuser"])
def test_staff_keep_their_accounts_until_they_are_no_staff(alice: User, power: str) -> None:
    access = signed_in(alice).access
    User.objects.filter(pk=alice.pk).update(**{power: True})
    check_shape(delete_me(access), 403, "staff_account")
    assert works(access)
    User.objects.filter(pk=alice.pk).update(**{power: False})
    assert delete_me(access).status_code == 204


def test_name_and_address_stay_taken_until_the_account_is_erased(alice: User) -> None:
    delete(alice)
    again = {"username": "Alice", "email": "x@example.org", "password": PASSWORD}
    same_address = {"username": "alice2", "email": "Alice@example.org", "password": PASSWORD}
    assert check_shape(post("auth/register", again), 400, "unique")["attr"] == "username"
    assert check_shape(post("auth/register", same_address), 400, "unique")["attr"] == "email"
    erase_all()
    assert post("auth/register", again).status_code == 201
    assert post("auth/register", same_address).status_code == 201


def test_two_deletions_at_once_are_one(alice: User) -> None:
    access = signed_in(alice).access
    answers = at_once([lambda: delete_me(access).status_code] * 4)
    assert set(answers) <= {204, 401}
    assert 204 in answers
    assert Erasure.objects.count() == 1


def test_a_password_changed_in_the_meantime_is_not_the_one_that_was_given(alice: User) -> None:
    check = User.check_password

    def overtaken(self: User, raw: str) -> bool:
        right = check(self, raw)
        changed = User.objects.get(pk=self.pk)
        changed.set_password("another one")
        changed.save(update_fields=["password"])
        return right

    with patch.object(User, "check_password", overtaken), pytest.raises(services.WrongPassword):
        erasure.delete_own_account(alice.pk, PASSWORD)
    assert not Erasure.objects.exists()


@pytest.mark.parametrize("ends", ["deletion", "password"])
def test_tokens_that_are_refreshed_at_the_same_moment_make_no_deadlock(ends: str) -> None:
    for _ in range(8):
        user = UserFactory(password=PASSWORD)
        refreshed = [sessions.start(user).refresh for _ in range(4)]

        def rotate(token: str) -> None:
            for _ in range(5):
                token = sessions.rotate(token)[1].refresh

        change = partial(services.change_password, user.pk, PASSWORD, "another one", keep_session=None)
        end = partial(delete, user) if ends == "deletion" else change
        answers = at_once([end, *(partial(rotate, token) for token in refreshed)])
        assert {type(answer) for answer in answers if answer is not None} <= {TokenRefused}
        assert not Session.objects.filter(user=user, ended_at=None).exists()


def test_others_are_told_once(alice: User) -> None:
    heard: list[Any] = []

    def listen(**told: Any) -> None:
        heard.append((told["user_id"], told["is_active"]))

    access_changed.connect(listen)
    try:
        assert erasure.delete_account(alice.pk)
        assert not erasure.delete_account(alice.pk)
    finally:
        access_changed.disconnect(listen)
    assert heard == [(alice.pk, False)]


def test_a_suspended_account_can_be_deleted_and_is_not_reinstated(alice: User) -> None:
    services.suspend(alice.pk)
    assert erasure.delete_account(alice.pk)
    assert not services.reinstate(alice.pk)
    assert not User.objects.get(pk=alice.pk).is_active


@pytest.mark.parametrize("size", [2, 50])
def test_a_deletion_costs_the_same_whatever_the_account_holds(alice: User, size: int) -> None:
    for _ in range(size):
        FollowFactory(followee=alice)
        FollowFactory(follower=alice)
        sessions.start(alice)
    access = signed_in(alice).access
    assert works(access)
    with CaptureQueriesContext(connection) as queries, patch.object(erasure.dispatch, "nudge"):
        assert delete_me(access).status_code == 204
    assert len(queries) == DELETION


def test_a_worker_is_nudged_and_a_dead_broker_is_nobodys_trouble(alice: User, redis_broker: redis.Redis) -> None:
    delete(alice)
    assert redis_broker.llen("maintenance") == 2  # the erasure, and public files that move to a secret place
    with patch.object(tasks.erase_accounts, "apply_async", side_effect=redis.ConnectionError):
        assert erasure.delete_account(UserFactory().pk)
