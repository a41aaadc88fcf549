"""Policies in the admin, and the actions on a user's page that need the apps above accounts."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from accounts.models import AuditEntry, Policy, Reason
from posts.models import Note
from social.models import ModeratorMessage
from tests.db.posts.moderation_cases import create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


@pytest.fixture
def superuser() -> StaffMember:
    return StaffMember(is_superuser=True, username="root")


def test_moderator_warns_and_leaves_a_note_on_a_users_page(moderator: StaffMember) -> None:
    user = UserFactory()
    policy = Policy.objects.get(reason=Reason.SPAM)
    assert moderator.run_action("accounts_user", "warn", user.pk, policy=policy.pk) == ["warned."]
    assert ModeratorMessage.objects.get(recipient_id=user.pk).text == policy.text
    assert moderator.run_action("accounts_user", "note", user.pk, reason="Third account.") == ["noted."]
    assert Note.objects.get(user_id=user.pk).text == "Third account."
    assert AuditEntry.objects.get().policy_name == policy.name
    assert "Third account." in moderator.page("accounts_user_change", user.pk).content.decode()
    reader = StaffMember()
    reader.user.user_permissions.set(Permission.objects.filter(codename="view_user"))
    assert "Third account." not in reader.page("accounts_user_change", user.pk).content.decode()


# --- Policies ----------------------------------------------------------------------------------------


def test_superusers_keep_the_policies_and_changes_are_audited(superuser: StaffMember) -> None:
    form = {"name": "Fraud", "text": "No fraud.", "severity": 3, "default_action": "hide", "is_active": "on"}
    add = reverse("admin:accounts_policy_add")
    assert superuser.client.post(add, form).status_code == 302
    policy = Policy.objects.get(name="Fraud")
    assert superuser.client.post(add, form | {"name": "Spam 2", "reason": "spam"}).status_code == 200
    change = reverse("admin:accounts_policy_change", args=[policy.pk])
    assert superuser.client.post(change, form | {"is_active": "", "severity": 4}).status_code == 302
    rows = AuditEntry.objects.filter(target_type="policy", target_id=policy.pk).order_by("pk")
    assert list(rows.values_list("action", "after")) == [
        ("add_policy", {key: value for key, value in form.items() if key != "is_active"}),
        ("change_policy", {"is_active": False, "severity": 4}),
    ]


def test_a_policy_out_of_use_is_not_offered(moderator: StaffMember) -> None:
    user, policy = UserFactory(), Policy.objects.get(reason=Reason.SPAM)
    Policy.objects.filter(pk=policy.pk).update(is_active=False)
    response = moderator.post_action("accounts_user", "warn", user.pk, policy=policy.pk, reason="x")
    assert response.status_code == 200
    assert "policy" in response.context["bound_action"].form.errors


def test_the_reports_suggest_a_policy(moderator: StaffMember) -> None:
    author = ApiUser()
    case = file_reports(create_post_target(author), 2, Reason.HATE)
    page = moderator.page("posts_case_change", case.pk)
    bound = {each.action.name: each for each in page.context["bound_actions"]}
    hate = Policy.objects.get(reason=Reason.HATE)
    assert bound["hide"].form.initial["policy"] == str(hate.pk)
    assert [name for name, each in bound.items() if each.is_suggested] == ["hide_and_warn"]
    assert f'data-text="{hate.text}"' in page.content.decode()
