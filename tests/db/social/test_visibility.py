"""Relationships, the authors of a home feed, and access decisions about users."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import Http404
from pytest_django import DjangoAssertNumQueries

from accounts.models import CelebrityState, User
from social.selectors import Relationship, fetch_relationships, fetch_visible_authors
from social.visibility import can_see_posts, get_visible_user, get_visible_user_and_relationship
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, MuteFactory, UserFactory

pytestmark = pytest.mark.django_db


def user_by_relation(viewer: User) -> dict[str, User]:
    """Create a user for each field of Relationship with only that field true."""
    return {
        "following": FollowFactory(follower=viewer).followee,
        "requested": FollowRequestFactory(follower=viewer).followee,
        "followed_by": FollowFactory(followee=viewer).follower,
        "blocking": BlockFactory(blocker=viewer).blocked,
        "blocked_by": BlockFactory(blocked=viewer).blocker,
        "muting": MuteFactory(muter=viewer).muted,
    }


def test_each_relation_sets_only_its_own_field() -> None:
    viewer = UserFactory()
    others = user_by_relation(viewer)
    found = fetch_relationships(viewer.pk, [user.pk for user in others.values()])
    assert found == {user.pk: Relationship(**{field: True}) for field, user in others.items()}


def test_strangers_and_unknown_ids_have_no_relations() -> None:
    viewer, other = UserFactory(), UserFactory()
    assert fetch_relationships(viewer.pk, [other.pk, 2**60]) == dict.fromkeys([other.pk, 2**60], Relationship())
    assert fetch_relationships(viewer.pk, []) == {}


def test_several_relations_are_combined() -> None:
    viewer, other = UserFactory(), UserFactory()
    FollowFactory(follower=viewer, followee=other)
    FollowFactory(follower=other, followee=viewer)
    MuteFactory(muter=viewer, muted=other)
    assert fetch_relationships(viewer.pk, [other.pk]) == {
        other.pk: Relationship(following=True, followed_by=True, muting=True)
    }


@pytest.mark.parametrize("count", [2, 50])
def test_relationships_are_one_query(count: int, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    viewer = UserFactory()
    others = [FollowFactory(follower=viewer).followee_id for _ in range(count)]
    with django_assert_num_queries(1):
        assert all(relationship.following for relationship in fetch_relationships(viewer.pk, others).values())


def test_visible_authors_are_followees_with_their_celebrity_state() -> None:
    viewer = UserFactory()
    ordinary = FollowFactory(follower=viewer).followee
    star = FollowFactory(follower=viewer, followee__celebrity_state=CelebrityState.CELEBRITY).followee
    FollowFactory(followee=viewer)
    FollowRequestFactory(follower=viewer)
    assert dict(fetch_visible_authors(viewer.pk)) == {
        ordinary.pk: CelebrityState.ORDINARY,
        star.pk: CelebrityState.CELEBRITY,
        viewer.pk: CelebrityState.ORDINARY,
    }


def test_visible_authors_exclude_muted_and_blocked_users() -> None:
    viewer = UserFactory()
    muted, blocked, blocker, visible = (FollowFactory(follower=viewer).followee for _ in range(4))
    MuteFactory(muter=viewer, muted=muted)
    BlockFactory(blocker=viewer, blocked=blocked)
    BlockFactory(blocker=blocker, blocked=viewer)
    MuteFactory(muter=visible, muted=viewer)
    MuteFactory(muted=visible)
    assert {author for author, _ in fetch_visible_authors(viewer.pk)} == {visible.pk, viewer.pk}


@pytest.mark.parametrize("count", [2, 50])
def test_visible_authors_are_one_query(count: int, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    viewer = UserFactory()
    for _ in range(count):
        FollowFactory(follower=viewer)
    with django_assert_num_queries(1):
        assert len(fetch_visible_authors(viewer.pk)) == count + 1


@pytest.mark.parametrize("typed", ["ann.b", "ANN.B", "Ann.b"])
def test_username_lookup_is_case_insensitive(typed: str) -> None:
    ann = UserFactory(username="ann.b")
    assert get_visible_user(None, typed) == ann


@pytest.mark.parametrize("name", ["", "nobody", "a b", "ann\x00", "ann\n", "x" * 5000, "ÅNN", "ann/../ann"])
def test_unknown_usernames_raise_404(name: str) -> None:
    UserFactory(username="ann")
    with pytest.raises(Http404):
        get_visible_user(None, name)


def test_inactive_users_and_blockers_raise_404() -> None:
    viewer = UserFactory()
    for hidden in (UserFactory(is_active=False), BlockFactory(blocked=viewer).blocker):
        with pytest.raises(Http404):
            get_visible_user(viewer.pk, hidden.username)


def test_blocked_and_private_accounts_are_visible() -> None:
    viewer = UserFactory()
    for visible in (BlockFactory(blocker=viewer).blocked, UserFactory(is_private=True)):
        assert get_visible_user(viewer.pk, visible.username) == visible


def test_user_and_relationship_are_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    follow = FollowFactory()
    with django_assert_num_queries(1):
        user, relationship = get_visible_user_and_relationship(follow.follower_id, follow.followee.username)
    assert (user, relationship) == (follow.followee, Relationship(following=True))


def test_no_relationship_to_own_account_or_for_anonymous_viewers() -> None:
    ann = UserFactory()
    assert get_visible_user_and_relationship(ann.pk, ann.username) == (ann, None)
    assert get_visible_user_and_relationship(None, ann.username) == (ann, None)
    assert AnonymousUser().pk is None  # the viewer id of anonymous requests


@pytest.mark.parametrize(
    ("field", "public", "private"),
    [
        ("following", True, True),
        ("requested", True, False),
        ("followed_by", True, False),
        ("blocking", False, False),
        ("blocked_by", False, False),
        ("muting", True, False),
    ],
)
def test_post_visibility_by_relation(field: str, public: bool, private: bool) -> None:
    viewer = UserFactory()
    author = user_by_relation(viewer)[field]
    for is_private, expected in ((False, public), (True, private)):
        author.is_private = is_private
        assert can_see_posts(viewer.pk, author) is expected
        assert can_see_posts(viewer.pk, author, Relationship(**{field: True})) is expected


def test_block_hides_posts_despite_a_follow() -> None:
    follow = FollowFactory()
    BlockFactory(blocker=follow.followee, blocked=follow.follower)
    assert not can_see_posts(follow.follower_id, follow.followee)


def test_post_visibility_of_own_public_and_inactive_accounts() -> None:
    public, private, gone = UserFactory(), UserFactory(is_private=True), UserFactory(is_active=False)
    assert can_see_posts(private.pk, private)
    assert can_see_posts(None, public)
    assert not can_see_posts(None, private)
    assert not can_see_posts(None, gone)
    assert not can_see_posts(public.pk, gone)
