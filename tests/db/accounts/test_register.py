"""POST /auth/register"""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import MailKind, OutgoingMail, User
from tests.db.accounts.auth_client import PASSWORD, is_token_accepted, post
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db
VALID_REGISTRATION = {"username": "alice", "email": "alice@example.org", "password": PASSWORD}


def register(**changes: Any) -> Any:
    data = {key: value for key, value in {**VALID_REGISTRATION, **changes}.items() if value is not ...}
    return post("auth/register", data)


def test_register_creates_account_and_signs_in() -> None:
    response = register()
    assert response.status_code == 201
    body = response.json()
    assert set(body) == {"user", "access", "refresh"}
    user = User.objects.get()
    assert body["user"] == {
        "id": str(user.pk),
        "username": "alice",
        "display_name": "",
        "bio": "",
        "website": "",
        "avatar_url": None,
        "is_private": False,
        "is_celebrity": False,
        "post_count": 0,
        "follower_count": 0,
        "following_count": 0,
        "created_at": user.created_at.isoformat().replace("+00:00", "Z"),
        "relationship": None,
        "email": "alice@example.org",
        "totp_enabled": False,
        "email_verified": False,
    }
    assert user.check_password(PASSWORD)
    assert is_token_accepted(body["access"])


def test_invalid_access_token_is_ignored() -> None:
    assert post("auth/register", VALID_REGISTRATION, access="nonsense").status_code == 201


def test_username_is_lowered_and_stripped() -> None:
    assert register(username=" Alice_B.9\n").json()["user"]["username"] == "alice_b.9"


def test_unknown_fields_are_ignored() -> None:
    register(is_staff=True, is_superuser=True, follower_count=9)
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.follower_count) == (False, False, 0)


@pytest.mark.parametrize("username", ["abc", "a" * 30, "...", "a.b_c", "007"])
def test_valid_usernames(username: str) -> None:
    assert register(username=username).status_code == 201


@pytest.mark.parametrize(
    "username",
    [
        *(..., None, "", "  ", "ab", "a" * 31, "with blank", "a-b", "été", "\u212aelvin", "alice@x", "а1іce"),
        *("👩‍👩‍👧‍👦abc", "<script>", "a/b", "\u202ealice", 12345, True, 1.5, ["alice"], {"a": "b"}),
    ],
)
def test_invalid_usernames_are_400(username: Any) -> None:
    error = assert_error(register(username=username), 400)
    assert error["attr"] == "username"
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "email", [..., None, "", "alice", "@", "a@b", "a b@example.org", "x" * 250 + "@e.org", 5, True, [], {}]
)
def test_invalid_emails_are_400(email: Any) -> None:
    assert assert_error(register(email=email), 400)["attr"] == "email"


@pytest.mark.parametrize(
    ("password", "code"),
    [
        (..., "required"),
        (None, "null"),
        ("", "blank"),
        ("short", "password_too_short"),
        ("83920174652", "password_entirely_numeric"),
        ("password1", "password_too_common"),
        ("alice@example", "password_too_similar"),
        ("x" * 1_025, "max_length"),
        (1234567890, "invalid"),
        ([PASSWORD], "invalid"),
    ],
)
def test_weak_passwords_are_400(password: Any, code: str) -> None:
    assert assert_error(register(password=password), 400, code)["attr"] == "password"


def test_password_is_not_normalized() -> None:
    password = "  blanks\tand Ünïcode 👩‍👩‍👧‍👦  "
    register(password=password)
    assert User.objects.get().check_password(password)


@pytest.mark.parametrize("username", ["alice", "ALICE", "aLiCe"])
def test_taken_username_in_any_case_is_400(username: str) -> None:
    UserFactory(username="alice")
    assert assert_error(register(username=username), 400, "unique")["attr"] == "username"
    assert User.objects.count() == 1


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@EXAMPLE.ORG", "Alice@Example.org"])
@pytest.mark.parametrize("is_verified", [False, True])
def test_a_taken_email_is_a_claim_like_any_other(email: str, is_verified: bool) -> None:
    UserFactory(email="Alice@example.org", email_verified=is_verified)
    answers = []
    for username, address in (("ann", email), ("ben", "Ben@example.org")):
        response = register(username=username, email=address)
        assert response.status_code == 201
        body = response.json()
        assert (body["user"].pop("email"), body["user"].pop("email_verified")) == (
            User.objects.normalize_email(address),
            False,
        )
        answers.append(set(body["user"]))
    assert answers[0] == answers[1]
    assert OutgoingMail.objects.filter(kind=MailKind.VERIFY).count() == 2


def test_a_refused_registration_queues_no_mail() -> None:
    UserFactory(username="alice")
    assert register().status_code == 400
    assert not OutgoingMail.objects.exists()


def test_empty_emails_do_not_conflict() -> None:
    UserFactory.create_batch(2)
    assert register().status_code == 201
