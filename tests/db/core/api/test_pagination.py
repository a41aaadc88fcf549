"""Keyset pagination has no gaps or repeats while rows change, and malformed cursors are a 400."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from rest_framework.exceptions import ValidationError

from accounts.models import User
from instafeed.core.api.pagination.cursors import decode_cursor, decode_text_cursor, encode_cursor, encode_text_cursor
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.pages import assert_is_page

pytestmark = [pytest.mark.urls("tests.support.urls"), pytest.mark.django_db]


def get_page(client: Client, url: str) -> dict[str, Any]:
    response = client.get(url)
    assert response.status_code == 200, response.content
    body = response.json()
    assert_is_page(body)
    return body


def get_all_pages(client: Client, url: str) -> list[list[str]]:
    pages = []
    next_url: str | None = url
    while next_url:
        body = get_page(client, next_url)
        pages.append(body["results"])
        next_url = body["next"]
    return pages


def flatten(pages: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(pages))


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, [0]), (1, [1]), (2, [2]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])]
)
@pytest.mark.parametrize("path", ["users", "oldest"])
def test_pages_are_full_and_the_last_has_no_next(client: Client, path: str, rows: int, sizes: list[int]) -> None:
    users = UserFactory.create_batch(rows)
    pages = get_all_pages(client, f"/api/v1/{path}?limit=3")
    assert [len(results) for results in pages] == sizes
    ids = [str(user.pk) for user in users]
    assert flatten(pages) == (ids if path == "oldest" else ids[::-1])


def test_rows_added_or_deleted_in_between_shift_nothing(client: Client) -> None:
    users = UserFactory.create_batch(6)
    first = get_page(client, "/api/v1/users?limit=2")
    UserFactory.create_batch(3)
    users[4].delete()  # the cursor's own row
    users[5].delete()
    rest = flatten(get_all_pages(client, first["next"]))
    assert rest == [str(user.pk) for user in users[3::-1]]


def test_next_cursor_leads_to_the_same_page_as_next(client: Client) -> None:
    UserFactory.create_batch(5)
    first = get_page(client, "/api/v1/users?limit=2")
    assert isinstance(first["next_cursor"], str)
    by_cursor = get_page(client, f"/api/v1/users?limit=2&cursor={first['next_cursor']}")
    assert by_cursor == get_page(client, first["next"])
    last = get_page(client, f"/api/v1/users?limit=2&cursor={by_cursor['next_cursor']}")
    assert (len(last["results"]), last["next"], last["next_cursor"]) == (1, None, None)


def test_next_is_an_absolute_url_with_the_query(client: Client) -> None:
    UserFactory.create_batch(2)
    url = get_page(client, "/api/v1/users?limit=1&search=%C3%A9")["next"]
    assert url.startswith("http://testserver/api/v1/users?")
    assert "limit=1" in url
    assert "search=%C3%A9" in url


def test_a_page_is_one_query(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    UserFactory.create_batch(3)
    with django_assert_num_queries(1) as captured:
        get_page(client, "/api/v1/users?limit=2")
    assert "COUNT" not in captured.captured_queries[0]["sql"]
    assert "OFFSET" not in captured.captured_queries[0]["sql"]


@pytest.mark.parametrize(("raw", "size"), [("", 20), ("?limit=1", 1), ("?limit=007", 7), ("?limit=100", 100)])
def test_the_limit_sets_the_page_size(client: Client, raw: str, size: int) -> None:
    User.objects.bulk_create([UserFactory.build() for _ in range(102)])
    assert len(get_page(client, f"/api/v1/users{raw}")["results"]) == size


@pytest.mark.parametrize("raw", ["101", "5000", "9" * 30, "9" * 5_000])
def test_a_limit_above_100_counts_as_100(client: Client, raw: str) -> None:
    User.objects.bulk_create([UserFactory.build() for _ in range(102)])
    assert len(get_page(client, f"/api/v1/users?limit={raw}")["results"]) == 100


@pytest.mark.parametrize("raw", ["0", "000", "-1", "", "ten", "1.5", "1e2", "+5", " 5", "５", "٣", "%00", "0x1"])
def test_invalid_limits_are_a_400(client: Client, raw: str) -> None:
    error = assert_error(client.get("/api/v1/users", {"limit": raw}), 400, "invalid")
    assert error["attr"] == "limit"


KEY = "0" * 15 + "1"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "x",
        ".",
        "newest",
        "newest.",
        "newest.x",
        "nonsense",
        "é",
        "\0",
        "%",
        "a" * 10_000,
        KEY,
        f".{KEY}",
        f"newest.{KEY[1:]}",
        f"newest.0{KEY}",
        f"newest.{KEY}.{KEY}",
        f"newest.{KEY}\n",
        f"newest.{KEY}=",
        f" newest.{KEY}",
        f"NEWEST.{KEY}",
        f"newest.{'A' * 16}",
        f"newest.8{'0' * 15}",
        f"newest.{'f' * 16}",
        f"newest.-{KEY[1:]}",
        f"newest.+{KEY[1:]}",
        f"newest.{'１' * 16}",
        f"newest.{'1' * 5_000}",
        encode_cursor("oldest", 1),
        encode_cursor("newest", 1, 2),
    ],
)
def test_invalid_cursors_are_a_400(client: Client, raw: str) -> None:
    error = assert_error(client.get("/api/v1/users", {"cursor": raw}), 400, "invalid_cursor")
    assert error["attr"] == "cursor"


@pytest.mark.parametrize("key", [(0,), (1,), (2**63 - 1,), (1, 2), (3, 4, 5)])
def test_a_cursor_decodes_to_its_key(key: tuple[int, ...]) -> None:
    assert decode_cursor("kind", encode_cursor("kind", *key), len(key)) == key


@pytest.mark.parametrize("text", ["", "abc", "Müller.ß", "日本語", "\U0001f600", "a.b", "x" * 250])
def test_a_text_cursor_decodes_to_its_text(text: str) -> None:
    assert decode_text_cursor("kind", encode_text_cursor("kind", text)) == text


@pytest.mark.parametrize(
    "raw", ["", "kind", "kind.0", "kind.0g", "kind.AB", "other.61", "kind.61\n", "kind." + "61" * 1_001]
)
def test_invalid_text_cursors_are_rejected(raw: str) -> None:
    with pytest.raises(ValidationError):
        decode_text_cursor("kind", raw)


@pytest.mark.parametrize("raw", ["kind.ff", "kind.00", "kind.c080", "kind.eda080"])
def test_a_forged_text_cursor_decodes_to_safe_text(raw: str) -> None:
    text = decode_text_cursor("kind", raw)
    assert "\0" not in text
    assert text.encode()
