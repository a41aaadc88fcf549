"""Malformed and hostile JSON bodies are a 4xx; valid ones arrive unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from instafeed.core.api.parsers import MAX_DEPTH
from tests.support.error_shape import assert_error

pytestmark = pytest.mark.urls("tests.support.urls")
JSON = "application/json"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": [-1e999]}',
        b'{"a": "\\u0000"}',
        b'{"a": "\x00"}',
        b'{"a\\u0000": 1}',
        b'{"a": [{"b": "\\u0000"}]}',
        b'{"a": "\\ud800"}',
        b'{"a": "\\udc00\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        '{"a": "é"}'.encode("latin-1"),
        '{"a": 1}'.encode("utf-16"),
        b'{"a": ' + b"1" * 5_000 + b"}",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"'single'",
        b'{"a": 1} trailing',
        b"\xef\xbb\xbf{}",
    ],
    ids=range(26),
)
def test_invalid_json_is_a_400(client: Client, body: bytes) -> None:
    assert_error(client.post("/api/v1/echo", body, content_type=JSON), 400, "parse_error")


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        "text",
        5,
        None,
        {"a": "  kept \r\n as it is\t"},
        {"a": "\u202eright to left\u202c", "b": "👩‍👩‍👧‍👦🏳️‍🌈", "c": "Z͑ͫa̴l̵g̸o", "d": "שלום مرحبا"},
        {"backslash": "\\u0000 is not a NUL"},
        {"a": [[[{"b": -1.5e300}]]]},
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_valid_json_arrives_unchanged(client: Client, data: Any, ascii_only: bool) -> None:
    body = json.dumps(data, ensure_ascii=ascii_only).encode()
    response = client.post("/api/v1/echo", body, content_type=JSON)
    assert response.status_code == 200
    assert response.json() == {"got": data}


def test_the_last_value_of_a_repeated_key_counts(client: Client) -> None:
    response = client.post("/api/v1/echo", b'{"a": 1, "a": 2}', content_type=JSON)
    assert response.json() == {"got": {"a": 2}}


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_other_content_types_are_415(client: Client, content_type: str) -> None:
    assert_error(client.post("/api/v1/echo", b"a=1", content_type=content_type), 415, "unsupported_media_type")


def test_the_charset_of_the_content_type_is_ignored(client: Client) -> None:
    body = '{"a": "é"}'.encode()
    for charset in ("utf-8", "latin-1", "no-such-charset"):
        # Not post(): Django's client would encode the body again.
        response = client.generic("POST", "/api/v1/echo", body, content_type=f"{JSON}; charset={charset}")
        assert response.json() == {"got": {"a": "é"}}


def test_a_body_above_the_size_limit_is_a_413(client: Client, settings: Settings) -> None:
    body = b'"%b"' % (b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    assert_error(client.post("/api/v1/echo", body, content_type=JSON), 413, "request_too_large")


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"5", b"null", b"true", b'[{"username": "a"}]'])
@pytest.mark.parametrize("path", ["auth/register", "auth/token", "auth/token/refresh", "auth/logout"])
def test_endpoints_reject_a_body_that_is_not_an_object(client: Client, path: str, body: bytes) -> None:
    assert_error(client.post(f"/api/v1/{path}", body, content_type=JSON), 400)
