"""Moderators who ask for the next case at the same time."""

from __future__ import annotations

from functools import partial

import pytest
from django.urls import reverse

from accounts.models import User
from posts.models import Case
from posts.moderation import claims
from tests.db.posts.moderation_cases import create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.concurrency import run_concurrently
from tests.support.factories import UserFactory
from tests.support.staff import moderator_client

pytestmark = pytest.mark.django_db(transaction=True)


def test_moderators_at_once_never_get_the_same_case(author: ApiUser) -> None:
    for _ in range(8):
        file_reports(create_post_target(author))
    clients = [moderator_client() for _ in range(8)]
    for _ in range(3):
        Case.objects.update(claimed_by_id=None)
        url = reverse("admin:posts_case_next")
        responses = run_concurrently([partial(client.get, url) for client in clients])
        assert len({response["Location"] for response in responses}) == len(clients)


def test_case_that_is_being_claimed_goes_to_one_of_two_moderators(author: ApiUser) -> None:
    case = file_reports(create_post_target(author))
    moderators: list[User] = UserFactory.create_batch(2)
    for _ in range(10):
        Case.objects.update(claimed_by_id=None)
        queue = Case.objects.order_by("pk")
        found = run_concurrently([partial(claims.claim_first, [queue], moderator.pk) for moderator in moderators])
        assert sorted(each is not None for each in found) == [False, True]
        case.refresh_from_db()
        assert case.claimed_by_id == moderators[0 if found[0] else 1].pk


def test_moderators_who_change_places_do_not_block_each_other(author: ApiUser) -> None:
    cases = [file_reports(create_post_target(author)) for _ in range(2)]
    moderators: list[User] = UserFactory.create_batch(2)
    for turn in range(20):
        wanted = cases[:: 1 if turn % 2 else -1]
        calls = [partial(claims.claim, case.pk, who.pk) for case, who in zip(wanted, moderators, strict=True)]
        assert run_concurrently(calls) == [None, None]
