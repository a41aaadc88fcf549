"""Hostile bodies and texts for every endpoint: refused with a well-formed 4xx, or stored and returned unchanged.

A new endpoint needs one line in ENDPOINTS; `test_every_endpoint_is_covered` fails without it.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import get_resolver
from rest_framework.viewsets import ViewSetMixin

from accounts import sessions
from posts import services
from tests.db.core.api.naughty_strings import BLANK_STRINGS, LONG_STRINGS, NAUGHTY_STRINGS, UNSTORABLE_STRINGS
from tests.support.client_response import ClientResponse
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.pictures import ready_media
from tests.support.push_service import Browser, new_private_key

pytestmark = [pytest.mark.django_db, pytest.mark.urls("instafeed.urls")]
JSON = "application/json"
PASSWORD = "correct horse battery"
Call = Callable[..., ClientResponse]
SUBSCRIPTION = Browser("https://fcm.googleapis.com/fcm/send/1", "").subscription


@dataclass(frozen=True)
class Endpoint:
    """A write endpoint. The path may contain {post}, {comment} or {other}; `body` is a valid body."""

    method: str
    path: str
    body: dict[str, Any] | None = None  # None: the body is ignored

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


ENDPOINTS = [
    Endpoint(
        *("POST", "auth/register"),
        {
            "username": "newcomer",
            "email": "new@example.com",
            "password": PASSWORD,
            "invite": "a",
            "captcha": "a",
            "birth_date": "1990-01-31",
        },
    ),
    Endpoint("POST", "auth/token", {"username": "hostile", "password": PASSWORD}),
    Endpoint("POST", "auth/token/refresh", {"refresh": "a.b.c"}),
    Endpoint("PUT", "auth/session", {"refresh": "a.b.c"}),
    Endpoint("POST", "auth/session"),
    Endpoint("DELETE", "auth/session"),
    Endpoint("POST", "auth/logout", {"refresh": "a.b.c"}),
    Endpoint("POST", "auth/password", {"current_password": PASSWORD, "new_password": PASSWORD + "2"}),
    Endpoint(
        *("PATCH", "me"),
        {"display_name": "a", "bio": "b", "website": "https://a.example", "is_private": True, "username": "hostile2"},
    ),
    Endpoint("POST", "auth/email/verify", {"token": "x"}),
    Endpoint("POST", "auth/email/resend"),
    Endpoint("POST", "auth/password/reset", {"email": "a@example.com"}),
    Endpoint("POST", "auth/password/reset/confirm", {"token": "x", "new_password": PASSWORD}),
    Endpoint("POST", "me/email", {"email": "a@example.com", "current_password": PASSWORD}),
    Endpoint("POST", "me/totp", {"current_password": PASSWORD}),
    Endpoint("POST", "me/totp/confirm", {"code": "000000"}),
    Endpoint("DELETE", "me/totp", {"current_password": PASSWORD, "code": "000000"}),
    Endpoint("DELETE", "me/sessions/{post}"),
    Endpoint("DELETE", "me/sessions"),
    Endpoint("DELETE", "me", {"password": "not the password"}),
    Endpoint("POST", "me/exports"),
    Endpoint("POST", "posts", {"caption": "hello", "media": []}),
    Endpoint("PATCH", "posts/{post}", {"caption": "hello"}),
    Endpoint("POST", "posts/{post}/comments", {"text": "hello", "reply_to": None}),
    Endpoint("POST", "media"),
    Endpoint("POST", "media/uploads", {"filename": "a.jpg", "content_type": "image/jpeg", "size": 1, "alt_text": ""}),
    Endpoint("POST", "media/{post}/complete"),
    Endpoint("PATCH", "media/{media}", {"alt_text": "a"}),
    Endpoint("DELETE", "media/{post}"),
    Endpoint("POST", "reports", {"target_type": "post", "target_id": "{post}", "reason": "spam", "note": ""}),
    Endpoint("POST", "notifications/read", {"up_to": "1"}),
    Endpoint("DELETE", "notifications/{post}"),
    Endpoint("PATCH", "me/preferences", {"notifications": {"like": {"push": False}}}),
    Endpoint("POST", "push/subscriptions", {name: SUBSCRIPTION[name] for name in ("endpoint", "keys")}),
    Endpoint("DELETE", "push/subscriptions"),  # the body is optional
    *(Endpoint(method, f"posts/{{post}}/{what}") for what in ("like", "save") for method in ("POST", "DELETE")),
    *(Endpoint(method, "comments/{comment}/like") for method in ("POST", "DELETE")),
    *(
        Endpoint(method, f"users/{{other}}/{what}")
        for what in ("follow", "block", "mute")
        for method in ("POST", "DELETE")
    ),
    *(Endpoint("POST", f"me/follow-requests/{{other}}/{what}") for what in ("accept", "reject")),
    Endpoint("DELETE", "me/followers/{other}"),
    Endpoint("DELETE", "comments/{comment}"),
    Endpoint("DELETE", "posts/{post}"),
]


@pytest.fixture(autouse=True)
def push_is_on(settings: Any) -> None:
    settings.VAPID_PRIVATE_KEY = new_private_key()


ENDPOINTS_WITH_BODY = [endpoint for endpoint in ENDPOINTS if endpoint.body is not None]

HOSTILE_BODIES = {
    "nothing": b"",
    "blanks": b" \n ",
    "nested arrays": b"[" * 100_000,
    "nested arrays, closed": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nested in a field": b'{"caption": ' + b"[" * 500_000,
    "no JSON": b"hello",
    "half": b'{"caption": "x',
    "twice": b'{"caption": "x"}{"caption": "y"}',
    "comment": b'{"caption": "x" /* y */}',
    "single quotes": b"{'caption': 'x'}",
    "array": b'[{"caption": "x", "text": "x", "username": "x"}]',
    "text": b'"caption"',
    "number": b"1",
    "true": b"true",
    "null": b"null",
    "NaN": b'{"caption": NaN}',
    "infinity": b'{"caption": -Infinity}',
    "1e999": b'{"caption": 1e999}',
    "-1e999": b'{"caption": -1e999}',
    "10^400": b'{"caption": 1' + b"0" * 400 + b"}",
    "10^5000": b'{"caption": 1' + b"0" * 5_000 + b"}",
    "NUL": b'{"caption": "\x00"}',
    "escaped NUL": b'{"caption": "\\u0000", "text": "\\u0000"}',
    "NUL in a key": b'{"\\u0000": 1}',
    "lone surrogate": b'{"caption": "\\ud800"}',
    "lone surrogate in a key": b'{"\\udc00": 1}',
    "no UTF-8": b'{"caption": "\xff\xfe"}',
    "overlong UTF-8": b'{"caption": "\xc0\x80"}',
    "surrogate in UTF-8": b'{"caption": "\xed\xa0\x80"}',
    "UTF-16": '{"caption": "x", "text": "x"}'.encode("utf-16"),
    "UTF-32": '{"caption": "x", "text": "x"}'.encode("utf-32"),
    "BOM": b'\xef\xbb\xbf{"caption": "x", "text": "x"}',
    "gzip": gzip.compress(b'{"caption": "x", "text": "x"}'),
    "1 MB": b'{"caption": "' + b"x" * 1024 * 1024 + b'"}',
    "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(90_000)) + b"}",
    "one key, many times": b"{" + b",".join([b'"caption":[]'] * 70_000) + b"}",
}
IGNORED_BY_PATCH = {"nothing", "many keys"}  # a PATCH ignores unknown fields
UNEXPECTED_BODIES = [b"", b" \n ", b"[]", b"{", b"\x00", HOSTILE_BODIES["nested arrays"], HOSTILE_BODIES["1 MB"]]
WRONG_TYPES: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, -0.0, 2**63, -(2**63) - 1, 10**400, 1e308),
    *([], [[]], [None], ["x"], [1, 2], ["1"] * 1_000, {}, {"": ""}, {"id": "1"}, [{"id": 1}]),
    *("", " ", "0", "-1", "1.0", "9" * 400, "٣", "１", "1\n", "null", "true", "x" * 10_000, "\u202e", "%00", "../.."),
]


@pytest.fixture
def call() -> Call:
    """Return a function that sends a body as a user with a post and a comment."""
    user, other = UserFactory(username="hostile", password=PASSWORD), UserFactory()
    post = services.create_post(user.pk, "the first")
    comment = services.create_comment(user.pk, post.pk, user.pk, "well", None)
    media = ready_media(user)
    names = {"{post}": str(post.pk), "{comment}": str(comment.pk), "{other}": other.username, "{media}": str(media.pk)}
    client = Client(headers={"Authorization": f"Bearer {sessions.start(user).access}"})

    def send(method: str, path: str, body: Any = b"", content_type: str = JSON, **headers: str) -> ClientResponse:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        for name, value in names.items():
            path, raw = path.replace(name, value), raw.replace(name.encode(), value.encode())
        return client.generic(method, f"/api/v1/{path}", raw, content_type, headers=headers)

    return send


def assert_refused(response: ClientResponse, what: object) -> None:
    assert 400 <= response.status_code < 500, f"{what}: {response.status_code} {response.content[:200]!r}"
    assert_error(response, response.status_code)


def assert_no_server_error(response: ClientResponse, what: object) -> None:
    assert response.status_code < 500, f"{what}: {response.status_code} {response.content[:200]!r}"
    if response.status_code >= 400:
        assert_refused(response, what)


@pytest.mark.parametrize("endpoint", ENDPOINTS_WITH_BODY, ids=str)
def test_hostile_bodies_are_refused(endpoint: Endpoint, call: Call) -> None:
    assert endpoint.body is not None
    field = next(iter(endpoint.body)).encode()
    for name, body in HOSTILE_BODIES.items():
        response = call(endpoint.method, endpoint.path, body.replace(b'"caption"', b'"%b"' % field))
        if endpoint.method == "PATCH" and name in IGNORED_BY_PATCH:
            assert_no_server_error(response, name)
        else:
            assert_refused(response, name)


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in ENDPOINTS if endpoint.body is None], ids=str)
def test_unexpected_bodies_cause_no_server_error(endpoint: Endpoint, call: Call) -> None:
    for body in UNEXPECTED_BODIES:
        for content_type in (JSON, "multipart/form-data", ""):
            assert_no_server_error(call(endpoint.method, endpoint.path, body, content_type), body[:20])


@pytest.mark.parametrize("endpoint", ENDPOINTS_WITH_BODY, ids=str)
def test_wrong_types_cause_no_server_error(endpoint: Endpoint, call: Call) -> None:
    assert endpoint.body is not None
    for field in endpoint.body:
        for value in WRONG_TYPES:
            assert_no_server_error(call(endpoint.method, endpoint.path, endpoint.body | {field: value}), (field, value))
            assert_no_server_error(call(endpoint.method, endpoint.path, {field: value}), (field, value, "alone"))


@pytest.mark.parametrize("endpoint", ENDPOINTS_WITH_BODY, ids=str)
def test_text_fields_refuse_numbers_and_collections(endpoint: Endpoint, call: Call) -> None:
    assert endpoint.body is not None
    for field in (field for field, value in endpoint.body.items() if isinstance(value, str)):
        for value in (1, 1.5, 10**400, True, [], ["x"], {}, {"a": "b"}, None):
            assert_refused(call(endpoint.method, endpoint.path, endpoint.body | {field: value}), (field, value))


@pytest.mark.parametrize("endpoint", ENDPOINTS_WITH_BODY, ids=str)
def test_error_size_does_not_depend_on_the_input(endpoint: Endpoint, call: Call) -> None:
    assert endpoint.body is not None
    big_object: dict[str, list[str]] = {str(number): [] for number in range(5_000)}
    values: list[object] = [["x"] * 5_000, [{}] * 5_000, big_object, "x" * 50_000]
    for field in endpoint.body:
        for value in values:
            response = call(endpoint.method, endpoint.path, endpoint.body | {field: value})
            assert_refused(response, field)
            assert len(response.content) < 1_000, field


@pytest.mark.parametrize("endpoint", ENDPOINTS_WITH_BODY, ids=str)
def test_unstorable_text_is_refused(endpoint: Endpoint, call: Call) -> None:
    assert endpoint.body is not None
    for field in endpoint.body:
        for text in UNSTORABLE_STRINGS:
            assert_refused(call(endpoint.method, endpoint.path, endpoint.body | {field: text}), (field, text))


@pytest.mark.parametrize("endpoint", ENDPOINTS_WITH_BODY, ids=str)
def test_other_content_types_are_refused(endpoint: Endpoint, call: Call) -> None:
    body = json.dumps(endpoint.body).encode()
    types = ["text/plain", "text/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "/"]
    for content_type in [*types, "application/json-patch", "multipart/form-data", "a" * 5_000, "text/html; charset=x"]:
        assert_refused(call(endpoint.method, endpoint.path, body, content_type), content_type)
    for encoding in ("gzip", "br", "nonsense"):
        sent = gzip.compress(body)
        assert_refused(call(endpoint.method, endpoint.path, sent, **{"Content-Encoding": encoding}), encoding)


def test_last_of_repeated_keys_wins(call: Call) -> None:
    assert call("POST", "posts", b'{"caption": 1, "caption": "last"}').json()["caption"] == "last"
    assert_refused(call("POST", "posts", b'{"caption": "first", "caption": 1}'), "last")


@dataclass(frozen=True)
class TextField:
    """A stored text field, and where it is read back: one resource, or a list of all stored ones."""

    method: str
    path: str
    name: str
    length: int  # characters
    read_path: str
    may_be_blank: bool = False
    step: int = 1  # test every n-th string


TEXT_FIELDS = [
    TextField("POST", "posts", "caption", 2_200, "users/hostile/posts", step=2),
    TextField("PATCH", "posts/{post}", "caption", 2_200, "posts/{post}", step=5),
    TextField("POST", "posts/{post}/comments", "text", 1_000, "posts/{post}/comments", step=2),
    TextField("PATCH", "me", "bio", 500, "users/hostile", may_be_blank=True, step=5),
    TextField("PATCH", "me", "display_name", 60, "me", may_be_blank=True, step=5),
]


@pytest.mark.parametrize("field", TEXT_FIELDS, ids=lambda field: f"{field.path} {field.name}")
def test_stored_texts_are_returned_unchanged(field: TextField, call: Call) -> None:
    written = {}
    for text in [
        *NAUGHTY_STRINGS[:: field.step],
        *BLANK_STRINGS,
        *LONG_STRINGS,
        "x" * field.length,
        "👩" * field.length,
        "x" * (field.length + 1),
    ]:
        response = call(field.method, field.path, {field.name: text})
        if len(text) > field.length or not (field.may_be_blank or text.strip()):
            assert_refused(response, text[:50])
            continue
        assert response.status_code in (200, 201), (text[:50], response.content)
        assert response.json()[field.name] == text
        if field.method == "PATCH":
            assert call("GET", field.read_path).json()[field.name] == text
        written[response.json()["id"]] = text
    if field.method == "POST":
        stored = {row["id"]: row[field.name] for row in iterate_list(call, field.read_path)}
        assert {id_: stored.get(id_) for id_ in written} == written


def iterate_list(call: Call, path: str) -> Iterator[dict[str, Any]]:
    url = f"{path}?limit=100"
    while url:
        page = call("GET", url).json()
        yield from page["results"]
        url = (page["next"] or "").removeprefix("http://testserver/api/v1/")


TEXT_PATHS = [
    *("users?search={}", "hashtags?search={}", "hashtags/{}/posts", "users/{}", "users/{}/posts", "posts/{}"),
    *("feed?cursor={}", "feed?limit={}", "feed/unread-count?since={}", "posts/{{post}}/comments?cursor={}"),
    *("notifications?cursor={}", "notifications?kind={}", "me/saved?cursor={}", "explore?cursor={}"),
    *("users/hostile/followers?cursor={}", "users/relationships?ids={}", "media/{}", "me/exports/{}"),
]


@pytest.mark.parametrize("path", TEXT_PATHS)
def test_naughty_strings_in_urls_cause_no_server_error(path: str, call: Call) -> None:
    number = TEXT_PATHS.index(path)
    texts = [*NAUGHTY_STRINGS[number % 4 :: 4], *BLANK_STRINGS, *UNSTORABLE_STRINGS]  # each string in at least one path
    escaped = [quote(text, safe="", errors="surrogatepass") for text in texts]
    for text in [*escaped, "%ff", "%ed%a0%80", "%", "%zz", "x" * 7_000]:
        assert_no_server_error(call("GET", path.format(text)), path.format(text))


def iterate_routes(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from iterate_routes(pattern.url_patterns, path)
        elif path.startswith("api/v1/") and hasattr(pattern.callback, "cls"):
            yield path.removeprefix("api/v1/"), pattern.callback


def test_every_endpoint_is_covered() -> None:
    def shape(path: str) -> str:
        return "/".join("*" if part[0] in "<{" else part for part in path.split("/"))

    there = {
        f"{method} {shape(path)}"
        for path, view in iterate_routes(get_resolver().url_patterns)
        if not issubclass(view.cls, ViewSetMixin)  # the read-only feed
        for method in ("POST", "PUT", "PATCH", "DELETE")
        if hasattr(view.cls, method.lower())
    }
    assert len(there) > 20
    assert there - {f"{endpoint.method} {shape(endpoint.path)}" for endpoint in ENDPOINTS} == set()
