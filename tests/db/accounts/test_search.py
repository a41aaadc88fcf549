"""User search by the beginning of usernames and display names."""

from __future__ import annotations

import random
from itertools import product
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from accounts import search, services
from accounts.models import User
from instafeed.core.api.pagination.cursors import encode_text_cursor
from tests.support.factories import BlockFactory, UserFactory
from tests.support.follow_graph import API, NO_RELATIONS, signed_in_client
from tests.support.pages import LAST_PAGE
from tests.support.query_plans import plan_nodes

pytestmark = pytest.mark.django_db

PATH = f"{API}/users"


@pytest.fixture
def viewer() -> User:
    return UserFactory(username="viewer")


@pytest.fixture
def client(viewer: User) -> APIClient:
    return signed_in_client(viewer)


def page(client: APIClient, text: str, **query: Any) -> dict[str, Any]:
    response = client.get(PATH, {"search": text, **query})
    assert response.status_code == 200, response.content
    return response.json()


def search_usernames(client: APIClient, text: str) -> list[str]:
    return [person["username"] for person in page(client, text)["results"]]


def pages(client: APIClient, text: str, limit: int) -> list[list[str]]:
    """The usernames on every page."""
    walked: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        body = page(client, text, limit=limit, **cursor)
        walked.append([person["username"] for person in body["results"]])
        if body["next"] is None:
            return walked
        cursor = {"cursor": parse_qs(urlsplit(body["next"]).query)["cursor"][0]}


def create_user(username: str, display_name: str = "") -> User:
    return UserFactory(username=username, display_name=display_name)


def test_usernames_come_before_display_names(client: APIClient) -> None:
    for username, display_name in (
        ("zoe", "Anna B"),
        ("anna_b", "Anna"),
        ("yan", "anna a"),
        ("anna", ""),
        ("anna.a", "Zoe"),
        ("joanna", "Joanna"),
        ("xan", "ANNA A"),
    ):
        create_user(username, display_name)
    assert search_usernames(client, "anna") == ["anna", "anna.a", "anna_b", "yan", "xan", "zoe"]


def test_results_are_user_summaries(client: APIClient) -> None:
    user = create_user("anna", "Anna")
    assert page(client, "an") == {
        "results": [
            {
                "id": str(user.pk),
                "username": "anna",
                "display_name": "Anna",
                "avatar_url": None,
                "is_celebrity": False,
                "relationship": NO_RELATIONS,
            }
        ],
        **LAST_PAGE,
    }


@pytest.mark.parametrize(
    ("display_name", "text"),
    [
        ("Ann", "ANN"),
        ("Über Uwe", "üBER"),
        ("Groß", "GROSS"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("Οδυσσεύς", "ΟΔΥΣΣΕΎΣ"),
        ("Мария", "мАР"),
        ("Ünal", "ünal"),
        ("אברהם", "אבר"),
        ("محمد", "محم"),
        ("अनन्या", "अन"),
        ("山田太郎", "山田"),
        ("🦊 Fox", "🦊"),
        ("100% Ann", "100%"),
        ("_under", "_"),
        ("back\\slash", "BACK\\"),
        ("Ann", "  ann "),
        # White space around the stored name
        (" \tAnn ", "ann"),
        ("\u3000\xa0Ann", "ann"),
        # Composed and decomposed
        ("\xdcnal", "u\u0308nal"),
        ("U\u0308nal", "\xfcnal"),
        ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
        ("\u1fc3\u03b1", "\u03b7\u0345α"),
        ("a\u0323\u0307b", "a\u0307\u0323b"),
        ("O'Neill; --", "o'neill; --"),
    ],
)
def test_search_ignores_case_composition_and_white_space(client: APIClient, display_name: str, text: str) -> None:
    create_user("zed", display_name)
    assert search_usernames(client, text) == ["zed"]


@pytest.mark.parametrize(
    "text", ["%", "_", "\\", "%nn", "a_n", "'", "🦊", "\u202eann", "ann\u200b", "x" * 10_000, "A" * 31, "\ufffd", "*"]
)
def test_special_characters_are_literal(client: APIClient, text: str) -> None:
    create_user("ann", "Ann")
    assert search_usernames(client, text) == []


@pytest.mark.parametrize("username", ["under_score", "dots.in.it", "0digits"])
def test_username_is_found_by_every_prefix(client: APIClient, username: str) -> None:
    create_user(username)
    for length in range(1, len(username) + 1):
        assert search_usernames(client, username[:length].upper()) == [username]


@pytest.mark.parametrize("query", ["", "search=", "search=%20%09", "search=a%00b", "search=a&limit=0"])
def test_invalid_query_is_400(client: APIClient, query: str) -> None:
    response = client.get(f"{PATH}?{query}")
    assert response.status_code == 400
    assert response.json()["type"] == "validation_error"


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "people_found",
        "people_found.",
        "followers.0000000000000001",
        encode_text_cursor("people_found", "2:1:a"),
        encode_text_cursor("people_found", "0:0:a"),
        encode_text_cursor("people_found", f"1:{2**63}:a"),
        encode_text_cursor("people_found", "1:x:a"),
    ],
)
def test_malformed_cursor_is_400(client: APIClient, cursor: str) -> None:
    response = client.get(PATH, {"search": "a", "cursor": cursor})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("text", ["0:1:b\0", "1:9:\\%_'", f"1:{2**63 - 1}:{'🦊' * 60}"])
