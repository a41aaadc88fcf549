"""Back into an account without its password."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts import services
from accounts.models import OneTimeToken, OutgoingMail, User
from tests.db.accounts.auth_client import PASSWORD, is_token_accepted, post, start_session
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.mails import send_due_mails, token_in

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "a moth in relay 70"


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="Alice@example.org", email_verified=True, password=PASSWORD)


def request_reset(email: Any = "alice@example.org") -> Any:
    return post("auth/password/reset", {"email": email})


def confirm(token: str, password: str = NEW_PASSWORD) -> Any:
    return post("auth/password/reset/confirm", {"token": token, "new_password": password})


def mailed_token(email: str = "alice@example.org") -> str:
    assert request_reset(email).status_code == 202
    (mail,) = send_due_mails()
    return token_in(mail)


def can_sign_in(password: str) -> bool:
    return post("auth/token", {"username": "alice", "password": password}).status_code == 200


def test_a_link_sets_a_new_password_once_and_ends_all_sessions(alice: User) -> None:
    sessions = [start_session(alice).access for _ in range(2)]
    token = mailed_token()
    assert confirm(token).status_code == 204
    assert can_sign_in(NEW_PASSWORD)
    assert not can_sign_in(PASSWORD)
    assert not any(is_token_accepted(access) for access in sessions)
    assert_error(confirm(token, "yet another secret"), 400, "invalid_token")
    (notice,) = send_due_mails()
    assert notice.to == ["Alice@example.org"]
    assert "password" in notice.subject


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "other@example.org", "email_verified": True},
        {"email": "alice@example.org", "email_verified": False},
        {"email": "alice@example.org", "email_verified": True, "is_active": False},
    ],
)
def test_unknown_unverified_and_suspended_accounts_get_no_mail(fields: dict[str, Any]) -> None:
    UserFactory(**fields)
    response = request_reset()
    assert (response.status_code, response.content) == (202, b"")
    assert send_due_mails() == []
    assert not OutgoingMail.objects.exists()
    assert not OneTimeToken.objects.exists()


def test_a_link_works_for_an_hour(alice: User) -> None:
    token = mailed_token()
    lifetime = OneTimeToken.objects.get().expires_at - timezone.now()
    assert timedelta(minutes=59) < lifetime <= timedelta(hours=1)
    OneTimeToken.objects.update(expires_at=timezone.now())
    assert_error(confirm(token), 400, "invalid_token")


def test_the_hour_begins_when_the_mail_is_sent(alice: User) -> None:
    request_reset()
    OutgoingMail.objects.update(created_at=timezone.now() - timedelta(hours=5))
    (mail,) = send_due_mails()
    assert confirm(token_in(mail)).status_code == 204


@pytest.mark.parametrize(
    "change", [{"password": "another"}, {"email": "new@example.org"}, {"email_verified": False}, {"is_active": False}]
)
def test_a_link_is_bound_to_the_password_and_the_address(alice: User, change: dict[str, Any]) -> None:
    token = mailed_token()
    User.objects.filter(pk=alice.pk).update(**change)
    assert_error(confirm(token), 400, "invalid_token")
    alice.refresh_from_db()
    assert not alice.check_password(NEW_PASSWORD)


def test_a_weak_password_does_not_use_the_link_up(alice: User) -> None:
    token = mailed_token()
    for weak, code in (("short", "password_too_short"), ("alice@example", "password_too_similar")):
        assert assert_error(confirm(token, weak), 400, code)["attr"] == "new_password"
    assert confirm(token).status_code == 204


def test_a_link_to_verify_does_not_reset(alice: User) -> None:
    post("auth/register", {"username": "ben", "email": "ben@example.org", "password": PASSWORD})
    (mail,) = send_due_mails()
    assert_error(confirm(token_in(mail)), 400, "invalid_token")
    assert_error(post("auth/email/verify", {"token": mailed_token()}), 400, "invalid_token")


def test_all_links_end_with_a_new_password(alice: User) -> None:
    first, second = mailed_token(), mailed_token()
    assert confirm(second).status_code == 204
    assert_error(confirm(first), 400, "invalid_token")


def test_a_request_before_a_change_of_the_password_still_works(alice: User) -> None:
    """The request proved nothing, so the mail may be sent."""
    request_reset()
    services.change_password(alice.pk, PASSWORD, NEW_PASSWORD, keep_session=None)
    links = [mail for mail in send_due_mails() if "token" in mail.body]
    assert confirm(token_in(links[0]), "yet another secret").status_code == 204


@pytest.mark.parametrize("email", [None, "", "nonsense", 5, [], {}, "a@b\0.org"])
def test_invalid_addresses_are_400(email: Any) -> None:
    assert_error(request_reset(email), 400)


def test_requests_are_limited_by_the_clients_address(alice: User, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"reset": "2/hour"}
    addresses = ("a@example.org", "b@example.org", "alice@example.org")
    assert [request_reset(email).status_code for email in addresses] == [202, 202, 429]


def test_mails_are_limited_by_recipient_and_the_answer_stays_the_same(alice: User, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"mail": "2/hour"}
    answers = {
        (answer.status_code, answer.content)
        for email in ("Alice@example.org", "unknown@example.org")
        for answer in (request_reset(email), request_reset(email.upper()), request_reset(email))
    }
    assert answers == {(202, b"")}
    assert OutgoingMail.objects.count() == 4
