"""Blocked email domains and networks: which addresses they cover."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import Settings

from accounts import registration_blocks
from accounts.models import BlockedEmailDomain, BlockedNetwork, OutgoingMail, User
from tests.db.accounts.auth_client import PASSWORD, post, start_session
from tests.db.accounts.registration.registering import register
from tests.support.error_shape import assert_error

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("blocked", "email", "is_refused"),
    [
        ("example.com", "user@example.com", True),
        ("example.com", "user@EXAMPLE.com", True),
        ("example.com", "user@sub.example.com", True),
        ("example.com", "user@a.b.Sub.Example.COM", True),
        ("example.com", "user+tag@example.com", True),
        ("example.com", "user@notexample.com", False),
        ("example.com", "user@example.com.org", False),
        ("example.com", "example.com@mail.example", False),
        ("sub.example.com", "user@example.com", False),
        ("sub.example.com", "user@other.example.com", False),
        ("sub.example.com", "user@sub.example.com", True),
        ("Example.COM.", "user@example.com", True),
        ("@example.com", "user@example.com", True),
        ("*.example.com", "user@example.com", True),
        ("bücher.example", "user@bücher.example", True),
        ("bücher.example", "user@xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "user@mail.BÜCHER.example", True),
        ("bücher.example", "user@bucher.example", False),
    ],
)
def test_blocked_domain(blocked: str, email: str, is_refused: bool) -> None:
    BlockedEmailDomain.objects.create(domain=registration_blocks.canonical_domain(blocked))
    response = register(email=email)
    if is_refused:
        assert assert_error(response, 400, "email_domain_blocked")["attr"] == "email"
    assert User.objects.exists() is not is_refused, response.content


@pytest.mark.parametrize(
    "text", ["", "com", "a b.example", "user@example.com", "https://example.com", "a..b", "é" * 70]
)
def test_what_is_no_domain(text: str) -> None:
    with pytest.raises(ValueError, match="not a domain"):
        registration_blocks.canonical_domain(text)


@pytest.mark.parametrize("domain", ["Example.org", "example.org.", "bücher.example", "org", ""])
def test_database_accepts_canonical_domains_only(domain: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        BlockedEmailDomain.objects.create(domain=domain)


@pytest.mark.parametrize(
    ("blocked", "address", "is_refused"),
    [
        ("203.0.113.0/24", "203.0.113.9", True),
        ("203.0.113.77/24", "203.0.113.9", True),
        ("203.0.113.0/24", "203.0.114.9", False),
        ("203.0.113.9", "203.0.113.9", True),
        ("203.0.113.9", "203.0.113.8", False),
        ("203.0.113.0/24", "::ffff:203.0.113.9", True),
        ("::ffff:203.0.113.0/120", "203.0.113.9", True),
        ("::ffff:203.0.113.9", "::FFFF:203.0.113.9", True),
        ("2001:db8::/32", "2001:db8:1::5", True),
        ("2001:db8::/32", "2001:db9::5", False),
        ("2001:db8::5", "2001:0DB8:0::5", True),
        ("2001:db8::5", "2001:db8::6", False),
        ("2001:db8::/32", "203.0.113.9", False),
        ("203.0.113.0/24", "unknown", False),
    ],
)
def test_blocked_network(blocked: str, address: str, is_refused: bool) -> None:
    BlockedNetwork.objects.create(network=blocked)
    response = register(address=address)
    if is_refused:
        assert_error(response, 403, "registration_refused")
    assert User.objects.exists() is not is_refused, response.content


def test_client_behind_proxies_is_judged_by_its_own_address(settings: Settings) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    BlockedNetwork.objects.create(network="203.0.113.0/24")
    body = {"username": "alice", "email": "alice@example.org", "password": PASSWORD}
    for forwarded, status in (("203.0.113.9, 198.51.100.1", 201), ("198.51.100.1, 203.0.113.9", 403)):
        response = Client(REMOTE_ADDR="203.0.113.1").post(
            "/api/v1/auth/register", body, content_type="application/json", headers={"X-Forwarded-For": forwarded}
        )
        assert response.status_code == status, forwarded


def test_network_is_stored_once_in_one_form() -> None:
    BlockedNetwork.objects.create(network="203.0.113.9/24")
    with pytest.raises(IntegrityError), transaction.atomic():
        BlockedNetwork.objects.create(network="::ffff:203.0.113.0/120")
    assert str(BlockedNetwork.objects.get()) == "203.0.113.0/24"


@pytest.mark.parametrize("email", ["new@example.com", "new@Sub.EXAMPLE.com"])
def test_change_to_a_blocked_domain_is_refused(alice: User, email: str) -> None:
    BlockedEmailDomain.objects.create(domain="example.com")
    access = start_session(alice).access
    response = post("me/email", {"email": email, "current_password": PASSWORD}, access)
    assert assert_error(response, 400, "email_domain_blocked")["attr"] == "email"
    assert not OutgoingMail.objects.exists()
    assert_error(post("me/email", {"email": email, "current_password": "wrong"}, access), 400, "wrong_password")


def test_refusal_does_not_depend_on_other_accounts(alice: User) -> None:
    BlockedEmailDomain.objects.create(domain="example.org")
    one, two = register("ann", email=alice.email), register("ben", email="unknown@example.org")
    assert (one.status_code, one.content) == (400, two.content)


def test_existing_accounts_of_a_blocked_domain_sign_in(alice: User) -> None:
    BlockedEmailDomain.objects.create(domain="example.org")
    assert post("auth/token", {"username": "alice", "password": PASSWORD}).status_code == 200
