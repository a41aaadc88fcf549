"""GET /users/relationships?ids="""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from accounts import deletion
from accounts import services as accounts
from accounts.models import User
from tests.support.error_shape import assert_error
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, MuteFactory, UserFactory
from tests.support.follow_graph import API, NO_RELATIONS, signed_in_client

pytestmark = pytest.mark.django_db

PATH = f"{API}/users/relationships"


@pytest.fixture
def viewer() -> User:
    return UserFactory()


def test_relationships_in_the_given_order_each_once(viewer: User) -> None:
    relations = {
        FollowFactory(follower=viewer).followee.pk: "following",
        FollowRequestFactory(follower=viewer).followee.pk: "requested",
        FollowFactory(followee=viewer).follower.pk: "followed_by",
        BlockFactory(blocker=viewer).blocked.pk: "blocking",
        MuteFactory(muter=viewer).muted.pk: "muting",
    }
    stranger = UserFactory().pk
    ids = [stranger, *reversed(relations), viewer.pk]
    response = signed_in_client(viewer).get(f"{PATH}?ids={','.join(map(str, [*ids, stranger]))}")
    assert response.json() == [
        {"id": str(stranger), "relationship": NO_RELATIONS},
        *[{"id": str(id_), "relationship": NO_RELATIONS | {relations[id_]: True}} for id_ in reversed(relations)],
        {"id": str(viewer.pk), "relationship": None},
    ]


def test_users_who_are_gone_or_block_the_viewer_are_like_unknown_ones(viewer: User) -> None:
    suspended, deleted, blocker = UserFactory(), UserFactory(), BlockFactory(blocked=viewer).blocker
    FollowFactory(follower=viewer, followee=suspended)
    accounts.suspend(suspended.pk)
    deletion.delete_account(deleted.pk)
    client = signed_in_client(viewer)
    for user_id in (suspended.pk, deleted.pk, blocker.pk, 2**62):
        assert client.get(f"{PATH}?ids={user_id}").content == b"[]"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "required"),
        ("ids=", "invalid"),
        ("ids=1,", "invalid"),
        ("ids=1,x", "invalid"),
        ("ids=-1", "invalid"),
        ("ids=9999999999999999999999", "invalid"),
        ("ids=1%002", "invalid"),
        (f"ids={','.join(map(str, range(1, 102)))}", "max_length"),
    ],
)
def test_invalid_ids_are_refused(viewer: User, query: str, code: str) -> None:
    assert assert_error(signed_in_client(viewer).get(f"{PATH}?{query}"), 400, code)["attr"] == "ids"


def test_a_hundred_ids_cost_as_many_queries_as_one(
    viewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    client = signed_in_client(viewer)
    client.get(f"{API}/me")  # authentication caches the account
    for count in (1, 100):
        ids = [user.pk for user in UserFactory.create_batch(count)]
        with django_assert_num_queries(2):  # relationships, summaries that are not cached
            assert len(client.get(f"{PATH}?ids={','.join(map(str, ids))}").json()) == count


def test_a_token_is_required() -> None:
    assert_error(APIClient().get(f"{PATH}?ids=1"), 401)


@pytest.mark.parametrize("username", ["relationships", "Relationships"])
def test_the_path_is_no_username(viewer: User, username: str) -> None:
    registration = {"username": username, "email": "a@example.org", "password": "a long enough secret"}
    assert (
        assert_error(APIClient().post(f"{API}/auth/register", registration, format="json"), 400, "reserved")["attr"]
        == "username"
    )
    renamed = signed_in_client(viewer).patch(f"{API}/me", {"username": username}, format="json")
    assert assert_error(renamed, 400, "reserved")["attr"] == "username"
