"""Hostile input to the admin: invalid filters and dates, and sessions that must end."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts import moderation, services
from accounts.models import END_OF_TIME, AuditEntry, User
from tests.support.factories import UserFactory
from tests.support.staff import admin_client, create_staff, superuser_client

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
def test_invalid_filter_values_are_ignored(path: str, value: str) -> None:
    assert superuser_client().get(f"/admin/{path}{value}").status_code == 200


@pytest.mark.parametrize(
    "until", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:59", "2100-01-01T00:00", "1999-01-01T00:00"]
)
def test_suspension_must_end_within_ten_years(until: str) -> None:
    user = UserFactory()
    moderator = create_staff("Moderator")
    data = {"pk": user.pk, "length": "x", "until": until, "reason": "spam", f"version-{user.pk}": 9}
    response = admin_client(moderator).post("/admin/accounts/user/act/suspend/", data)
    assert response.status_code == 200  # the form with its errors
    user.refresh_from_db()
    assert user.is_active
    with pytest.raises(moderation.ActionRefused, match="ten years"):
        moderation.suspend(moderator, user.pk, timezone.now() + moderation.MAX_SUSPENSION * 2, "spam")


def test_database_refuses_an_end_that_python_cannot_read() -> None:
    user = UserFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=user.pk).update(suspended_until=END_OF_TIME)


@pytest.mark.parametrize("reason", [" ", "\u200b\u00a0 ", "\u202e\ufeff", "\x00"])
def test_invisible_reason_is_refused(reason: str) -> None:
    with pytest.raises(moderation.ActionRefused):
        moderation.end_sessions(create_staff("Moderator"), UserFactory().pk, reason)


def has_access(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def test_ending_all_sessions_includes_the_admins() -> None:
    owner = create_staff("Moderator")
    stolen = admin_client(owner)
    assert has_access(stolen)
    assert moderation.end_sessions(create_staff(is_superuser=True), owner.pk, "A lost laptop.")
    assert not has_access(stolen)
    assert AuditEntry.objects.get().action == "end_sessions"
    assert has_access(admin_client(User.objects.get(pk=owner.pk)))


def test_session_does_not_survive_a_suspension() -> None:
    user = create_staff("Moderator")
    client = admin_client(user)
    services.suspend(user.pk)
    assert not has_access(client)
    services.reinstate(user.pk)
    assert not has_access(client)


def test_session_does_not_survive_leaving_the_staff() -> None:
    user = create_staff("Moderator")
    client = admin_client(user)
    for is_staff in (False, True):
        services.update_profile(user.pk, {"is_staff": is_staff})
    assert not has_access(client)
