"""GET /users/{username}."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from accounts.models import CelebrityState
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, MuteFactory, UserFactory
from tests.support.follow_graph import API, NO_RELATIONS, signed_in_client

pytestmark = pytest.mark.django_db


def test_profile_has_all_fields_of_the_contract() -> None:
    ann = UserFactory(
        username="ann",
        email="ann@example.org",
        display_name="Ann",
        bio="Hills.",
        website="https://example.org/",
        celebrity_state=CelebrityState.CELEBRITY,
        post_count=3,
        follower_count=10_000,
        following_count=7,
    )
    response = APIClient().get(f"{API}/users/ann")
    created_at = response.json()["created_at"]
    assert created_at.endswith("Z")
    assert response.json() == {
        "id": str(ann.pk),
        "username": "ann",
        "display_name": "Ann",
        "bio": "Hills.",
        "website": "https://example.org/",
        "avatar_url": None,
        "is_private": False,
        "is_celebrity": True,
        "post_count": 3,
        "follower_count": 10_000,
        "following_count": 7,
        "created_at": created_at,
        "relationship": None,
    }


def test_own_profile_has_no_relationship() -> None:
    ann = UserFactory(username="ann")
    assert signed_in_client(ann).get(f"{API}/users/ann").json()["relationship"] is None


def test_relationship_has_each_field() -> None:
    viewer = UserFactory()
    client = signed_in_client(viewer)
    others = {
        "following": FollowFactory(follower=viewer).followee,
        "requested": FollowRequestFactory(follower=viewer).followee,
        "followed_by": FollowFactory(followee=viewer).follower,
        "blocking": BlockFactory(blocker=viewer).blocked,
        "muting": MuteFactory(muter=viewer).muted,
    }
    for field, other in others.items():
        profile = client.get(f"{API}/users/{other.username}").json()
        assert profile["relationship"] == NO_RELATIONS | {field: True}


def test_follow_shows_in_both_counts_at_the_next_read() -> None:
    ann = UserFactory(username="ann")
    client = signed_in_client(ann)
    UserFactory(username="bob")
    client.post(f"{API}/users/bob/follow")
    bob = client.get(f"{API}/users/bob").json()
    assert (bob["follower_count"], bob["relationship"]["following"]) == (1, True)
    assert client.get(f"{API}/users/ann").json()["following_count"] == 1


def test_profile_is_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    UserFactory(username="ann")
    client = signed_in_client(UserFactory())
    client.get(f"{API}/me")  # authentication caches the account
    for reader in (client, APIClient()):
        with django_assert_num_queries(1):
            assert reader.get(f"{API}/users/ann").status_code == 200


def test_invalid_token_is_refused_on_a_public_path() -> None:
    UserFactory(username="ann")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer nonsense")
    assert client.get(f"{API}/users/ann").status_code == 401


@pytest.mark.parametrize("spelling", ["\u212aate", "\uff4bate", "%20kate", "kate%00", "k\u0131te"])
def test_only_ascii_spellings_find_a_user(spelling: str) -> None:
    UserFactory(username="kate")
    assert APIClient().get(f"{API}/users/KATE").status_code == 200
    assert APIClient().get(f"{API}/users/{spelling}").status_code == 404
