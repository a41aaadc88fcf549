"""Verify an address after registration, send the mail again, and change the address."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts import services
from accounts.models import MailKind, OneTimeToken, OutgoingMail, User
from tests.db.accounts.auth_client import PASSWORD, get, post, start_session
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.mails import send_due_mails, token_in

pytestmark = pytest.mark.django_db
NEW = "new@example.org"


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="alice@example.org", email_verified=True, password=PASSWORD)


@pytest.fixture
def access(alice: User) -> str:
    return start_session(alice).access


def register(username: str = "ben", email: str = "ben@example.org") -> str:
    """Register and return the access token."""
    response = post("auth/register", {"username": username, "email": email, "password": PASSWORD})
    assert response.status_code == 201
    return str(response.json()["access"])


def verify(token: str) -> Any:
    return post("auth/email/verify", {"token": token})


def change_email(access: str | None, email: str = NEW, password: str = PASSWORD) -> Any:
    return post("me/email", {"email": email, "current_password": password}, access)


def shown_email(access: str) -> tuple[str, bool]:
    body = get("me", access).json()
    return body["email"], body["email_verified"]


def test_the_link_of_a_registration_verifies_the_address_once() -> None:
    access = register()
    assert shown_email(access) == ("ben@example.org", False)
    (mail,) = send_due_mails()
    assert mail.to == ["ben@example.org"]
    assert verify(token_in(mail)).status_code == 204
    assert shown_email(access) == ("ben@example.org", True)
    assert_error(verify(token_in(mail)), 400, "invalid_token")


@pytest.mark.parametrize("token", ["x", "A" * 43, "é" * 43, "A" * 200])
def test_unknown_tokens_are_refused(token: str) -> None:
    assert assert_error(verify(token), 400, "invalid_token")["attr"] == "token"


@pytest.mark.parametrize("token", [None, "", 5, [], "A" * 201, "a\0b"])
def test_malformed_tokens_are_400(token: Any) -> None:
    assert_error(post("auth/email/verify", {"token": token}), 400)


def test_a_link_expires() -> None:
    register()
    (mail,) = send_due_mails()
    expiry = OneTimeToken.objects.get().expires_at - timezone.now()
    assert timedelta(days=2, hours=23) < expiry <= timedelta(days=3)
    OneTimeToken.objects.update(expires_at=timezone.now())
    assert_error(verify(token_in(mail)), 400, "invalid_token")


def test_tokens_and_texts_are_not_at_rest() -> None:
    register()
    row = OutgoingMail.objects.values().get()
    (mail,) = send_due_mails()
    token = token_in(mail)
    assert token not in str(row)
    assert token not in str(OneTimeToken.objects.values().get())
    assert not OutgoingMail.objects.exists()


def test_a_link_is_bound_to_the_password() -> None:
    register()
    (mail,) = send_due_mails()
    user = User.objects.get()
    services.change_password(user.pk, PASSWORD, "another long secret", keep_session=None)
    assert_error(verify(token_in(mail)), 400, "invalid_token")


def test_a_link_is_bound_to_the_address() -> None:
    """Otherwise the owner of a former address could take the account's address back."""
    access = register(email="wrong@example.org")
    (first,) = send_due_mails()
    change_email(access)
    (second,) = send_due_mails()
    assert verify(token_in(second)).status_code == 204
    assert_error(verify(token_in(first)), 400, "invalid_token")
    assert shown_email(access) == (NEW, True)


def test_a_link_of_a_suspended_account_is_refused() -> None:
    register()
    (mail,) = send_due_mails()
    services.suspend(User.objects.get().pk)
    assert_error(verify(token_in(mail)), 400, "invalid_token")


def test_an_address_is_verified_by_one_account_only(alice: User) -> None:
    """Two accounts claim an address. Its owner can verify it for one of them."""
    accesses = [register(name, "Both@example.org") for name in ("ben", "cid")]
    first, second = send_due_mails()
    assert verify(token_in(first)).status_code == 204
    assert_error(verify(token_in(second)), 400, "address_in_use")
    assert [shown_email(access)[1] for access in accesses] == [True, False]


def test_the_owner_of_a_taken_address_gets_a_mail_without_a_link(alice: User, access: str) -> None:
    register("ben", "ALICE@example.org")
    (mail,) = send_due_mails()
    assert mail.to == ["ALICE@example.org"]
    assert mail.subject.startswith("You already have an account")
    assert "ben" in mail.body
    assert "token" not in mail.body
    assert not OneTimeToken.objects.exists()


def test_the_mail_can_be_sent_again_until_the_address_is_verified() -> None:
    access = register()
    send_due_mails()
    assert post("auth/email/resend", {}, access).status_code == 202
    (mail,) = send_due_mails()
    assert verify(token_in(mail)).status_code == 204
    assert post("auth/email/resend", {}, access).status_code == 202
    assert send_due_mails() == []
    assert post("auth/email/resend", {}).status_code == 401


