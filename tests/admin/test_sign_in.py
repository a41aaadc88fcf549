"""Who gets into the admin, and how often that may be tried."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as current
from django.contrib.auth.hashers import BasePasswordHasher
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import services, sessions
from accounts.models import Session, User
from instafeed.backoffice.sign_in import SIGN_IN_REFUSED, StaffPasswordChangeForm
from instafeed.core import tasks
from tests.factories import UserFactory
from tests.staff import PASSWORD, admin_client, create_staff

pytestmark = pytest.mark.django_db

LOGIN, INDEX, CHANGE = "/admin/login/", "/admin/", "/admin/password_change/"


def sign_in(username: str, password: str = PASSWORD, client: Client | None = None, **more: Any) -> HttpResponse:
    return (client or Client()).post(LOGIN, {"username": username, "password": password}, **more)


def enters(client: Client) -> bool:
    return client.get(INDEX).status_code == 200


@pytest.fixture
def limited(settings: Settings) -> None:
    settings.THROTTLES = {**settings.THROTTLES, "login": "3/minute"}


def test_staff_gets_in_whatever_the_case_of_the_name() -> None:
    create_staff(password=PASSWORD, username="maria")
    client = Client()
    assert sign_in("MaRia", client=client).status_code == 302
    assert enters(client)


@pytest.mark.parametrize("who", ["nobody", "user", "suspended", "wrong"])
def test_every_refusal_reads_the_same(who: str) -> None:
    UserFactory(username="user", password=PASSWORD)
    services.suspend(create_staff(password=PASSWORD, username="suspended").pk)
    create_staff(password=PASSWORD, username="wrong")
    client = Client()
    answer = sign_in(who, "not it" if who == "wrong" else PASSWORD, client)
    assert answer.status_code == 200
    assert answer.context["form"].non_field_errors() == [SIGN_IN_REFUSED]
    assert not enters(client)


def test_an_unknown_name_costs_a_hash_as_a_known_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_an_account_can_be_tried_so_often_from_wherever_and_by_the_api_too() -> None:
    create_staff(password=PASSWORD, username="maria")
    token = {"username": "MARIA", "password": "x"}
    assert Client().post("/api/v1/auth/token", token, "application/json").status_code == 401
    for number in (1, 2):
        assert sign_in("maria", "x", REMOTE_ADDR=f"10.0.0.{number}").status_code == 200
    refused = sign_in(" Maria", REMOTE_ADDR="10.0.0.3")
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert b"maria" not in refused.content.lower()
    unknown = [sign_in("nobody", REMOTE_ADDR=f"10.0.1.{number}").status_code for number in range(4)]
    assert unknown == [200, 200, 200, 429], "the same for an account that is none"


@pytest.mark.usefixtures("limited")
def test_an_address_can_try_so_often_whatever_the_account() -> None:
    statuses = [sign_in(f"user{number}", REMOTE_ADDR="10.0.0.1").status_code for number in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert Client().get(LOGIN, REMOTE_ADDR="10.0.0.1").status_code == 200, "looking at the form is free"


@pytest.mark.usefixtures("limited")
def test_passwords_tried_from_inside_a_session_are_counted_with_the_rest() -> None:
    client = admin_client(create_staff(password=PASSWORD))
    data = {"old_password": "x", "new_password1": "a new and long one", "new_password2": "a new and long one"}
    assert [client.post(CHANGE, data).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_changed_password_ends_all_other_sessions_of_admin_and_api() -> None:
    user = create_staff(password=PASSWORD)
    sessions.start(user)
    here, there = admin_client(user), admin_client(user)
    new = "a new and long one"
    answer = here.post(CHANGE, {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert answer.status_code == 302
    assert enters(here)
    assert not enters(there)
    assert not Session.objects.filter(ended_at=None).exists()


@pytest.mark.parametrize("loss", [{"is_active": False}, {"is_staff": False}])
def test_who_loses_the_right_is_out_at_the_next_click(loss: dict[str, bool]) -> None:
    user = create_staff()
    client = admin_client(user)
    assert enters(client)
    User.objects.filter(pk=user.pk).update(**loss)
    assert not enters(client)


def test_a_session_lasts_for_a_working_day_however_busy() -> None:
    client = Client()
    sign_in(create_staff(password=PASSWORD).username, client=client)
    cookie = client.cookies["sessionid"]
    assert (cookie["max-age"], cookie["httponly"], cookie["samesite"]) == (12 * 3_600, True, "Strict")
    assert "sessionid" not in client.get(INDEX).cookies, "and is not prolonged"
    assert not current.SESSION_SAVE_EVERY_REQUEST


def test_sessions_that_are_over_are_deleted() -> None:
    for age in (-1, 1):
        store = SessionStore()
        store.set_expiry(timezone.now() + timedelta(hours=age))
        store.create()
    tasks.flush_expired_sessions()
    assert SessionStore.get_model_class().objects.count() == 1


@pytest.mark.parametrize("username", ["\0", "a" * 5_000, "", "İ", "' OR 1=1 --"])
def test_hostile_names_are_refused_like_any_other(username: str) -> None:
    assert sign_in(username).status_code == 200


def test_a_new_password_changes_nothing_else_that_changed_meanwhile() -> None:
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
