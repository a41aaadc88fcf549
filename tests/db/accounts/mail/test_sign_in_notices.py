"""Notices of sign-ins from devices that did not sign in to the account before."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import devices
from accounts.models import MailKind, OutgoingMail, User
from tests.db.accounts.auth_client import PASSWORD
from tests.support.factories import UserFactory
from tests.support.mails import send_due_mails

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0"
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.9"


@pytest.fixture
def alice() -> User:
    user: User = UserFactory(username="alice", email="alice@example.org", email_verified=True, password=PASSWORD)
    assert sign_in() == 200
    return user


def sign_in(user_agent: str = FIREFOX.format(140), address: str = HOME, password: str = PASSWORD) -> int:
    body = {"username": "alice", "password": password}
    client = Client(headers={"User-Agent": user_agent}, REMOTE_ADDR=address)
    return client.post("/api/v1/auth/token", body, content_type="application/json").status_code


def queued() -> list[dict[str, Any]]:
    return [mail.details for mail in OutgoingMail.objects.filter(kind=MailKind.SIGN_IN_NOTICE).order_by("pk")]


def test_the_first_device_and_its_later_versions_cause_no_notice(alice: User) -> None:
    assert sign_in() == sign_in(FIREFOX.format(141)) == sign_in(address="203.0.113.99") == 200
    assert queued() == []
    assert len(User.objects.get().known_devices) == 1


@pytest.mark.parametrize(("user_agent", "address"), [("curl/8.0", HOME), (FIREFOX.format(140), ELSEWHERE)])
def test_a_new_program_or_network_causes_one_notice(alice: User, user_agent: str, address: str) -> None:
    assert sign_in(user_agent, address) == sign_in(user_agent, address) == 200
    (details,) = queued()
    assert details["network"] == address
    (mail,) = send_due_mails()
    assert mail.to == ["alice@example.org"]
    assert address in mail.body
    assert details["device"] in mail.body
    assert "UTC" in mail.body


def test_a_wrong_password_remembers_no_device(alice: User) -> None:
    assert sign_in("curl/8.0", password="wrong") == 401
    assert len(User.objects.get().known_devices) == 1


def test_registration_remembers_its_device() -> None:
    body = {"username": "alice", "email": "a@example.org", "password": PASSWORD}
    client = Client(headers={"User-Agent": FIREFOX.format(140)}, REMOTE_ADDR=HOME)
    assert client.post("/api/v1/auth/register", body, content_type="application/json").status_code == 201
    User.objects.update(email_verified=True)
    assert sign_in() == 200
    assert queued() == []
    assert sign_in(address=ELSEWHERE) == 200
    assert len(queued()) == 1


def test_an_address_that_is_not_verified_gets_no_notice(alice: User) -> None:
    User.objects.update(email_verified=False)
    assert sign_in("curl/8.0") == 200
    assert queued() == []
    assert len(User.objects.get().known_devices) == 2


def test_the_oldest_device_is_forgotten(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "MAX_DEVICES", 3)
    for name in ("a", "b", "c"):
        sign_in(name)
    assert len(User.objects.get().known_devices) == 3
    sign_in("c")
    assert len(queued()) == 3
    sign_in()
    assert len(queued()) == 4


def test_a_known_device_costs_no_query(alice: User) -> None:
    def count(call: Any) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert call() == 200
        return len(queries)

    sign_in()
    known = count(sign_in)
    User.objects.update(known_devices=[])
    assert known < count(partial(sign_in))


def test_the_row_has_neither_names_nor_addresses(alice: User) -> None:
    stored = str(User.objects.get().known_devices)
    assert "Firefox" not in stored
    assert "203" not in stored or len(stored) == 20
