"""GET and PATCH /me"""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.signals import privacy_changed
from tests.db.accounts.auth_client import PASSWORD, get, patch, start_session
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.pictures import ready_media

pytestmark = pytest.mark.django_db

NAUGHTY_STRINGS = [
    "  blanks around  ",
    "line\r\nbreaks\n\n\tand tabs",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇺🇳 ❤️",
    "\u202eright to left\u202c שלום مرحبا بالعالم",
    "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮",
    "<script>alert('xss')</script>&amp;",
    "'; DROP TABLE users; --",
    "\\u0000 %00 %s {0} {{x}} ${y}",
    "\ufeff\u200b\u2028\u2029\u00a0",
    "\x01\x02\x7f\x80",
    "ﷺ 田中さんにあげて下さい 𝓽𝓮𝔁𝓽",
    "",
]


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="alice@example.org", password=PASSWORD, avatar_path="avatars/a b.jpg")


@pytest.fixture
def access(alice: User) -> str:
    return start_session(alice).access


def test_get_returns_own_profile(alice: User, access: str) -> None:
    body = get("me", access).json()
    assert set(body) == {
        *("id", "username", "display_name", "bio", "website", "avatar_url", "is_private", "is_celebrity"),
        *("post_count", "follower_count", "following_count", "created_at", "relationship", "email", "totp_enabled"),
        "email_verified",
    }
    assert body["id"] == str(alice.pk)
    assert body["email"] == "alice@example.org"
    assert body["relationship"] is None
    assert body["created_at"].endswith("Z")


def test_avatar_url_is_absolute_if_public_url_is_set(access: str, settings: Settings) -> None:
    assert get("me", access).json()["avatar_url"] == "/files/avatars/a%20b.jpg"
    settings.PUBLIC_URL = "https://example.org"
    assert get("me", access).json()["avatar_url"] == "https://example.org/files/avatars/a%20b.jpg"


@pytest.mark.parametrize("method", [get, lambda path, access: patch(path, {}, access)])
@pytest.mark.parametrize(("access", "code"), [(None, "not_authenticated"), ("nonsense", "token_not_valid")])
def test_token_is_required(method: Any, access: str | None, code: str) -> None:
    response = method("me", access)
    assert_error(response, 401, code)
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_patch_changes_only_given_fields(alice: User, access: str) -> None:
    before = get("me", access).json()
    changes = {
        "username": "Alicia",
        "display_name": "Alicia",
        "bio": "hello",
        "website": "https://example.org/~alicia?a=b#c",
        "is_private": True,
    }
    response = patch("me", changes, access)
    assert response.status_code == 200
    expected = {**before, **changes, "username": "alicia"}
    assert response.json() == expected
    assert get("me", access).json() == expected


def test_empty_patch_changes_nothing(access: str) -> None:
    before = get("me", access).json()
    assert patch("me", {}, access).json() == before


def test_unknown_and_read_only_fields_are_ignored(access: str) -> None:
    before = get("me", access).json()
    changes = {"id": "1", "follower_count": 9, "is_celebrity": True, "is_staff": True, "created_at": None, "x": {}}
    changes |= {"email": "new@example.org", "email_verified": True}
    assert patch("me", changes, access).json() == before
    assert not User.objects.get().is_staff


@pytest.mark.parametrize("field", ["bio", "display_name"])
@pytest.mark.parametrize("text", NAUGHTY_STRINGS, ids=range(len(NAUGHTY_STRINGS)))
def test_text_is_stored_unchanged(access: str, field: str, text: str) -> None:
    assert patch("me", {field: text[:60]}, access).json()[field] == text[:60]
    assert get("me", access).json()[field] == text[:60]


@pytest.mark.parametrize(("field", "length"), [("bio", 500), ("display_name", 60)])
def test_lengths_are_counted_in_characters(access: str, field: str, length: int) -> None:
    assert patch("me", {field: "😀" * length}, access).status_code == 200
    assert_error(patch("me", {field: "😀" * (length + 1)}, access), 400, "max_length")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *product(("display_name", "bio", "website"), (None, 5, True, [], {})),
        *product(["is_private"], (None, "true", "yes", 0, 1, "", [], {})),
        *product(["username"], (None, "", "ab", "a" * 31, "a b", "été", 5, [])),
        *product(["website"], ("nonsense", "javascript:alert(1)", "ftp://e.org", "http://", "data:,x")),
        ("website", "https://example.org/" + "x" * 200),
        ("website", "https://exa mple.org"),
    ],
)
def test_invalid_value_is_400_and_changes_nothing(access: str, field: str, value: Any) -> None:
    before = get("me", access).json()
    error = assert_error(patch("me", {"bio": "new", field: value}, access), 400)
    assert error["attr"] == field
    assert get("me", access).json() == before


def test_taken_username_is_400(access: str) -> None:
    UserFactory(username="bob")
    error = assert_error(patch("me", {"username": "BOB"}, access), 400, "unique")
    assert error["attr"] == "username"


def test_own_username_is_accepted(access: str) -> None:
    assert patch("me", {"username": "ALICE"}, access).status_code == 200


@pytest.mark.parametrize("body", [[], "text", 5, None])
def test_non_object_body_is_400(access: str, body: Any) -> None:
    assert_error(patch("me", body, access), 400)


def test_privacy_changed_is_sent_only_on_change(alice: User, access: str) -> None:
    received: list[tuple[int, bool]] = []

    def receive(sender: Any, user_id: int, is_private: bool, **_: Any) -> None:
        received.append((user_id, is_private))

    privacy_changed.connect(receive)
    try:
        patch("me", {"is_private": True}, access)
        patch("me", {"is_private": True, "bio": "x"}, access)
        patch("me", {"is_private": False}, access)
    finally:
        privacy_changed.disconnect(receive)
    assert received == [(alice.pk, True), (alice.pk, False)]


def test_new_username_is_visible_to_next_request(alice: User, access: str) -> None:
    patch("me", {"username": "alicia"}, access)
    assert get("me", access).json()["username"] == "alicia"


def test_set_and_remove_avatar(alice: User, access: str) -> None:
    picture = ready_media(alice)
    url = patch("me", {"avatar": str(picture.pk)}, access).json()["avatar_url"]
    assert re.search(r"/avatars/[\w-]+\.webp$", url)
    assert patch("me", {"bio": "x"}, access).json()["avatar_url"] == url
    assert patch("me", {"avatar": None}, access).json()["avatar_url"] is None


def test_unknown_or_foreign_picture_is_404(alice: User, access: str) -> None:
    before = alice.avatar_path, alice.bio
    foreign = ready_media(UserFactory())
    for unknown in (str(foreign.pk), "12345"):
        assert_error(patch("me", {"avatar": unknown, "bio": "changed"}, access), 404)
    malformed: object
    for malformed in (foreign.pk, "x", "", [], True):
        assert_error(patch("me", {"avatar": malformed, "bio": "changed"}, access), 400)
    alice.refresh_from_db()
    assert (alice.avatar_path, alice.bio) == before