def test_an_address_changes_when_its_link_is_used(alice: User, access: str) -> None:
    assert change_email(access).status_code == 202
    assert shown_email(access) == ("alice@example.org", True)
    link, notice = sorted(send_due_mails(), key=lambda mail: mail.to != [NEW])
    assert (link.to, notice.to) == ([NEW], ["alice@example.org"])
    assert NEW in notice.body
    assert "token" not in notice.body
    assert verify(token_in(link)).status_code == 204
    assert shown_email(access) == (NEW, True)
    assert_error(verify(token_in(link)), 400, "invalid_token")


def test_an_unverified_address_gets_no_notice() -> None:
    access = register()
    send_due_mails()
    change_email(access)
    assert [mail.to for mail in send_due_mails()] == [[NEW]]


def test_a_new_password_stops_a_change_that_an_intruder_requested(alice: User, access: str) -> None:
    change_email(access)
    services.change_password(alice.pk, PASSWORD, "another long secret", keep_session=None)
    assert {mail.to[0] for mail in send_due_mails()} == {"alice@example.org"}
    change_email(start_session(User.objects.get()).access, password="another long secret")
    (link,) = (mail for mail in send_due_mails() if mail.to == [NEW])
    services.change_password(alice.pk, "another long secret", PASSWORD, keep_session=None)
    assert_error(verify(token_in(link)), 400, "invalid_token")


@pytest.mark.parametrize("email", [NEW, "bob@example.org"])
def test_a_change_needs_the_current_password(access: str, email: str) -> None:
    UserFactory(username="bob", email="bob@example.org", email_verified=True)
    wrong = assert_error(change_email(access, email, "wrong"), 400, "wrong_password")
    missing = assert_error(post("me/email", {"email": email}, access), 400, "required")
    assert wrong["attr"] == missing["attr"] == "current_password"
    assert not OutgoingMail.objects.exists()
    assert change_email(None).status_code == 401


@pytest.mark.parametrize("email", [None, "", "nonsense", "a b@example.org", 5, [], {}])
def test_invalid_addresses_are_400(access: str, email: Any) -> None:
    body = {"email": email, "current_password": PASSWORD}
    assert assert_error(post("me/email", body, access), 400)["attr"] == "email"


def test_a_taken_address_gets_the_same_answer(alice: User, access: str) -> None:
    UserFactory(username="bob", email="bob@example.org", email_verified=True)
    answers = [change_email(access, email) for email in ("Bob@example.org", NEW, "alice@example.org")]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"")}
    links = [mail for mail in send_due_mails() if "token" in mail.body]
    assert [mail.to for mail in links] == [[NEW]]


def test_passwords_for_a_new_address_are_limited(access: str, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": "2/hour"}
    assert [change_email(access, password="wrong").status_code for _ in range(3)] == [400, 400, 429]


def test_mails_are_limited_by_account_and_by_address(access: str, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"mail": "2/hour"}
    assert [change_email(access).status_code for _ in range(3)] == [202, 202, 429]
    assert OutgoingMail.objects.filter(kind=MailKind.CHANGE).count() == 2
    for number in range(2):
        other = UserFactory(username=f"other{number}", email=f"other{number}@example.org", password=PASSWORD)
        assert change_email(start_session(other).access, NEW.upper()).status_code == 202
    assert OutgoingMail.objects.filter(kind=MailKind.CHANGE).count() == 2, "the address has had its mails"


def test_notices_are_not_used_up_by_requests_for_links(alice: User, access: str, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"mail": "2/hour"}
    for _ in range(5):
        assert post("auth/password/reset", {"email": alice.email}).status_code == 202
    change_email(access)
    kinds = [mail.kind for mail in OutgoingMail.objects.order_by("pk")]
    assert kinds == [MailKind.RESET, MailKind.RESET, MailKind.CHANGE, MailKind.CHANGE_NOTICE]


def test_without_a_mail_server_nothing_is_queued(alice: User, access: str, settings: Settings) -> None:
    settings.MAIL_ENABLED = False
    register()
    assert change_email(access).status_code == 202
    assert post("auth/password/reset", {"email": alice.email}).status_code == 202
    assert not OutgoingMail.objects.exists()


def test_writes_may_require_a_verified_address(alice: User, access: str, settings: Settings) -> None:
    settings.REQUIRE_VERIFIED_EMAIL = True
    unverified = register()
    error = assert_error(post("posts", {"caption": "hello"}, unverified), 403, "email_unverified")
    assert error["detail"]
    assert get("me", unverified).status_code == get("feed", unverified).status_code == 200
    assert post("auth/email/resend", {}, unverified).status_code == 202
    assert change_email(unverified, "right@example.org").status_code == 202
    (link,) = (mail for mail in send_due_mails() if mail.to == ["right@example.org"])
    assert verify(token_in(link)).status_code == 204
    assert post("posts", {"caption": "hello"}, unverified).status_code == 201
    assert post("posts", {"caption": "hello"}, access).status_code == 201


def test_an_address_that_staff_sets_is_not_verified(alice: User) -> None:
    assert not services.update_profile(alice.pk, {"email": "staff@example.org"}).email_verified
    assert services.update_profile(alice.pk, {"email": NEW, "email_verified": True}).email_verified
