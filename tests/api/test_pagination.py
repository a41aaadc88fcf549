"""Keyset lists: whole, without gaps or repeats, whatever arrives or vanishes; hostile cursors are 400."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries
from rest_framework.exceptions import ValidationError

from accounts.models import User
from instafeed.core.api.pagination.cursors import decode_cursor, decode_text_cursor, encode_cursor, encode_text_cursor
from tests.api.error_shape import assert_error
from tests.factories import UserFactory

pytestmark = [pytest.mark.urls("tests.api.urls"), pytest.mark.django_db]


def page(client: Client, url: str) -> dict[str, Any]:
    answer = client.get(url)
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert set(body) == {"results", "next", "previous"}
    assert body["previous"] is None
    return body


def walk(client: Client, url: str) -> list[list[str]]:
    pages = []
    following: str | None = url
    while following:
        body = page(client, following)
        pages.append(body["results"])
        following = body["next"]
    return pages


def flat(pages: list[list[str]]) -> list[str]:
    return list(chain.from_iterable(pages))


@pytest.mark.parametrize(
    ("rows", "sizes"), [(0, [0]), (1, [1]), (2, [2]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])]
)
@pytest.mark.parametrize("path", ["users", "raw", "oldest", "popular"])
def test_pages_are_full_and_next_is_null_exactly_at_the_end(
    client: Client, path: str, rows: int, sizes: list[int]
) -> None:
    users = UserFactory.create_batch(rows)
    pages = walk(client, f"/api/v1/{path}?limit=3")
    assert [len(results) for results in pages] == sizes
    ids = [str(user.pk) for user in users]
    assert flat(pages) == (ids if path == "oldest" else ids[::-1])


def test_ties_are_ordered_by_the_second_field(client: Client) -> None:
    users = UserFactory.create_batch(9)
    for number, user in enumerate(users):
        User.objects.filter(pk=user.pk).update(follower_count=number // 3)
    ids = [str(user.pk) for user in users]
    assert flat(walk(client, "/api/v1/popular?limit=2")) == ids[::-1]


def test_what_arrives_or_vanishes_in_between_moves_nothing(client: Client) -> None:
    users = UserFactory.create_batch(6)
    first = page(client, "/api/v1/users?limit=2")
    UserFactory.create_batch(3)
    users[4].delete()  # the cursor's own row
    users[5].delete()
    rest = flat(walk(client, first["next"]))
    assert rest == [str(user.pk) for user in users[3::-1]]


def test_next_is_absolute_and_keeps_the_query(client: Client) -> None:
    UserFactory.create_batch(2)
    url = page(client, "/api/v1/users?limit=1&search=%C3%A9")["next"]
    assert url.startswith("http://testserver/api/v1/users?")
    assert "limit=1" in url
    assert "search=%C3%A9" in url


def test_a_page_is_one_query(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    UserFactory.create_batch(3)
    with django_assert_num_queries(1) as captured:
        page(client, "/api/v1/users?limit=2")
    assert "COUNT" not in captured.captured_queries[0]["sql"]
    assert "OFFSET" not in captured.captured_queries[0]["sql"]


@pytest.mark.parametrize(("raw", "size"), [("", 20), ("?limit=1", 1), ("?limit=007", 7), ("?limit=100", 100)])
def test_the_limit_is_taken(client: Client, raw: str, size: int) -> None:
    User.objects.bulk_create([UserFactory.build() for _ in range(102)])
    assert len(page(client, f"/api/v1/users{raw}")["results"]) == size


@pytest.mark.parametrize("raw", ["101", "5000", "9" * 30, "9" * 5_000])
def test_a_limit_above_100_is_100(client: Client, raw: str) -> None:
    User.objects.bulk_create([UserFactory.build() for _ in range(102)])
    assert len(page(client, f"/api/v1/users?limit={raw}")["results"]) == 100


@pytest.mark.parametrize("raw", ["0", "000", "-1", "", "ten", "1.5", "1e2", "+5", " 5", "５", "٣", "%00", "0x1"])
def test_other_limits_are_400(client: Client, raw: str) -> None:
    error = assert_error(client.get("/api/v1/users", {"limit": raw}), 400, "invalid")
    assert error["attr"] == "limit"


KEY = "0" * 15 + "1"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "x",
        ".",
        "by_id",
        "by_id.",
        "by_id.x",
        "nonsense",
        "é",
        "\0",
        "%",
        "a" * 10_000,
        KEY,
        f".{KEY}",
        f"by_id.{KEY[1:]}",
        f"by_id.0{KEY}",
        f"by_id.{KEY}.{KEY}",
        f"by_id.{KEY}\n",
        f"by_id.{KEY}=",
        f" by_id.{KEY}",
        f"BY_ID.{KEY}",
        f"by_id.{'A' * 16}",
        f"by_id.8{'0' * 15}",
        f"by_id.{'f' * 16}",
        f"by_id.-{KEY[1:]}",
        f"by_id.+{KEY[1:]}",
        f"by_id.{'１' * 16}",
        f"by_id.{'1' * 5_000}",
        encode_cursor("oldest_first", 1),
        encode_cursor("by_followers", 1, 2),
    ],
)
def test_what_is_no_cursor_of_the_list_is_a_400(client: Client, raw: str) -> None:
    error = assert_error(client.get("/api/v1/users", {"cursor": raw}), 400, "invalid_cursor")
    assert error["attr"] == "cursor"


@pytest.mark.parametrize("key", [(0,), (1,), (2**63 - 1,), (1, 2), (3, 4, 5)])
def test_a_cursor_gives_its_key_back(key: tuple[int, ...]) -> None:
    assert decode_cursor("kind", encode_cursor("kind", *key), len(key)) == key


@pytest.mark.parametrize("text", ["", "abc", "Müller.ß", "日本語", "\U0001f600", "a.b", "x" * 250])
def test_a_text_cursor_gives_its_text_back(text: str) -> None:
    assert decode_text_cursor("kind", encode_text_cursor("kind", text)) == text


@pytest.mark.parametrize(
    "raw", ["", "kind", "kind.0", "kind.0g", "kind.AB", "other.61", "kind.61\n", "kind." + "61" * 1_001]
)
def test_what_is_no_text_cursor_is_a_400(raw: str) -> None:
    with pytest.raises(ValidationError):
        decode_text_cursor("kind", raw)


@pytest.mark.parametrize("raw", ["kind.ff", "kind.00", "kind.c080", "kind.eda080"])
def test_a_text_cursor_of_the_right_form_is_harmless_text(raw: str) -> None:
    text = decode_text_cursor("kind", raw)
    assert "\0" not in text
    assert text.encode()
