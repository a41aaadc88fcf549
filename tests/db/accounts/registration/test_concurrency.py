"""Concurrent registrations with one code, one captcha, and decisions of two moderators, with a connection each."""

from __future__ import annotations

import json
from base64 import b64encode
from functools import partial

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts import approval, invites
from accounts.models import AuditEntry, Erasure, Invite, UsedChallenge, User
from tests.db.accounts.registration.registering import create_invite, register
from tests.db.accounts.registration.test_captcha import fetch, solve
from tests.support.concurrency import run_concurrently
from tests.support.factories import UserFactory
from tests.support.staff import create_staff

pytestmark = pytest.mark.django_db(transaction=True)


def statuses(*names: str, **fields: str) -> list[int]:
    responses = run_concurrently([partial(register, name, **fields) for name in names])
    return sorted(response.status_code for response in responses)


@pytest.mark.parametrize(("mode", "loser"), [("invite", 403), ("approval", 202), ("open", 201)])
def test_single_use_code_admits_one_of_ten(settings: Settings, mode: str, loser: int) -> None:
    settings.REGISTRATION = mode
    code = invites.format_code(create_invite())
    assert statuses(*(f"user{number}" for number in range(10)), invite=code) == sorted([201, *[loser] * 9])
    assert User.objects.filter(invite__isnull=False).count() == 1
    assert User.objects.count() == (1 if mode == "invite" else 10)
    assert Invite.objects.get().uses == 1


def test_uses_are_counted_exactly(settings: Settings) -> None:
    settings.REGISTRATION = "invite"
    code = invites.format_code(create_invite(max_uses=6))
    # Half of the requests fail for their username, and give their use back.
    names = [f"user{number % 5}" for number in range(10)]
    assert statuses(*names, invite=code).count(201) == 5
    assert Invite.objects.get().uses == 5


def test_one_captcha_admits_one_of_ten(settings: Settings) -> None:
    settings.CAPTCHA, settings.CAPTCHA_DIFFICULTY = "altcha", 1_000
    payload = b64encode(json.dumps(solve(fetch())).encode()).decode()
    assert statuses(*(f"user{number}" for number in range(10)), captcha=payload) == [201, *[400] * 9]
    assert (User.objects.count(), UsedChallenge.objects.count()) == (1, 1)


def test_one_of_two_opposite_decisions_counts() -> None:
    moderators = [create_staff("Moderator"), create_staff("Moderator")]
    for _ in range(5):
        user = UserFactory(is_active=False, pending_since=timezone.now())
        decisions = [
            partial(approval.approve, moderators[0], user.pk),
            partial(approval.reject, moderators[1], user.pk, "spam"),
        ]
        assert sorted(run_concurrently(decisions)) == [False, True]
        entry = AuditEntry.objects.latest("pk")
        user.refresh_from_db()
        assert (entry.action == "approve") == user.is_active == (not Erasure.objects.filter(user=user).exists())
    assert AuditEntry.objects.count() == 5
