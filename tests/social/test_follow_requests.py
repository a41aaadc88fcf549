"""Follow requests: answered, withdrawn, and what becomes of them when the account turns public."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.services import update_profile
from social import services
from social.counter_rollup import roll_up
from social.errors import NoRequest, UnknownUser
from social.models import Follow, FollowRequest
from social.signals import audience_changed, relations_changed
from tests.factories import FollowFactory, FollowRequestFactory, UserFactory
from tests.social.follow_graph import Write, assert_counts_match_follows, captured_signals, shown_counts

pytestmark = pytest.mark.django_db


def test_accepting_makes_the_request_a_follow() -> None:
    request = FollowRequestFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        services.accept_request(request.followee_id, request.follower_id)
        roll_up()
    assert not FollowRequest.objects.exists()
    assert Follow.objects.filter(pk=request.pk).exists()
    assert relations == [{"viewer_ids": [request.follower_id]}]
    assert audiences == [{"author_ids": [request.followee_id]}]
    assert_counts_match_follows()


def test_rejecting_drops_the_request_silently() -> None:
    request = FollowRequestFactory()
    with captured_signals(relations_changed) as relations:
        services.reject_request(request.followee_id, request.follower_id)
    assert not FollowRequest.objects.exists()
    assert not Follow.objects.exists()
    assert relations == []


def test_a_rejected_requester_may_ask_again() -> None:
    request = FollowRequestFactory()
    services.reject_request(request.followee_id, request.follower_id)
    assert services.follow(request.follower_id, request.followee_id) == "requested"


@pytest.mark.parametrize("answer", [services.accept_request, services.reject_request])
def test_answering_what_nobody_asked_is_refused(answer: Write) -> None:
    ann, bob = UserFactory(is_private=True), UserFactory()
    for other in (bob, ann):
        with pytest.raises(NoRequest):
            answer(ann.pk, other.pk)


@pytest.mark.parametrize("answer", [services.accept_request, services.reject_request])
def test_the_requester_cannot_answer_their_own_request(answer: Write) -> None:
    request = FollowRequestFactory()
    with pytest.raises(NoRequest):
        answer(request.follower_id, request.followee_id)


def test_an_inactive_requester_is_not_let_in() -> None:
    request = FollowRequestFactory(follower__is_active=False)
    with pytest.raises(UnknownUser):
        services.accept_request(request.followee_id, request.follower_id)


def test_turning_public_lets_everybody_in_who_waits() -> None:
    owner = UserFactory(is_private=True)
    approved = FollowFactory(followee=owner).follower
    waiting = [FollowRequestFactory(followee=owner).follower for _ in range(3)]
    elsewhere = FollowRequestFactory()
    with captured_signals(relations_changed) as relations, captured_signals(audience_changed) as audiences:
        update_profile(owner.pk, {"is_private": False})
        roll_up()
    assert list(FollowRequest.objects.all()) == [elsewhere]
    followers = Follow.objects.filter(followee=owner).values_list("follower_id", flat=True)
    assert sorted(followers) == [user.pk for user in (approved, *waiting)]
    assert shown_counts(owner) == (4, 0)
    assert relations == [{"viewer_ids": [user.pk for user in waiting]}]
    assert audiences == [{"author_ids": [owner.pk]}]
    assert_counts_match_follows()


def test_turning_public_counts_nobody_twice_who_already_follows() -> None:
    request = FollowRequestFactory()
    FollowFactory(follower=request.follower, followee=request.followee)
    update_profile(request.followee_id, {"is_private": False})
    assert not FollowRequest.objects.exists()
    assert_counts_match_follows()


def test_turning_public_takes_as_many_statements_for_fifty_as_for_two() -> None:
    statements = []
    for waiting in (2, 50):
        owner = UserFactory(is_private=True)
        FollowRequestFactory.create_batch(waiting, followee=owner)
        with CaptureQueriesContext(connection) as captured:
            assert services.accept_pending_requests(owner.pk) == waiting
        statements.append(len(captured))
    assert statements[0] == statements[1]


def test_turning_private_keeps_the_followers() -> None:
    follow = FollowFactory()
    update_profile(follow.followee_id, {"is_private": True})
    assert shown_counts(follow.followee) == (1, 0)
    assert Follow.objects.count() == 1