def test_forged_cursor_is_harmless(client: APIClient, text: str) -> None:
    create_user("ann", "Ann")
    assert isinstance(page(client, "a", cursor=encode_text_cursor("people_found", text))["results"], list)


def test_token_is_required() -> None:
    assert APIClient().get(PATH, {"search": "a"}).status_code == 401


def test_inactive_and_blocking_users_are_not_found(client: APIClient, viewer: User) -> None:
    create_user("anna", "Anna")
    services.suspend(create_user("anne", "Anne").pk)
    services.suspend(create_user("xan", "Ann").pk)
    BlockFactory(blocker=create_user("anni"), blocked=viewer)
    BlockFactory(blocker=create_user("yan", "Ann"), blocked=viewer)
    BlockFactory(blocker=viewer, blocked=create_user("zan", "Ann"))
    assert search_usernames(client, "ann") == ["anna", "zan"]


def test_reinstatement_and_rename_take_effect_at_once(client: APIClient) -> None:
    user = create_user("anna")
    services.suspend(user.pk)
    assert search_usernames(client, "ann") == []
    services.reinstate(user.pk)
    assert search_usernames(client, "ann") == ["anna"]
    services.update_profile(user.pk, {"username": "berta", "display_name": "Ännchen"})
    assert search_usernames(client, "ann") == []
    assert search_usernames(client, "änn") == ["berta"]


