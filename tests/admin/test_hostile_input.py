"""What a review sent to the admin: addresses and dates that made it fall over, sessions that outlived their end."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts import moderation, services
from accounts.models import END_OF_TIME, AuditEntry, User
from tests.factories import UserFactory
from tests.staff import admin_client, create_staff, superuser_client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("value", ["%00", "a%00b", "%F0%9F%98%80", "nonsense", ""])
@pytest.mark.parametrize(
    "path",
    [
        "posts/case/?state=",
        "posts/case/?type=",
        "posts/case/?reason=",
        "accounts/auditentry/?action=",
        "accounts/user/?q=",
    ],
)
def test_no_filter_takes_what_it_does_not_offer(path: str, value: str) -> None:
    assert superuser_client().get(f"/admin/{path}{value}").status_code == 200


@pytest.mark.parametrize(
    "until", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59", "2100-01-01T00:00", "1999-01-01T00:00"]
)
def test_a_suspension_ends_in_the_future_within_ten_years(until: str) -> None:
    user = UserFactory()
    moderator = create_staff("Moderator")
    data = {"pk": user.pk, "length": "x", "until": until, "reason": "spam", f"version-{user.pk}": 9}
    answer = admin_client(moderator).post("/admin/accounts/user/act/suspend/", data)
    assert answer.status_code == 200  # the form again, with what is wrong
    user.refresh_from_db()
    assert user.is_active
    with pytest.raises(moderation.ActionRefused, match="ten years"):
        moderation.suspend(moderator, user.pk, timezone.now() + moderation.MAX_SUSPENSION * 2, "spam")


def test_the_database_refuses_a_moment_that_nobody_can_read() -> None:
    user = UserFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=user.pk).update(suspended_until=END_OF_TIME)


@pytest.mark.parametrize("reason", [" ", "\u200b\u00a0 ", "\u202e\ufeff", "\x00"])
def test_what_nobody_can_read_is_no_reason(reason: str) -> None:
    with pytest.raises(moderation.ActionRefused):
        moderation.end_sessions(create_staff("Moderator"), UserFactory().pk, reason)


def enters(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def test_ending_all_sessions_ends_those_of_the_admin_too() -> None:
    stolen_from = create_staff("Moderator")
    stolen = admin_client(stolen_from)
    assert enters(stolen)
    assert moderation.end_sessions(create_staff(is_superuser=True), stolen_from.pk, "A lost laptop.")
    assert not enters(stolen)
    assert AuditEntry.objects.get().action == "end_sessions"
    assert enters(admin_client(User.objects.get(pk=stolen_from.pk)))


def test_a_session_from_before_a_suspension_stays_ended_after_it() -> None:
    user = create_staff("Moderator")
    client = admin_client(user)
    services.suspend(user.pk)
    assert not enters(client)
    services.reinstate(user.pk)
    assert not enters(client)


def test_so_does_one_from_before_its_user_left_the_staff() -> None:
    user = create_staff("Moderator")
    client = admin_client(user)
    for is_staff in (False, True):
        services.update_profile(user.pk, {"is_staff": is_staff})
    assert not enters(client)
