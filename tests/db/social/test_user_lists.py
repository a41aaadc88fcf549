"""Lists of users: their contents, pages, cursors and query counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from accounts import services as accounts
from accounts.models import User
from accounts.user_cache import get_user_summaries
from social import services, user_lists
from social.models import Follow
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, MuteFactory, UserFactory
from tests.support.follow_graph import API, NO_RELATIONS, signed_in_client
from tests.support.pages import LAST_PAGE, assert_is_page

pytestmark = pytest.mark.django_db

Add = Callable[[User], User]  # adds one more user to the owner's list

# name: (path, how to add a user, queries for a page)
# Queries: the list's owner if the path names one, the rows, users who block the viewer, uncached summaries.
LISTS: dict[str, tuple[str, Add, int]] = {
    "followers": ("/users/owner/followers", lambda owner: FollowFactory(followee=owner).follower, 4),
    "following": ("/users/owner/following", lambda owner: FollowFactory(follower=owner).followee, 4),
    "requests": ("/me/follow-requests", lambda owner: FollowRequestFactory(followee=owner).follower, 3),
    "blocks": ("/me/blocks", lambda owner: BlockFactory(blocker=owner).blocked, 3),
    "mutes": ("/me/mutes", lambda owner: MuteFactory(muter=owner).muted, 3),
}
# What the owner of the list sees of the users in it.
RELATIONS = {
    "followers": "followed_by",
    "following": "following",
    "requests": None,
    "blocks": "blocking",
    "mutes": "muting",
}
every_list = pytest.mark.parametrize("name", LISTS)


@pytest.fixture
def owner() -> User:
    return UserFactory(username="owner", is_private=True)


def walk(client: APIClient, url: str) -> list[list[str]]:
    """Return the usernames on each page, starting at `url`."""
    pages = []
    while url:
        response = client.get(url)
        assert response.status_code == 200, response.content
        body: dict[str, Any] = response.json()
        assert_is_page(body)
        pages.append([person["username"] for person in body["results"]])
        parts = urlsplit(body["next"] or "")
        url = f"{parts.path}?{parts.query}" if parts.path else ""
    return pages


@every_list
def test_lists_user_summaries_newest_account_first(name: str, owner: User) -> None:
    path, add, _ = LISTS[name]
    relation = RELATIONS[name]
    users = [add(owner) for _ in range(3)]
    UserFactory()
    response = signed_in_client(owner).get(API + path)
    assert response["Content-Type"] == "application/json"
    assert response.json() == {
        "results": [
            {
                "id": str(user.pk),
                "username": user.username,
                "display_name": "",
                "avatar_url": None,
                "is_celebrity": False,
                "relationship": NO_RELATIONS | ({relation: True} if relation else {}),
            }
            for user in reversed(users)
        ],
        **LAST_PAGE,
    }


@every_list
def test_empty_list_is_an_empty_page(name: str, owner: User) -> None:
    assert walk(signed_in_client(owner), API + LISTS[name][0]) == [[]]


@every_list
@pytest.mark.parametrize("length", [4, 5, 6])
def test_pages_are_full_except_the_last(name: str, length: int, owner: User) -> None:
    path, add, _ = LISTS[name]
    names = [add(owner).username for _ in range(length)][::-1]
    pages = walk(signed_in_client(owner), f"{API}{path}?limit=2")
    assert pages == [names[start : start + 2] for start in range(0, length, 2)]


@every_list
def test_inactive_users_and_blockers_are_hidden_from_full_pages(name: str, owner: User) -> None:
    path, add, _ = LISTS[name]
    users = [add(owner) for _ in range(9)]
    for user in users[1:8:3]:
        accounts.suspend(user.pk)
    for user in users[2:9:3]:
        BlockFactory(blocker=user, blocked=owner)
    visible = [user.username for user in users[::3]][::-1]
    assert walk(signed_in_client(owner), f"{API}{path}?limit=2") == [visible[:2], visible[2:]]


def test_page_is_filled_past_many_hidden_users(owner: User) -> None:
    shown = [FollowFactory(followee=owner).follower.username for _ in range(3)][::-1]
    for _ in range(2 * user_lists.MIN_BATCH_SIZE + 5):
        BlockFactory(blocker=FollowFactory(followee=owner).follower, blocked=owner)
    assert walk(signed_in_client(owner), f"{API}/users/owner/followers?limit=2") == [shown[:2], shown[2:]]


@every_list
def test_user_hidden_while_rendering_leaves_no_gap(name: str, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    path, add, _ = LISTS[name]
    users = [add(owner) for _ in range(7)]
    gone = {users[1].pk, users[4].pk, users[5].pk}
    monkeypatch.setattr(
        "social.api.base.get_user_summaries", lambda ids: get_user_summaries(id_ for id_ in ids if id_ not in gone)
    )
    shown = [user.username for user in users if user.pk not in gone][::-1]
    assert walk(signed_in_client(owner), f"{API}{path}?limit=2") == [shown[:2], shown[2:]]


def test_cursor_survives_deletion_of_its_row(owner: User) -> None:
    users = [FollowFactory(followee=owner).follower for _ in range(5)]
    client = signed_in_client(owner)
    first = client.get(f"{API}/users/owner/followers?limit=2").json()
    services.remove_follower(owner.pk, users[3].pk)
    FollowFactory(followee=owner)
    rest = walk(client, first["next"].removeprefix("http://testserver"))
    assert rest == [[user.username for user in (users[2], users[1])], [users[0].username]]


@every_list
def test_query_count_is_constant(name: str, owner: User, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    path, add, queries = LISTS[name]
    client = signed_in_client(owner)
    client.get(f"{API}/me")  # authentication caches the account
    for more in (2, 48):
        for _ in range(more):
            add(owner)
        with django_assert_num_queries(queries):
            assert len(client.get(f"{API}{path}?limit=100").json()["results"]) in (2, 50)
        with django_assert_num_queries(queries - 1):  # the summaries are cached
            client.get(f"{API}{path}?limit=100")


@every_list
def test_cursor_of_another_list_is_rejected(name: str, owner: User) -> None:
    client = signed_in_client(owner)
    for other, (path, add, _) in LISTS.items():
        add(owner), add(owner)
        cursor = client.get(f"{API}{path}?limit=1").json()["next"].partition("cursor=")[2]
        status = client.get(f"{API}{LISTS[name][0]}?cursor={cursor}").status_code
        assert status == (200 if other == name else 400)


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=x", "cursor=x", "cursor="])
def test_invalid_parameters_are_rejected(query: str, owner: User) -> None:
    assert signed_in_client(owner).get(f"{API}/me/mutes?{query}").status_code == 400


@pytest.mark.parametrize("path", ["/me/follow-requests", "/me/blocks", "/me/mutes"])
def test_own_lists_require_authentication(path: str) -> None:
    assert APIClient().get(API + path).status_code == 401


def test_followers_include_the_viewer_and_users_they_block() -> None:
    viewer = UserFactory()
    star = FollowFactory(follower=viewer, followee__username="star").followee
    blocked = FollowFactory(followee=star).follower
    BlockFactory(blocker=viewer, blocked=blocked)
    assert walk(signed_in_client(viewer), f"{API}/users/star/followers") == [[blocked.username, viewer.username]]


@pytest.mark.parametrize("user_list", [user_lists.FOLLOWERS, user_lists.FOLLOWING], ids=lambda item: item.kind)
def test_page_reads_the_index_without_sorting(user_list: user_lists.UserList) -> None:
    users = UserFactory.create_batch(40)
    Follow.objects.bulk_create(Follow(follower=one, followee=other) for one in users for other in users if one != other)
    with CaptureQueriesContext(connection) as captured:
        user_list.fetch_ids(users[20].pk, users[30].pk, 5)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE social_follow")
        # PostgreSQL prefers a sequential scan for such a small table. Force the plan of a large one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute(f"EXPLAIN {captured[0]['sql']}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Index Only Scan Backward using" in plan
    assert "Sort" not in plan
