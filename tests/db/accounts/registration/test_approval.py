"""Accounts that await approval: no way in and invisible, until a moderator approves or rejects them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import approval, moderation, services, sessions
from accounts.auth_cache import get_auth_state
from accounts.models import AuditEntry, Erasure, OutgoingMail, User
from accounts.moderation import ActionRefused
from accounts.tokens import TokenRefused
from accounts.user_cache import get_user_summaries
from instafeed.backoffice import retention
from tests.db.accounts.auth_client import PASSWORD, get, is_token_accepted, post
from tests.db.accounts.registration.registering import register
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.factories import UserFactory
from tests.support.mails import send_due_mails, token_in
from tests.support.populated_account import run_erasure
from tests.support.staff import create_staff

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def approval_mode(settings: Settings) -> None:
    settings.REGISTRATION = "approval"


@pytest.fixture
def pending() -> User:
    assert register().status_code == 202
    return User.objects.get(username="alice")


@pytest.fixture
def moderator() -> User:
    return create_staff("Moderator")


def sign_in(name: str = "alice", password: str = PASSWORD) -> object:
    response = post("auth/token", {"username": name, "password": password})
    return response.status_code if response.status_code == 200 else response.json()["errors"][0]["code"]


def test_right_password_is_answered_with_approval_pending(pending: User) -> None:
    assert_error(post("auth/token", {"username": "Alice", "password": PASSWORD}), 403, "approval_pending")


def test_wrong_password_is_answered_like_an_unknown_account(pending: User) -> None:
    answers = [post("auth/token", {"username": name, "password": "wrong"}) for name in ("alice", "unknown")]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].content == answers[1].content


def test_right_password_does_not_count_as_an_attempt(pending: User, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"login": "2/hour", "login_address": "2/hour"}
    assert [sign_in() for _ in range(4)] == ["approval_pending"] * 4


@pytest.mark.parametrize("state", ["suspended", "deleted"])
def test_suspended_or_deleted_account_is_answered_with_wrong_credentials(pending: User, state: str) -> None:
    if state == "suspended":
        services.suspend(pending.pk)
    else:
        approval.reject(create_staff("Moderator"), pending.pk, "spam")
    assert sign_in() == "wrong_credentials"


def test_no_other_way_in(pending: User) -> None:
    User.objects.filter(pk=pending.pk).update(email_verified=True, is_staff=True, is_superuser=True)
    pending.refresh_from_db()
    with pytest.raises(TokenRefused):
        sessions.start(pending)
    post("auth/password/reset", {"email": pending.email})
    assert [mail.subject for mail in send_due_mails() if "password" in mail.subject] == []
    client = Client()
    response = client.post("/admin/login/", {"username": "alice", "password": PASSWORD})
    assert response.status_code == 200
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize("path", ["users/{}", "users/{}/posts", "users/{}/followers"])
def test_pending_account_is_404_like_a_missing_one(pending: User, path: str) -> None:
    viewer = ApiUser()
    answers = [viewer.call("get", f"/{path.format(name)}") for name in ("alice", "missing")]
    assert (answers[0].status_code, answers[0].content) == (404, answers[1].content)


def test_pending_account_cannot_be_found_or_followed(pending: User) -> None:
    viewer = ApiUser()
    assert viewer.get("/users?search=ali")["results"] == []
    assert viewer.call("post", "/users/alice/follow").status_code == 404
    assert viewer.call("post", "/users/alice/block").status_code == 404


def test_pending_user_verifies_the_address_and_is_still_pending(pending: User) -> None:
    (mail,) = send_due_mails()
    assert post("auth/email/verify", {"token": token_in(mail)}).status_code == 204
    pending.refresh_from_db()
    assert (pending.email_verified, pending.is_active) == (True, False)
    assert sign_in(pending.email) == "approval_pending"


def test_suspended_pending_user_cannot_verify(pending: User) -> None:
    (mail,) = send_due_mails()
    services.suspend(pending.pk)
    assert_error(post("auth/email/verify", {"token": token_in(mail)}), 400, "invalid_token")


def test_approval_opens_the_account_and_mails(pending: User, moderator: User) -> None:
    send_due_mails()
    assert get("users/alice").status_code == 404  # cached as missing
    assert approval.approve(moderator, pending.pk, "a friend of the house")
    assert sign_in() == 200
    assert get("users/alice").status_code == 200
    (mail,) = send_due_mails()
    assert (mail.to, "approved" in str(mail.body)) == (["alice@example.org"], True)
    pending.refresh_from_db()
    assert (pending.pending_since, pending.registration_address) == (None, "")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor_id, entry.user_id) == ("approve", moderator.pk, pending.pk)
    assert not approval.approve(moderator, pending.pk)
    assert not approval.reject(moderator, pending.pk, "too late")
    assert AuditEntry.objects.count() == 1


def test_approval_replaces_cached_states(pending: User, moderator: User) -> None:
    assert get_user_summaries([pending.pk]) == {}
    assert get_auth_state(pending.pk) is not None
    approval.approve(moderator, pending.pk)
    assert get_user_summaries([pending.pk]).keys() == {pending.pk}
    response = post("auth/token", {"username": "alice", "password": PASSWORD})
    assert is_token_accepted(response.json()["access"])


def test_no_mail_of_approval_to_the_owner_of_a_claimed_address(pending: User, moderator: User) -> None:
    send_due_mails()
    UserFactory(email=pending.email, email_verified=True)
    approval.approve(moderator, pending.pk)
    assert send_due_mails() == []


def test_rejection_erases_the_account_and_frees_the_name(pending: User, moderator: User) -> None:
    with pytest.raises(ActionRefused), transaction.atomic():
        approval.reject(moderator, pending.pk, " ")
    assert approval.reject(moderator, pending.pk, "spam")
    assert sign_in() == "wrong_credentials"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.reason) == ("reject", "spam")
    assert not approval.approve(moderator, pending.pk)
    run_erasure()
    assert not User.objects.filter(username="alice").exists()
    assert not OutgoingMail.objects.exists()
    assert register().status_code == 202


def test_lifted_suspension_does_not_approve(pending: User, moderator: User) -> None:
    moderation.suspend(moderator, pending.pk, None, "spam")
    moderation.lift_suspension(moderator, pending.pk)
    assert sign_in() == "approval_pending"
    moderation.suspend(moderator, pending.pk, timezone.now() + timedelta(days=1), "spam")
    User.objects.filter(pk=pending.pk).update(suspended_until=timezone.now())
    services.lift_due_suspensions()
    assert sign_in() == "approval_pending"


def test_approval_does_not_lift_a_suspension(pending: User, moderator: User) -> None:
    moderation.suspend(moderator, pending.pk, None, "spam")
    assert approval.approve(moderator, pending.pk)
    assert sign_in() == "wrong_credentials"
    moderation.lift_suspension(moderator, pending.pk)
    assert sign_in() == 200


def test_another_mode_approves_no_one(pending: User, settings: Settings) -> None:
    settings.REGISTRATION = "open"
    assert sign_in() == "approval_pending"


def test_database_refuses_an_active_pending_account(pending: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=pending.pk).update(is_active=True)


def test_only_superusers_decide_on_staff(pending: User, moderator: User) -> None:
    User.objects.filter(pk=pending.pk).update(is_staff=True)
    for decide in (approval.approve, approval.reject):
        with pytest.raises(ActionRefused), transaction.atomic():
            decide(moderator, pending.pk, "no")
    superuser = create_staff(is_superuser=True)
    with pytest.raises(ActionRefused), transaction.atomic():
        approval.reject(superuser, pending.pk, "no")
    assert approval.approve(superuser, pending.pk)


def test_undecided_registrations_are_deleted_after_a_while(settings: Settings) -> None:
    settings.PENDING_RETENTION_DAYS = 30
    for name, days in (("old.one", 31), ("old.two", 40), ("newer", 29)):
        assert register(name).status_code == 202
        User.objects.filter(username=name).update(pending_since=timezone.now() - timedelta(days=days))
    UserFactory(username="approved")
    assert retention.delete_expired_rows()
    assert set(Erasure.objects.values_list("user__username", flat=True)) == {"old.one", "old.two"}
    run_erasure()
    assert set(User.objects.values_list("username", flat=True)) == {"newer", "approved"}


def test_undecided_registrations_are_kept_with_0_days(pending: User, settings: Settings) -> None:
    settings.PENDING_RETENTION_DAYS = 0
    User.objects.update(pending_since=timezone.now() - timedelta(days=4_000))
    assert retention.delete_expired_rows()
    assert not Erasure.objects.exists()
