"""Follow and unfollow: states, counts, signals, refusals."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from social import services
from social.errors import Blocking, OwnAccount, UnknownUser
from social.models import Follow, FollowRequest
from social.signals import audience_changed, relations_changed
from tests.factories import BlockFactory, FollowFactory, FollowRequestFactory, UserFactory
from tests.social.helpers import Write, assert_counts_match_rows, counts, heard

pytestmark = pytest.mark.django_db


def test_following_a_public_account_adds_the_follow_and_both_counts() -> None:
    ann, bob = UserFactory(), UserFactory()
    assert services.follow(ann.pk, bob.pk) == "following"
    assert Follow.objects.filter(follower=ann, followee=bob).exists()
    assert counts(ann) == (0, 1)
    assert counts(bob) == (1, 0)


def test_following_again_gives_the_same_answer_and_changes_nothing() -> None:
    ann, bob = UserFactory(), UserFactory()
    services.follow(ann.pk, bob.pk)
    with heard(relations_changed) as relations, heard(audience_changed) as audiences:
        assert services.follow(ann.pk, bob.pk) == "following"
    assert relations == audiences == []
    assert_counts_match_rows()


def test_following_each_other_is_two_follows() -> None:
    ann, bob = UserFactory(), UserFactory()
    services.follow(ann.pk, bob.pk)
    services.follow(bob.pk, ann.pk)
    assert counts(ann) == counts(bob) == (1, 1)


def test_following_a_private_account_only_asks() -> None:
    ann, bob = UserFactory(), UserFactory(is_private=True)
    with heard(relations_changed) as relations, heard(audience_changed) as audiences:
        assert services.follow(ann.pk, bob.pk) == "requested"
        assert services.follow(ann.pk, bob.pk) == "requested"
    assert relations == audiences == []
    assert FollowRequest.objects.count() == 1
    assert not Follow.objects.exists()
    assert_counts_match_rows()


def test_an_approved_follower_of_a_private_account_stays_one_when_following_again() -> None:
    follow = FollowFactory(followee__is_private=True)
    assert services.follow(follow.follower_id, follow.followee_id) == "following"
    assert not FollowRequest.objects.exists()


def test_a_request_left_at_a_public_account_gives_way_to_the_follow() -> None:
    request = FollowRequestFactory(followee__is_private=False)
    assert services.follow(request.follower_id, request.followee_id) == "following"
    assert not FollowRequest.objects.exists()


def test_a_follow_announces_the_follower_first_and_the_grown_audience_with_its_new_count() -> None:
    ann, bob = UserFactory(), UserFactory()
    seen: list[tuple[int, int]] = []

    def look(author_ids: list[int], **_: object) -> None:
        seen.append(counts(bob))

    audience_changed.connect(look)
    try:
        with heard(relations_changed) as relations, heard(audience_changed) as audiences:
            services.follow(ann.pk, bob.pk)
    finally:
        audience_changed.disconnect(look)
    assert relations == [{"viewer_ids": [ann.pk]}]
    assert audiences == [{"author_ids": [bob.pk]}]
    assert seen == [(1, 0)]


def test_a_receiver_that_fails_undoes_the_follow() -> None:
    ann, bob = UserFactory(), UserFactory()

    def fail(**_: object) -> None:
        raise RuntimeError

    audience_changed.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            services.follow(ann.pk, bob.pk)
    finally:
        audience_changed.disconnect(fail)
    assert not Follow.objects.exists()
    assert_counts_match_rows()


def test_nobody_follows_themselves() -> None:
    ann = UserFactory()
    with pytest.raises(OwnAccount):
        services.follow(ann.pk, ann.pk)


def test_who_blocked_me_does_not_exist_for_me() -> None:
    block = BlockFactory()
    with pytest.raises(UnknownUser):
        services.follow(block.blocked_id, block.blocker_id)


def test_whom_i_block_i_cannot_follow() -> None:
    block = BlockFactory()
    with pytest.raises(Blocking):
        services.follow(block.blocker_id, block.blocked_id)


@pytest.mark.parametrize(("actor", "other"), [(True, False), (False, True)])
def test_an_inactive_account_neither_follows_nor_is_followed(actor: bool, other: bool) -> None:
    ann, bob = UserFactory(is_active=actor), UserFactory(is_active=other)
    with pytest.raises(UnknownUser):
        services.follow(ann.pk, bob.pk)


def test_following_an_id_that_never_was_is_refused() -> None:
    ann = UserFactory()
    with pytest.raises(UnknownUser):
        services.follow(ann.pk, ann.pk + 1_000_000)


def test_unfollowing_takes_the_follow_and_both_counts_and_announces_both() -> None:
    follow = FollowFactory()
    with heard(relations_changed) as relations, heard(audience_changed) as audiences:
        services.unfollow(follow.follower_id, follow.followee_id)
    assert not Follow.objects.exists()
    assert relations == [{"viewer_ids": [follow.follower_id]}]
    assert audiences == [{"author_ids": [follow.followee_id]}]
    assert_counts_match_rows()


def test_unfollowing_withdraws_a_request_silently() -> None:
    request = FollowRequestFactory()
    with heard(relations_changed) as relations:
        services.unfollow(request.follower_id, request.followee_id)
    assert not FollowRequest.objects.exists()
    assert relations == []


def test_unfollowing_again_changes_nothing_and_no_count_goes_below_zero() -> None:
    ann, bob = UserFactory(), UserFactory()
    with heard(relations_changed) as relations, heard(audience_changed) as audiences:
        services.unfollow(ann.pk, bob.pk)
        services.unfollow(ann.pk, ann.pk)
    assert relations == audiences == []
    assert counts(ann) == counts(bob) == (0, 0)


def test_a_count_that_drifted_stops_at_zero() -> None:
    follow = FollowFactory()
    follow.followee.follower_count = 0
    follow.followee.save(update_fields=["follower_count"])
    services.unfollow(follow.follower_id, follow.followee_id)
    assert counts(follow.followee) == (0, 0)


def test_removing_a_follower_ends_their_follow_and_not_mine() -> None:
    theirs = FollowFactory()
    mine = FollowFactory(follower=theirs.followee, followee=theirs.follower)
    with heard(relations_changed) as relations:
        services.remove_follower(theirs.followee_id, theirs.follower_id)
        services.remove_follower(theirs.followee_id, theirs.follower_id)
    assert list(Follow.objects.all()) == [mine]
    assert relations == [{"viewer_ids": [theirs.follower_id]}]
    assert_counts_match_rows()


@pytest.mark.parametrize("write", [services.follow, services.unfollow, services.block])
@pytest.mark.parametrize("upwards", [True, False])
def test_users_are_counted_last_and_in_ascending_order(write: Write, upwards: bool) -> None:
    """The order in which rows are locked: any other one lets three who follow in a ring wait for ever."""
    low, high = UserFactory.create_batch(2)
    actor, other = (low, high) if upwards else (high, low)
    if write is not services.follow:
        FollowFactory(follower=actor, followee=other)
    with CaptureQueriesContext(connection) as captured:
        write(actor.pk, other.pk)
    writes = [sql for sql in (query["sql"] for query in captured) if sql.startswith(("UPDATE", "INSERT", "DELETE"))]
    assert [re.findall(r"UPDATE .accounts_user. .*IN \((\d+)\)", sql) for sql in writes[-2:]] == [
        [str(low.pk)],
        [str(high.pk)],
    ]
    assert not any("accounts_user" in sql for sql in writes[:-2])
