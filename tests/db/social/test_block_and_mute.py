"""Blocks and mutes: the relations that they end, the signals that they send, and the calls that are refused."""

from __future__ import annotations

import pytest

from social import services
from social.counter_rollup import roll_up
from social.errors import OwnAccount, UnknownUser
from social.models import Block, Follow, FollowRequest, Mute
from social.signals import audience_changed, relations_changed
from tests.support.factories import BlockFactory, FollowFactory, FollowRequestFactory, MuteFactory, UserFactory
from tests.support.follow_graph import Write, assert_counts_match_follows, captured_signals

pytestmark = pytest.mark.django_db


def test_block_ends_follows_both_ways() -> None:
    follow = FollowFactory()
    ann, bob = follow.follower, follow.followee
    FollowFactory(follower=bob, followee=ann)
    bystander = FollowFactory(followee=ann)
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        services.block(ann.pk, bob.pk)
        roll_up()
    assert list(Follow.objects.all()) == [bystander]
    assert relations == [{"viewer_ids": [ann.pk, bob.pk]}]
    assert audiences == [{"author_ids": [ann.pk, bob.pk]}]
    assert_counts_match_follows()


def test_block_ends_requests_both_ways() -> None:
    request = FollowRequestFactory(follower__is_private=True)
    FollowRequestFactory(follower=request.followee, followee=request.follower)
    services.block(request.follower_id, request.followee_id)
    assert not FollowRequest.objects.exists()
    assert_counts_match_follows()


@pytest.mark.parametrize("blocker_follows", [True, False])
def test_block_counts_only_existing_follows(blocker_follows: bool) -> None:
    follow = FollowFactory()
    pair = (follow.follower_id, follow.followee_id)
    services.block(*(pair if blocker_follows else reversed(pair)))
    assert not Follow.objects.exists()
    assert_counts_match_follows()


def test_block_between_strangers_sends_relations_changed_only() -> None:
    ann, bob = UserFactory(), UserFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        services.block(ann.pk, bob.pk)
        services.block(ann.pk, bob.pk)
        roll_up()
    assert relations == [{"viewer_ids": [ann.pk]}]
    assert audiences == []


def test_blocks_leave_the_timeline_of_a_user_who_does_not_follow_the_blocker() -> None:
    follow = FollowFactory()
    ann, bob = follow.follower, follow.followee
    with captured_signals(relations_changed) as relations:
        for _ in range(3):
            services.block(ann.pk, bob.pk)
            services.unblock(ann.pk, bob.pk)
    assert {viewer for signal in relations for viewer in signal["viewer_ids"]} == {ann.pk}


def test_unblock_does_not_restore_follows() -> None:
    follow = FollowFactory()
    services.block(follow.followee_id, follow.follower_id)
    with captured_signals(relations_changed) as relations:
        services.unblock(follow.followee_id, follow.follower_id)
        services.unblock(follow.followee_id, follow.follower_id)
    assert not Block.objects.exists()
    assert not Follow.objects.exists()
    assert relations == [{"viewer_ids": [follow.followee_id]}]


def test_only_the_blocker_can_unblock() -> None:
    block = BlockFactory()
    services.unblock(block.blocked_id, block.blocker_id)
    assert Block.objects.exists()


def test_mute_keeps_the_follow_and_affects_only_the_muting_user() -> None:
    follow = FollowFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        services.mute(follow.follower_id, follow.followee_id)
        services.mute(follow.follower_id, follow.followee_id)
        roll_up()
    assert Mute.objects.count() == Follow.objects.count() == 1
    assert relations == [{"viewer_ids": [follow.follower_id]}]
    assert audiences == []


def test_unmute_sends_one_signal() -> None:
    mute = MuteFactory()
    with captured_signals(relations_changed) as relations:
        services.unmute(mute.muter_id, mute.muted_id)
        services.unmute(mute.muter_id, mute.muted_id)
    assert not Mute.objects.exists()
    assert relations == [{"viewer_ids": [mute.muter_id]}]


def test_blocker_can_be_blocked_but_not_muted() -> None:
    block = BlockFactory()
    with pytest.raises(UnknownUser):
        services.mute(block.blocked_id, block.blocker_id)
    services.block(block.blocked_id, block.blocker_id)
    assert Block.objects.filter(blocker=block.blocked, blocked=block.blocker).exists()


@pytest.mark.parametrize("write", [services.block, services.mute])
class TestRefusals:
    def test_own_account_is_refused(self, write: Write) -> None:
        ann = UserFactory()
        with pytest.raises(OwnAccount):
            write(ann.pk, ann.pk)

    def test_inactive_account_is_unknown(self, write: Write) -> None:
        ann, bob = UserFactory(), UserFactory(is_active=False)
        with pytest.raises(UnknownUser):
            write(ann.pk, bob.pk)

    def test_blocked_account_is_accepted(self, write: Write) -> None:
        block = BlockFactory()
        assert write(block.blocker_id, block.blocked_id) is None
