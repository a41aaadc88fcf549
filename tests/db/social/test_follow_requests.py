"""Follow requests: accept, reject, and the change of an account to public or private."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.transaction import atomic
from django.test.utils import CaptureQueriesContext

from accounts.services import update_profile
from social import services
from social.counter_rollup import roll_up
from social.errors import NoRequest, UnknownUser
from social.models import Follow, FollowRequest
from social.signals import audience_changed, relations_changed
from tests.support.factories import FollowFactory, FollowRequestFactory, UserFactory
from tests.support.follow_graph import Write, assert_counts_match_follows, captured_signals, shown_counts

pytestmark = pytest.mark.django_db


def test_accept_turns_the_request_into_a_follow() -> None:
    request = FollowRequestFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        services.accept_request(request.followee_id, request.follower_id)
        roll_up()
    assert not FollowRequest.objects.exists()
    assert Follow.objects.filter(pk=request.pk).exists()
    assert relations == [{"viewer_ids": [request.follower_id]}]
    assert audiences == [{"author_ids": [request.followee_id]}]
    assert_counts_match_follows()


def test_reject_deletes_the_request_without_signals() -> None:
    request = FollowRequestFactory()
    with captured_signals(relations_changed) as relations:
        services.reject_request(request.followee_id, request.follower_id)
    assert not FollowRequest.objects.exists()
    assert not Follow.objects.exists()
    assert relations == []


def test_rejected_requester_may_request_again() -> None:
    request = FollowRequestFactory()
    services.reject_request(request.followee_id, request.follower_id)
    assert services.follow(request.follower_id, request.followee_id) == "requested"


@pytest.mark.parametrize("answer", [services.accept_request, services.reject_request])
def test_answering_a_missing_request_raises_no_request(answer: Write) -> None:
    ann, bob = UserFactory(is_private=True), UserFactory()
    for other in (bob, ann):
        with pytest.raises(NoRequest):
            answer(ann.pk, other.pk)


@pytest.mark.parametrize("answer", [services.accept_request, services.reject_request])
def test_requester_cannot_answer_their_own_request(answer: Write) -> None:
    request = FollowRequestFactory()
    with pytest.raises(NoRequest):
        answer(request.follower_id, request.followee_id)


def test_inactive_requester_cannot_be_accepted() -> None:
    request = FollowRequestFactory(follower__is_active=False)
    with pytest.raises(UnknownUser):
        services.accept_request(request.followee_id, request.follower_id)


def test_change_to_public_accepts_all_requests() -> None:
    owner = UserFactory(is_private=True)
    approved = FollowFactory(followee=owner).follower
    requesters = [FollowRequestFactory(followee=owner).follower for _ in range(3)]
    other_request = FollowRequestFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        update_profile(owner.pk, {"is_private": False})
        roll_up()
    assert list(FollowRequest.objects.all()) == [other_request]
    followers = Follow.objects.filter(followee=owner).values_list("follower_id", flat=True)
    assert sorted(followers) == [user.pk for user in (approved, *requesters)]
    assert shown_counts(owner) == (4, 0)
    assert relations == [{"viewer_ids": [user.pk for user in requesters]}]
    assert audiences == [{"author_ids": [owner.pk]}]
    assert_counts_match_follows()


def test_change_to_public_does_not_count_existing_followers_again() -> None:
    request = FollowRequestFactory()
    FollowFactory(follower=request.follower, followee=request.followee)
    update_profile(request.followee_id, {"is_private": False})
    assert not FollowRequest.objects.exists()
    assert_counts_match_follows()


def test_change_to_public_uses_a_fixed_number_of_statements() -> None:
    statements = []
    for count in (2, 50):
        owner = UserFactory(is_private=True)
        FollowRequestFactory.create_batch(count, followee=owner)
        with atomic(), CaptureQueriesContext(connection) as captured:
            assert services.accept_request_batch(owner.pk) is False
        assert Follow.objects.filter(followee=owner).count() == count
        statements.append(len(captured))
    assert statements[0] == statements[1]


def test_change_to_private_keeps_followers() -> None:
    follow = FollowFactory()
    update_profile(follow.followee_id, {"is_private": True})
    assert shown_counts(follow.followee) == (1, 0)
    assert Follow.objects.count() == 1
