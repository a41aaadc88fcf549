"""The follow requests of an account that becomes public are accepted in batches, in the background."""

from __future__ import annotations

import pytest
import redis
from django.db import transaction

from accounts.models import User
from accounts.services import update_profile
from instafeed.backoffice import sweeps
from instafeed.core.jobs import queues
from instafeed.core.jobs.leased import Outcome
from social import request_acceptance, services
from social.models import Follow, FollowRequest, RequestAcceptance
from social.services import requests
from tests.support.factories import FollowRequestFactory, UserFactory
from tests.support.follow_graph import assert_counts_match_follows
from tests.support.leased_jobs import lose_tasks, make_due

pytestmark = pytest.mark.django_db

BATCH_SIZE = 2


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slice accept one batch of two requests."""
    monkeypatch.setattr(requests, "ACCEPT_BATCH_SIZE", BATCH_SIZE)
    monkeypatch.setattr(request_acceptance, "SLICE_SECONDS", -1.0)


@pytest.fixture
def owner() -> User:
    return UserFactory(is_private=True)


def request_to_follow(owner: User, number: int) -> list[User]:
    return [FollowRequestFactory(followee=owner).follower for _ in range(number)]


def set_private(owner: User, is_private: bool) -> None:
    update_profile(owner.pk, {"is_private": is_private})


def accept_all() -> list[Outcome]:
    outcomes: list[Outcome] = []
    while (outcome := request_acceptance.accept_next()) is not Outcome.UNCLAIMED:
        outcomes.append(outcome)
    return outcomes


def follower_ids(owner: User) -> set[int]:
    return set(Follow.objects.filter(followee=owner).values_list("follower_id", flat=True))


def test_the_change_to_public_accepts_one_batch_and_a_worker_the_others(owner: User) -> None:
    requesters = request_to_follow(owner, 7)
    set_private(owner, False)
    assert len(follower_ids(owner)) == BATCH_SIZE
    assert accept_all() == [Outcome.CONTINUED, Outcome.CONTINUED, Outcome.FINISHED]
    assert follower_ids(owner) == {user.pk for user in requesters}
    assert not FollowRequest.objects.exists()
    assert not RequestAcceptance.objects.exists()
    assert_counts_match_follows()


def test_few_requests_need_no_worker(owner: User) -> None:
    request_to_follow(owner, BATCH_SIZE - 1)
    set_private(owner, False)
    assert not FollowRequest.objects.exists()
    assert not RequestAcceptance.objects.exists()


def test_requests_stay_if_the_account_turns_private_again(owner: User) -> None:
    request_to_follow(owner, 7)
    set_private(owner, False)
    request_acceptance.accept_next()
    set_private(owner, True)
    assert accept_all() == [Outcome.FINISHED]
    assert (len(follower_ids(owner)), FollowRequest.objects.count()) == (2 * BATCH_SIZE, 3)
    set_private(owner, False)
    accept_all()
    assert (len(follower_ids(owner)), FollowRequest.objects.count()) == (7, 0)
    assert_counts_match_follows()


def test_withdrawn_and_blocked_requests_are_not_accepted(owner: User) -> None:
    requesters = request_to_follow(owner, 6)
    set_private(owner, False)
    withdrawn, blocked, follows_directly, last = requesters[2:]
    services.unfollow(withdrawn.pk, owner.pk)
    services.block(owner.pk, blocked.pk)
    assert services.follow(follows_directly.pk, owner.pk) == "following"
    accept_all()
    assert follower_ids(owner) == {user.pk for user in (*requesters[:2], follows_directly, last)}
    assert_counts_match_follows()


def test_a_lost_task_and_a_dead_worker_delay_the_acceptance_only(owner: User, redis_broker: redis.Redis) -> None:
    request_to_follow(owner, 5)
    set_private(owner, False)
    assert request_acceptance.queue.claim_due(1)  # by a worker that dies
    lose_tasks(redis_broker)
    make_due(RequestAcceptance, owner.pk)
    sweeps.sweep()
    assert str(redis_broker.lrange("bulk", 0, -1)).count(queues.ACCEPT_FOLLOW_REQUESTS) == 1
    accept_all()
    assert len(follower_ids(owner)) == 5


def test_a_worker_that_was_overtaken_does_not_end_the_new_acceptance(owner: User) -> None:
    request_to_follow(owner, 5)
    set_private(owner, False)
    (job,) = request_acceptance.queue.claim_due(1)
    set_private(owner, True)
    set_private(owner, False)
    assert request_acceptance.queue.run(job, request_acceptance.accept_slice) is Outcome.OVERTAKEN
    assert RequestAcceptance.objects.filter(pk=owner.pk).exists()
    accept_all()
    assert len(follower_ids(owner)) == 5


def test_requests_to_a_deleted_account_are_left_to_the_erasure(owner: User) -> None:
    request_to_follow(owner, 5)
    with transaction.atomic():
        request_acceptance.schedule(owner.pk)
    User.objects.filter(pk=owner.pk).delete()
    assert accept_all() == [Outcome.FINISHED]
