"""Relationships, whose posts are in a feed, and who may see whom."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import Http404
from pytest_django import DjangoAssertNumQueries

from accounts.models import CelebrityState, User
from social.selectors import Relationship, fetch_relationships, fetch_visible_authors
from social.visibility import can_see_posts, get_visible_user, get_visible_user_and_relationship
from tests.factories import BlockFactory, FollowFactory, FollowRequestFactory, MuteFactory, UserFactory

pytestmark = pytest.mark.django_db


def one_of_each(viewer: User) -> dict[str, User]:
    """A user for each field of Relationship, that field being the only true one."""
    return {
        "following": FollowFactory(follower=viewer).followee,
        "requested": FollowRequestFactory(follower=viewer).followee,
        "followed_by": FollowFactory(followee=viewer).follower,
        "blocking": BlockFactory(blocker=viewer).blocked,
        "blocked_by": BlockFactory(blocked=viewer).blocker,
        "muting": MuteFactory(muter=viewer).muted,
    }


def test_each_relation_shows_in_its_own_field_and_no_other() -> None:
    viewer = UserFactory()
    others = one_of_each(viewer)
    found = fetch_relationships(viewer.pk, [user.pk for user in others.values()])
    assert found == {user.pk: Relationship(**{field: True}) for field, user in others.items()}


def test_strangers_and_unknown_ids_are_strangers() -> None:
    viewer, other = UserFactory(), UserFactory()
    assert fetch_relationships(viewer.pk, [other.pk, 2**60]) == dict.fromkeys([other.pk, 2**60], Relationship())
    assert fetch_relationships(viewer.pk, []) == {}


def test_one_may_be_several_things_to_somebody() -> None:
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
        assert all(relation.following for relation in fetch_relationships(viewer.pk, others).values())


def test_the_feed_shows_whom_one_follows_with_their_side_of_the_celebrity_line() -> None:
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


def test_the_feed_leaves_out_the_muted_and_whoever_is_apart_by_a_block() -> None:
    viewer = UserFactory()
    muted, blocked, blocker, heard = (FollowFactory(follower=viewer).followee for _ in range(4))
    MuteFactory(muter=viewer, muted=muted)
    BlockFactory(blocker=viewer, blocked=blocked)
    BlockFactory(blocker=blocker, blocked=viewer)
    MuteFactory(muter=heard, muted=viewer)  # their mute is their affair
    MuteFactory(muted=heard)
    assert {author for author, _ in fetch_visible_authors(viewer.pk)} == {heard.pk, viewer.pk}


@pytest.mark.parametrize("count", [2, 50])
def test_seen_authors_are_one_query(count: int, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    viewer = UserFactory()
    for _ in range(count):
        FollowFactory(follower=viewer)
    with django_assert_num_queries(1):
        assert len(fetch_visible_authors(viewer.pk)) == count + 1


@pytest.mark.parametrize("typed", ["ann.b", "ANN.B", "Ann.b"])
def test_a_user_is_found_in_any_case(typed: str) -> None:
    ann = UserFactory(username="ann.b")
    assert get_visible_user(None, typed) == ann


@pytest.mark.parametrize("name", ["", "nobody", "a b", "ann\x00", "ann\n", "x" * 5000, "ÅNN", "ann/../ann"])
def test_names_that_nobody_has_do_not_exist(name: str) -> None:
    UserFactory(username="ann")
    with pytest.raises(Http404):
        get_visible_user(None, name)


def test_the_inactive_and_who_blocked_me_do_not_exist_for_me() -> None:
    viewer = UserFactory()
    for hidden in (UserFactory(is_active=False), BlockFactory(blocked=viewer).blocker):
        with pytest.raises(Http404):
            get_visible_user(viewer.pk, hidden.username)


def test_whom_i_blocked_is_still_there_and_so_is_a_private_account() -> None:
    viewer = UserFactory()
    for seen in (BlockFactory(blocker=viewer).blocked, UserFactory(is_private=True)):
        assert get_visible_user(viewer.pk, seen.username) == seen


def test_a_user_and_the_relationship_come_in_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    follow = FollowFactory()
    with django_assert_num_queries(1):
        user, relation = get_visible_user_and_relationship(follow.follower_id, follow.followee.username)
    assert (user, relation) == (follow.followee, Relationship(following=True))


def test_one_has_no_relationship_to_oneself_and_neither_have_the_anonymous() -> None:
    ann = UserFactory()
    assert get_visible_user_and_relationship(ann.pk, ann.username) == (ann, None)
    assert get_visible_user_and_relationship(None, ann.username) == (ann, None)
    assert AnonymousUser().pk is None  # what callers pass for them


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
def test_whose_posts_one_sees(field: str, public: bool, private: bool) -> None:
    viewer = UserFactory()
    author = one_of_each(viewer)[field]
    for is_private, expected in ((False, public), (True, private)):
        author.is_private = is_private
        assert can_see_posts(viewer.pk, author) is expected
        assert can_see_posts(viewer.pk, author, Relationship(**{field: True})) is expected


def test_a_follow_across_a_block_shows_nothing() -> None:
    follow = FollowFactory()
    BlockFactory(blocker=follow.followee, blocked=follow.follower)
    assert not can_see_posts(follow.follower_id, follow.followee)


def test_posts_of_oneself_of_the_public_and_of_the_inactive() -> None:
    public, private, gone = UserFactory(), UserFactory(is_private=True), UserFactory(is_active=False)
    assert can_see_posts(private.pk, private)
    assert can_see_posts(None, public)
    assert not can_see_posts(None, private)
    assert not can_see_posts(None, gone)
    assert not can_see_posts(public.pk, gone)
