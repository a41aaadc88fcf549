"""No response tells whether an address or a name belongs to an account: not by its bytes, and not by its time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from tests.db.accounts.auth_client import PASSWORD, bearer, start_session
from tests.support.client_response import ClientResponse
from tests.support.factories import UserFactory
from tests.support.timing import differ, sample_interleaved

pytestmark = pytest.mark.django_db

KNOWN = "known.owner@example.org"
# Texts that differ between any two accounts.
_OWN = re.compile(rb'"(?:id|username|email|created_at|access|refresh)":"[^"]*"')


@dataclass(frozen=True)
class Call:
    """A call with a known or an unknown address or name, made for the n-th time."""

    make: Callable[[bool, int], ClientResponse]

    def known(self, number: int) -> ClientResponse:
        return self.make(True, number)

    def unknown(self, number: int) -> ClientResponse:
        return self.make(False, number)


@pytest.fixture(autouse=True)
def real_hasher(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["accounts.hashers.PasswordHasher"]


@pytest.fixture
def owner() -> User:
    return UserFactory(username="known.owner", email=KNOWN, email_verified=True, password=PASSWORD)


def post(path: str, body: dict[str, str], headers: dict[str, str] | None = None) -> ClientResponse:
    response: ClientResponse = Client().post(
        f"/api/v1/{path}", body, content_type="application/json", headers=headers or {}
    )
    return response


def address(is_known: bool, number: int) -> str:
    return KNOWN if is_known else f"not.known{number + 10}@example.org"


@pytest.fixture(params=["reset", "register", "sign in", "sign in by address", "change of address"])
def call(request: pytest.FixtureRequest, owner: User) -> Call:
    headers = bearer(start_session(UserFactory(username="someone", password=PASSWORD)).access)

    def reset(is_known: bool, number: int) -> ClientResponse:
        return post("auth/password/reset", {"email": address(is_known, number)})

    def register(is_known: bool, number: int) -> ClientResponse:
        username = f"{'one' if is_known else 'two'}{number + 10}"
        return post(
            "auth/register",
            {"username": username, "email": address(is_known, number), "password": "a moth in relay 70"},
        )

    def sign_in(is_known: bool, number: int) -> ClientResponse:
        username = owner.username if is_known else f"not.known{number + 10}"
        return post("auth/token", {"username": username, "password": "wrong password"})

    def sign_in_by_address(is_known: bool, number: int) -> ClientResponse:
        return post("auth/token", {"username": address(is_known, number), "password": "wrong password"})

    def change(is_known: bool, number: int) -> ClientResponse:
        return post("me/email", {"email": address(is_known, number), "current_password": PASSWORD}, headers)

    calls = {
        "reset": reset,
        "register": register,
        "sign in": sign_in,
        "sign in by address": sign_in_by_address,
        "change of address": change,
    }
    return Call(calls[request.param])


def test_the_bytes_are_the_same(call: Call) -> None:
    known, unknown = call.known(0), call.unknown(0)
    assert known.status_code == unknown.status_code < 500
    assert _OWN.sub(b"", known.content) == _OWN.sub(b"", unknown.content)
    volatile = {"X-Request-ID", "Content-Length"}
    headers = [
        {(name, value) for name, value in answer.headers.items() if name not in volatile} for answer in (known, unknown)
    ]
    assert headers[0] == headers[1]


def test_the_times_are_distributed_alike(call: Call) -> None:
    known, unknown = sample_interleaved(call.known, call.unknown)
    assert not differ(known, unknown), (sorted(known), sorted(unknown))


def test_the_comparison_finds_a_skipped_password_hash() -> None:
    """Otherwise the test above could pass for any code."""
    known, unknown = sample_interleaved(lambda number: make_password("x"), lambda number: None)
    assert differ(known, unknown)
    assert not differ(known, [*reversed(known)])