def test_viewers_find_themselves(client: APIClient) -> None:
    assert search_usernames(client, "view") == ["viewer"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
def test_pages_concatenate_to_the_whole_list(client: APIClient, viewer: User, limit: int) -> None:
    """Some users of both halves are hidden, some match twice, and some share a display name."""
    expected = []
    for number in range(6):
        expected.append(create_user(f"ann{number}", "Ann" if number % 2 else "").username)
        BlockFactory(blocker=create_user(f"ann{number}_"), blocked=viewer)
    for number in range(6):
        expected.append(create_user(f"x{number}", "Ann").username)
        BlockFactory(blocker=create_user(f"y{number}", "Ann"), blocked=viewer)
    walked = pages(client, "ann", limit)
    assert [name for names in walked for name in names] == expected
    assert {len(names) for names in walked[:-1]} <= {limit}
    assert walked[-1]


def test_page_is_filled_after_many_hidden_users(client: APIClient, viewer: User) -> None:
    for number in range(3 * search.MIN_BATCH_SIZE):
        BlockFactory(blocker=create_user(f"ann{number:03}"), blocked=viewer)
    create_user("annz")
    assert pages(client, "ann", 1) == [["annz"]]


def test_rows_may_change_between_pages(client: APIClient) -> None:
    for username in ("ann1", "ann3", "ann5"):
        create_user(username)
    first = page(client, "ann", limit=2)
    User.objects.filter(username="ann3").delete()
    for username in ("ann2", "ann4"):
        create_user(username)
    cursor = parse_qs(urlsplit(first["next"]).query)["cursor"][0]
    rest = page(client, "ann", limit=2, cursor=cursor)
    assert [person["username"] for person in rest["results"]] == ["ann4", "ann5"]


def test_query_count_is_constant(client: APIClient, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    client.get(f"{API}/me")  # authentication caches the account
    total = 0
    for more in (1, 24):
        for _ in range(more):
            create_user(f"ann{total}")
            create_user(f"x{total}", "Ann")
            total += 1
        # Usernames, display names, blocks of the viewer, user summaries.
        with django_assert_num_queries(4):
            assert len(page(client, "ann", limit=100)["results"]) == 2 * total
        with django_assert_num_queries(3):
            page(client, "ann", limit=100)
    with django_assert_num_queries(2):  # the usernames fill the page
        page(client, "ann", limit=20)


def walk_pages(text: str, wanted: int) -> tuple[list[search.SearchPosition], list[int]]:
    """Return all positions and the sizes of the pages."""
    walked: list[search.SearchPosition] = []
    sizes: list[int] = []
    last = False
    while not last:
        places, last = search.find_users(text, walked[-1] if walked else None, wanted)
        walked += places
        sizes.append(len(places))
    return walked, sizes


@pytest.mark.parametrize("seed", range(4))
def test_results_match_a_naive_model(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All short usernames of two letters, some without a display name, against a naive model."""
    monkeypatch.setattr(search, "MIN_BATCH_SIZE", 1)
    chance = random.Random(seed)
    usernames = ["".join(letters) for length in range(1, 5) for letters in product("ab", repeat=length)]
    chance.shuffle(usernames)
    users = User.objects.bulk_create(
        User(username=username, display_name="".join(chance.choices("aabbABß ", k=chance.randrange(5))))
        for username in usernames
    )
    for text in ("".join(letters) for length in range(1, 4) for letters in product("ab", repeat=length)):
        by_username = sorted((user for user in users if user.username.startswith(text)), key=lambda user: user.username)
        by_display_name = sorted(
            (user.display_name.strip().casefold(), user.pk)
            for user in users
            if user.display_name.strip().casefold().startswith(text) and user not in by_username
        )
        expected = [search.SearchPosition(False, user.username, user.pk) for user in by_username]
        expected += [search.SearchPosition(True, *place) for place in by_display_name]
        for wanted in (1, 2, 3):
            walked, sizes = walk_pages(text, wanted)
            assert walked == expected, text
            assert set(sizes[:-1]) <= {wanted}


@pytest.mark.parametrize("length", [29, 30, 31, 32, 60])
def test_long_names_are_found_once(client: APIClient, length: int) -> None:
    """A username has 30 characters at most, a display name twice as many."""
    name = "abc" * 20
    create_user(name[:30], name)
    create_user("other", name.upper())
    assert search_usernames(client, name[:length]) == [name[:30], "other"]


def explain_search(text: str, after: search.SearchPosition | None) -> dict[str, Any]:
    """Return the executed plan of the first query for a page of 20, as in a large table."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_user")
        with CaptureQueriesContext(connection) as captured:
            search.find_users(text, after, 20)
        # A sequential scan is cheaper for a small table, but not for a large one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {captured[0]['sql']}")
        return cursor.fetchone()[0][0]["Plan"]


@pytest.mark.parametrize(
    ("after", "steps"),
    [
        (None, ["Limit", "Index Only Scan"]),
        (search.SearchPosition(False, "name7", 1), ["Limit", "Index Only Scan"]),
        # One page for each prefix length, in index order; only these pages are sorted.
        *(
            (
                search.SearchPosition(True, key, 1),
                ["Limit", "Sort", "Nested Loop", "Function Scan", "Limit", "Index Only Scan"],
            )
            for key in ("", "name 7")
        ),
    ],
)
def test_page_is_an_ordered_index_scan(after: search.SearchPosition | None, steps: list[str]) -> None:
    """A third each matches by username, by display name, and by both. The scan must not filter the latter."""
    User.objects.bulk_create(
        User(username=f"{prefix}{number}", display_name=f"{shown} {number}", password="!")
        for number in range(200)
        for prefix, shown in (("user", "Name"), ("name", "User"), ("name.", "Name"))
    )
    plan = list(plan_nodes(explain_search("NAME", after)))
    assert [node["Node Type"] for node in plan] == steps
    scan = plan[-1]
    by_display_name = after is not None and after.by_display_name
    assert scan["Index Name"] == f"user_search_{'display_' if by_display_name else 'user'}name"
    assert ">= 'name'::text" in scan["Index Cond"]
    assert ">= ''" not in scan["Index Cond"]
    assert "> ROW(''" not in scan["Index Cond"]  # the scan would begin at the first name of all
    assert scan.get("Rows Removed by Filter", 0) == 0
    assert round(scan["Actual Rows"] * scan["Actual Loops"]) == 20


def test_page_reads_at_most_one_page_per_prefix_length() -> None:
    """Display names and usernames with common prefixes of 0 to 24 characters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    User.objects.bulk_create(
        User(username=f"{letters[: number % 25]}_{number}", display_name=f"{letters} {number}", password="!")
        for number in range(25 * 40)
    )
    for text, lists in ((letters[:1], 1), (letters[:5], 5), (letters, 26), (2 * letters, 31)):
        scan = list(plan_nodes(explain_search(text, search.SearchPosition(True, "", 0))))[-1]
        assert scan["Actual Loops"] == lists
        assert scan["Actual Rows"] <= 20
        assert scan.get("Rows Removed by Filter", 0) == 0
