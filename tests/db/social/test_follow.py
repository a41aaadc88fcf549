"""Follow and unfollow: states, counts, signals, refusals."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from social import services
from social.counter_rollup import roll_up
from social.errors import Blocking, OwnAccount, UnknownUser
from social.models import Follow, FollowRequest
from social.signals import audience_changed, relations_changed
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, UserFactory
from tests.support.follow_graph import Write, assert_counts_match_follows, captured_signals, shown_counts

pytestmark = pytest.mark.django_db


def test_follow_of_a_public_account_creates_follow_and_counts() -> None:
    ann, bob = UserFactory(), UserFactory()
    assert services.follow(ann.pk, bob.pk) == "following"
    assert Follow.objects.filter(follower=ann, followee=bob).exists()
    assert shown_counts(ann) == (0, 1)
    assert shown_counts(bob) == (1, 0)


def test_follow_is_idempotent() -> None:
    ann, bob = UserFactory(), UserFactory()
    services.follow(ann.pk, bob.pk)
    roll_up()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        assert services.follow(ann.pk, bob.pk) == "following"
        roll_up()
    assert relations == audiences == []
    assert_counts_match_follows()


def test_mutual_follows_are_two_rows() -> None:
    ann, bob = UserFactory(), UserFactory()
    services.follow(ann.pk, bob.pk)
    services.follow(bob.pk, ann.pk)
    assert shown_counts(ann) == shown_counts(bob) == (1, 1)


def test_follow_of_a_private_account_creates_a_request() -> None:
    ann, bob = UserFactory(), UserFactory(is_private=True)
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        assert services.follow(ann.pk, bob.pk) == "requested"
        assert services.follow(ann.pk, bob.pk) == "requested"
        roll_up()
    assert relations == audiences == []
    assert FollowRequest.objects.count() == 1
    assert not Follow.objects.exists()
    assert_counts_match_follows()


def test_approved_follower_of_a_private_account_stays_following() -> None:
    follow = FollowFactory(followee__is_private=True)
    assert services.follow(follow.follower_id, follow.followee_id) == "following"
    assert not FollowRequest.objects.exists()


def test_follow_replaces_a_leftover_request_to_a_public_account() -> None:
    request = FollowRequestFactory(followee__is_private=False)
    assert services.follow(request.follower_id, request.followee_id) == "following"
    assert not FollowRequest.objects.exists()


def test_follow_sends_relations_changed_and_roll_up_sends_audience_changed() -> None:
    ann, bob = UserFactory(), UserFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        services.follow(ann.pk, bob.pk)
        assert relations == [{"viewer_ids": [ann.pk]}]
        assert audiences == []
        roll_up()
    assert relations == [{"viewer_ids": [ann.pk]}]
    assert audiences == [{"author_ids": [bob.pk]}]


def test_failing_receiver_rolls_back_the_follow() -> None:
    ann, bob = UserFactory(), UserFactory()

    def fail(**_: object) -> None:
        raise RuntimeError

    relations_changed.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            services.follow(ann.pk, bob.pk)
    finally:
        relations_changed.disconnect(fail)
    assert not Follow.objects.exists()
    assert_counts_match_follows()


def test_own_account_cannot_be_followed() -> None:
    ann = UserFactory()
    with pytest.raises(OwnAccount):
        services.follow(ann.pk, ann.pk)


def test_blocker_cannot_be_followed() -> None:
    block = BlockFactory()
    with pytest.raises(UnknownUser):
        services.follow(block.blocked_id, block.blocker_id)


def test_blocked_account_cannot_be_followed() -> None:
    block = BlockFactory()
    with pytest.raises(Blocking):
        services.follow(block.blocker_id, block.blocked_id)


@pytest.mark.parametrize(("actor", "other"), [(True, False), (False, True)])
def test_inactive_accounts_cannot_follow_or_be_followed(actor: bool, other: bool) -> None:
    ann, bob = UserFactory(is_active=actor), UserFactory(is_active=other)
    with pytest.raises(UnknownUser):
        services.follow(ann.pk, bob.pk)


def test_unknown_id_cannot_be_followed() -> None:
    ann = UserFactory()
    with pytest.raises(UnknownUser):
        services.follow(ann.pk, ann.pk + 1_000_000)


def test_unfollow_removes_follow_and_counts_and_sends_signals() -> None:
    follow = FollowFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        services.unfollow(follow.follower_id, follow.followee_id)
        roll_up()
    assert not Follow.objects.exists()
    assert relations == [{"viewer_ids": [follow.follower_id]}]
    assert audiences == [{"author_ids": [follow.followee_id]}]
    assert_counts_match_follows()


def test_unfollow_withdraws_a_request_without_signals() -> None:
    request = FollowRequestFactory()
    with captured_signals(relations_changed) as relations:
        services.unfollow(request.follower_id, request.followee_id)
    assert not FollowRequest.objects.exists()
    assert relations == []


def test_unfollow_without_a_follow_changes_nothing() -> None:
    ann, bob = UserFactory(), UserFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        services.unfollow(ann.pk, bob.pk)
        services.unfollow(ann.pk, ann.pk)
        roll_up()
    assert relations == audiences == []
    assert shown_counts(ann) == shown_counts(bob) == (0, 0)


def test_wrong_negative_count_is_shown_as_zero() -> None:
    follow = FollowFactory()
    follow.followee.follower_count = 0
    follow.followee.save(update_fields=["follower_count"])
    services.unfollow(follow.follower_id, follow.followee_id)
    assert shown_counts(follow.followee) == (0, 0)
    roll_up()
    assert shown_counts(follow.followee) == (0, 0)


def test_remove_follower_keeps_the_follow_back() -> None:
    theirs = FollowFactory()
    mine = FollowFactory(follower=theirs.followee, followee=theirs.follower)
    with captured_signals(relations_changed) as relations:
        services.remove_follower(theirs.followee_id, theirs.follower_id)
        services.remove_follower(theirs.followee_id, theirs.follower_id)
    assert list(Follow.objects.all()) == [mine]
    assert relations == [{"viewer_ids": [theirs.follower_id]}]
    assert_counts_match_follows()


@pytest.mark.parametrize("write", [services.follow, services.unfollow, services.block])
def test_relation_writes_lock_no_user_rows(write: Write) -> None:
    """A much-followed account's row would make all who follow it wait for one another."""
    ann, bob = UserFactory(), UserFactory()
    if write is not services.follow:
        FollowFactory(follower=ann, followee=bob)
    with CaptureQueriesContext(connection) as captured:
        write(ann.pk, bob.pk)
    statements = [query["sql"] for query in captured]
    assert not [sql for sql in statements if re.match("(UPDATE|INSERT INTO|DELETE FROM) .accounts_user.", sql)]
    assert not [sql for sql in statements if "FOR " in sql and "accounts_user" in sql]
    assert [sql for sql in statements if sql.startswith('INSERT INTO "accounts_countchange"')]


def test_the_number_of_accounts_followed_is_limited(settings: Settings) -> None:
    ann = ApiUser()
    settings.MAX_FOLLOWING = 2
    first, second, private = UserFactory(), UserFactory(), UserFactory(is_private=True)
    services.follow(ann.id, first.pk)
    assert services.follow(ann.id, private.pk) == "requested"
    for other in (second, UserFactory(is_private=True)):
        assert_error(ann.call("post", f"/users/{other.username}/follow"), 409, "following_limit")
    assert ann.call("post", f"/users/{first.username}/follow").json() == {"state": "following"}
    assert ann.call("post", f"/users/{private.username}/follow").json() == {"state": "requested"}
    services.accept_request(private.pk, ann.id)
    services.unfollow(ann.id, first.pk)
    assert services.follow(ann.id, second.pk) == "following"
    assert services.follow(second.pk, ann.id) == "following", "followers are not limited"


def test_a_request_becomes_a_follow_at_the_limit(settings: Settings) -> None:
    request = FollowRequestFactory()
    settings.MAX_FOLLOWING = 1
    User.objects.filter(pk=request.followee_id).update(is_private=False)
    assert services.follow(request.follower_id, request.followee_id) == "following"
