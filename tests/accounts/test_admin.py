"""The admin of users: found by index, changed through the services."""

from __future__ import annotations

import pytest
from django.contrib.admin.sites import site
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from accounts.admin import EstimatingPaginator
from accounts.models import User
from instafeed.models import Invalidation
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(UserFactory(username="moderator", is_staff=True, is_superuser=True))
    return client


def listed(client: Client, search: str) -> set[str]:
    answer = client.get(reverse("admin:accounts_user_changelist"), {"q": search})
    assert answer.status_code == 200
    return {user.username for user in answer.context["cl"].result_list}


def test_users_are_found_by_the_start_of_a_name_or_a_whole_address(staff: Client) -> None:
    UserFactory(username="alice", email="Alice@example.org")
    UserFactory(username="malice", email="m@example.org")
    assert listed(staff, "ALI") == {"alice"}
    assert listed(staff, "alice@EXAMPLE.org") == {"alice"}
    assert listed(staff, "example") == set()
    assert listed(staff, "") == {"alice", "malice", "moderator"}


def test_a_change_goes_through_the_service(staff: Client) -> None:
    user = UserFactory(username="alice", email="a@example.org")
    url = reverse("admin:accounts_user_change", args=[user.pk])
    data = {"username": "alicia", "email": "a@example.org", "bio": "", "follower_count": "9", "is_private": "on"}
    assert staff.post(url, data).status_code == 302
    user.refresh_from_db()
    assert (user.username, user.is_private, user.follower_count) == ("alicia", True, 0)
    assert Invalidation.objects.exists()


@pytest.mark.parametrize("data", [{"username": "Not Plain"}, {"username": "BOB"}, {"username": "bob"}])
def test_bad_names_are_shown_as_errors(staff: Client, data: dict[str, str]) -> None:
    UserFactory(username="bob")
    user = UserFactory(username="alice")
    answer = staff.post(reverse("admin:accounts_user_change", args=[user.pk]), data)
    assert answer.status_code == 200
    assert answer.context["errors"]


def test_suspending_and_reinstating_are_actions(staff: Client) -> None:
    user = UserFactory()
    for action, active in (("suspend", False), ("reinstate", True)):
        data = {"action": action, "_selected_action": [user.pk]}
        assert staff.post(reverse("admin:accounts_user_changelist"), data).status_code == 302
        assert User.objects.get(pk=user.pk).is_active is active


def test_a_moderator_cannot_hand_out_powers() -> None:
    moderator = UserFactory(username="moderator", is_staff=True)
    moderator.user_permissions.add(*Permission.objects.filter(content_type__app_label="accounts"))
    client = Client()
    client.force_login(moderator)
    data = {"username": "moderator", "bio": "new", "is_staff": "on", "is_superuser": "on"}
    url = reverse("admin:accounts_user_change", args=[moderator.pk])
    assert client.post(url, data).status_code == 302
    moderator.refresh_from_db()
    assert (moderator.bio, moderator.is_superuser) == ("new", False)


def test_nobody_is_added_or_deleted_by_hand(staff: Client) -> None:
    user = UserFactory()
    assert staff.get(reverse("admin:accounts_user_add")).status_code == 403
    assert staff.post(reverse("admin:accounts_user_delete", args=[user.pk])).status_code == 403


def test_a_suspended_moderator_is_out_at_once(staff: Client) -> None:
    User.objects.update(is_active=False)
    assert staff.get(reverse("admin:accounts_user_changelist")).status_code == 302


def test_the_paginator_counts_small_and_filtered_lists_exactly() -> None:
    UserFactory.create_batch(3)
    assert EstimatingPaginator(User.objects.order_by("pk"), 10).count == 3
    assert EstimatingPaginator(User.objects.filter(username="x").order_by("pk"), 10).count == 0
    assert site.is_registered(User)
