"""Sign-in to the admin, its rate limits, and the end of sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as current
from django.contrib.auth.hashers import BasePasswordHasher
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import services, sessions
from accounts.models import Session, User
from instafeed.backoffice.sign_in import SIGN_IN_REFUSED, StaffPasswordChangeForm
from instafeed.core import tasks
from tests.support.client_response import ClientResponse
from tests.support.factories import UserFactory
from tests.support.staff import PASSWORD, admin_client, create_staff

pytestmark = pytest.mark.django_db

LOGIN, INDEX, CHANGE = "/admin/login/", "/admin/", "/admin/password_change/"


def sign_in(username: str, password: str = PASSWORD, client: Client | None = None, **more: Any) -> ClientResponse:
    return (client or Client()).post(LOGIN, {"username": username, "password": password}, **more)


def has_access(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


@pytest.fixture
def limited(settings: Settings) -> None:
    settings.THROTTLES = {**settings.THROTTLES, "login": "3/hour", "login_address": "3/hour"}


def test_username_is_case_insensitive() -> None:
    create_staff(password=PASSWORD, username="maria")
    client = Client()
    assert sign_in("MaRia", client=client).status_code == 302
    assert has_access(client)


@pytest.mark.parametrize("who", ["nobody", "user", "suspended", "wrong"])
def test_every_refusal_has_the_same_text(who: str) -> None:
    UserFactory(username="user", password=PASSWORD)
    services.suspend(create_staff(password=PASSWORD, username="suspended").pk)
    create_staff(password=PASSWORD, username="wrong")
    client = Client()
    response = sign_in(who, "not it" if who == "wrong" else PASSWORD, client)
    assert response.status_code == 200
    assert response.context["form"].non_field_errors() == [SIGN_IN_REFUSED]
    assert not has_access(client)


@pytest.mark.usefixtures("limited")
def test_spaces_around_a_username_make_no_further_attempts(settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login_address": "100/hour"}
    create_staff(password=PASSWORD, username="maria")
    paddings = [0, 1, 100, 249, 250, 253, 254, 300]
    statuses = [sign_in(" " * padding + "maria", "wrong").status_code for padding in paddings]
    assert statuses == [200, 200, 200, 429, 200, 200, 200, 429], "from 250 too long for any account"
    for padding in paddings:
        client = Client()
        sign_in(" " * padding + "maria", client=client)
        assert not has_access(client)


@pytest.mark.parametrize("key", [r'"\000aaaaaaaaaaaa"', "a" * 31, "A" * 32, "a" * 10_000])
def test_cookie_that_is_no_session_is_ignored(key: str) -> None:
    for path, status in ((LOGIN, 200), (INDEX, 302)):
        assert Client().get(path, HTTP_COOKIE=f"sessionid={key}").status_code == status


def test_unknown_username_costs_a_hash_too(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    class Counting(BasePasswordHasher):
        algorithm = "counting"

        def encode(self, password: str, salt: str) -> str:
            hashed.append(password)
            return f"counting${password}"

    monkeypatch.setattr("django.contrib.auth.hashers.get_hashers_by_algorithm", lambda: {"counting": Counting()})
    monkeypatch.setattr("django.contrib.auth.hashers.get_hasher", lambda algorithm="default": Counting())
    sign_in("nobody", "guess")
    assert hashed == ["guess"]


@pytest.mark.usefixtures("limited")
def test_rate_limit_per_account_shared_with_the_api() -> None:
    create_staff(password=PASSWORD, username="maria")
    token = {"username": "MARIA", "password": "x"}
    assert Client().post("/api/v1/auth/token", token, "application/json").status_code == 401
    for number in (1, 2):
        assert sign_in("maria", "x", REMOTE_ADDR=f"10.0.0.{number}").status_code == 200
    refused = sign_in(" Maria", REMOTE_ADDR="10.0.0.3")
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 3_600
    assert b"maria" not in refused.content.lower()
    unknown = [sign_in("nobody", REMOTE_ADDR=f"10.0.1.{number}").status_code for number in range(4)]
    assert unknown == [200, 200, 200, 429], "unknown accounts have the same limit"


@pytest.mark.usefixtures("limited")
def test_rate_limit_per_address() -> None:
    statuses = [sign_in(f"user{number}", REMOTE_ADDR="10.0.0.1").status_code for number in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert Client().get(LOGIN, REMOTE_ADDR="10.0.0.1").status_code == 200, "a GET does not count"


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("spelling", ["\uff4d\uff41\uff52\uff49\uff41", "\u217faria", "MARIA", "\u00a0maria"])
def test_look_alikes_share_the_limit_of_their_account(spelling: str) -> None:
    create_staff(password=PASSWORD, username="maria")
    statuses = [sign_in(spelling, "x", REMOTE_ADDR=f"10.0.0.{number}").status_code for number in range(3)]
    assert statuses == [200, 200, 200]
    assert sign_in("maria", REMOTE_ADDR="10.0.0.9").status_code == 429
    assert sign_in(spelling, REMOTE_ADDR="10.0.0.9").status_code == 429


@pytest.mark.usefixtures("limited")
def test_only_failures_count_and_known_addresses_are_not_locked_out() -> None:
    create_staff(password=PASSWORD, username="maria")
    assert [sign_in("maria", REMOTE_ADDR="10.0.0.1").status_code for _ in range(5)] == [302] * 5
    for number in range(2, 5):
        sign_in("maria", "x", REMOTE_ADDR=f"10.0.0.{number}")
    assert sign_in("maria", REMOTE_ADDR="10.0.0.9").status_code == 429
    assert sign_in("maria", REMOTE_ADDR="10.0.0.1").status_code == 302


@pytest.mark.usefixtures("limited")
def test_password_change_attempts_are_limited() -> None:
    client = admin_client(create_staff(password=PASSWORD))
    data = {"old_password": "x", "new_password1": "a new and long one", "new_password2": "a new and long one"}
    weak = data | {"old_password": PASSWORD, "new_password1": "short", "new_password2": "short"}
    assert [client.post(CHANGE, weak).status_code for _ in range(4)] == [200] * 4, "only wrong passwords count"
    assert [client.post(CHANGE, data).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_password_change_ends_all_other_sessions() -> None:
    user = create_staff(password=PASSWORD)
    sessions.start(user)
    here, there = admin_client(user), admin_client(user)
    new = "a new and long one"
    response = here.post(CHANGE, {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert response.status_code == 302
    assert has_access(here)
    assert not has_access(there)
    assert not Session.objects.filter(ended_at=None).exists()


@pytest.mark.parametrize("loss", [{"is_active": False}, {"is_staff": False}])
def test_lost_rights_take_effect_at_once(loss: dict[str, bool]) -> None:
    user = create_staff()
    client = admin_client(user)
    assert has_access(client)
    User.objects.filter(pk=user.pk).update(**loss)
    assert not has_access(client)


def test_session_lasts_12_hours_without_extension() -> None:
    client = Client()
    sign_in(create_staff(password=PASSWORD).username, client=client)
    cookie = client.cookies["sessionid"]
    assert (cookie["max-age"], cookie["httponly"], cookie["samesite"]) == (12 * 3_600, True, "Strict")
    assert "sessionid" not in client.get(INDEX).cookies, "it is not extended"
    assert not current.SESSION_SAVE_EVERY_REQUEST


def test_expired_sessions_are_deleted() -> None:
    for age in (-1, 1):
        store = SessionStore()
        store.set_expiry(timezone.now() + timedelta(hours=age))
        store.create()
    tasks.flush_expired_sessions()
    assert SessionStore.get_model_class().objects.count() == 1


@pytest.mark.parametrize("username", ["\0", "a" * 5_000, "", "İ", "' OR 1=1 --"])
def test_hostile_usernames_are_refused(username: str) -> None:
    assert sign_in(username).status_code == 200


def test_password_change_writes_only_the_password() -> None:
    user = create_staff(password=PASSWORD)
    form = StaffPasswordChangeForm(
        user, {"old_password": PASSWORD, "new_password1": "another secret 1", "new_password2": "another secret 1"}
    )
    assert form.is_valid()
    User.objects.filter(pk=user.pk).update(is_staff=False, is_active=False, post_count=7)
    form.save()
    user.refresh_from_db()
    assert (user.is_staff, user.is_active, user.post_count) == (False, False, 7)
    assert user.check_password("another secret 1")
