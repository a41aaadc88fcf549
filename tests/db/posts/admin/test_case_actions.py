"""Moderation actions on the page of a case: effect, permissions and forms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from posts import services
from posts.models import Case, CaseState, Post
from social.models import ModeratorMessage
from tests.db.posts.moderation_cases import create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


def get_expected_versions(page: Any, action: str) -> dict[str, int]:
    """Return the hidden version fields of an action's form on a row's page."""
    (bound_action,) = [bound for bound in page.context["bound_actions"] if bound.action.name == action]
    return {f"version-{pk}": number for pk, number in bound_action.versions.items()}


FORM_DATA: dict[str, dict[str, str]] = {
    "dismiss": {},
    "hide": {"reason": "spam"},
    "restore": {},
    "delete": {"reason": "spam"},
    "warn": {"reason": "Careful."},
    "suspend": {"reason": "spam", "length": "7"},
    "lift": {"reason": "appeal"},
}


def prepare_case(action: str, author: ApiUser) -> Case:
    target = create_post_target(author)
    case = file_reports(target)
    if action == "restore":
        services.hide_post(target.id)
    if action == "lift":
        User.objects.filter(pk=author.id).update(is_active=False, suspended_at=timezone.now())
    return case


def has_effect(action: str, case: Case) -> bool:
    post, author = Post.objects.get(pk=case.target_id), User.objects.get(pk=case.user_id)
    case.refresh_from_db()
    return {
        "dismiss": case.state == CaseState.DISMISSED,
        "hide": post.hidden_at is not None,
        "restore": post.hidden_at is None,
        "delete": post.deleted_at is not None,
        "warn": ModeratorMessage.objects.filter(recipient_id=author.pk, text="Careful.").exists(),
        "suspend": author.suspended_until is not None and not author.is_active,
        "lift": author.is_active,
    }[action]


@pytest.mark.parametrize("action", FORM_DATA)
def test_moderator_acts_on_a_case_page(action: str, moderator: StaffMember, author: ApiUser) -> None:
    case = prepare_case(action, author)
    versions = get_expected_versions(moderator.page("posts_case_change", case.pk), action)
    messages = moderator.run_action("posts_case", action, case.pk, **FORM_DATA[action], **versions)
    assert has_effect(action, case), messages
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.action, entry.reason) == ("mod", action, FORM_DATA[action].get("reason", ""))
    repeated = moderator.run_action("posts_case", action, case.pk, **FORM_DATA[action], **versions)
    assert AuditEntry.objects.count() == 1
    if action == "suspend":
        assert "Suspended meanwhile until" in repeated[0]
    elif action != "delete":
        assert repeated[0].startswith("This was already done by mod"), repeated


@pytest.mark.parametrize("action", FORM_DATA)
@pytest.mark.parametrize("who", ["plain staff", "operator", "user", "anonymous"])
def test_others_cannot_act(action: str, who: str, author: ApiUser) -> None:
    case = prepare_case(action, author)
    staff = StaffMember("Operator") if who == "operator" else StaffMember()
    if who == "user":
        User.objects.filter(pk=staff.user.pk).update(is_staff=False)
    if who == "anonymous":
        staff.client.logout()
    response = staff.post_action("posts_case", action, case.pk, **FORM_DATA[action], **{f"version-{case.pk}": 1})
    if who in ("plain staff", "operator"):
        assert response.status_code == 403
    else:
        assert response.status_code == 302
        assert "login" in response["Location"]
    assert not AuditEntry.objects.exists()
    assert Case.objects.get().state == CaseState.OPEN
    for model in ("case", "post", "comment"):
        staff.page(f"posts_{model}_changelist", status=response.status_code)


def test_each_action_needs_its_own_permission(author: ApiUser) -> None:
    staff, case = StaffMember(), prepare_case("hide", author)
    rights = ("view_case", "moderate_post")
    staff.user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    page = staff.page("posts_case_change", case.pk)
    assert [bound.action.name for bound in page.context["bound_actions"]] == [
        *("dismiss", "hide", "delete", "escalate", "note")
    ]
    assert page.context["detail"].reports
    assert case.target_type in page.content.decode()
    assert "by</th><th>reason" not in page.content.decode(), (
        "reporters are shown only with the permission to view reports"
    )
    assert staff.post_action("posts_case", "suspend", case.pk, **FORM_DATA["suspend"]).status_code == 403


@pytest.mark.parametrize(
    ("action", "given", "wrong"),
    [
        ("hide", {"reason": "  "}, "reason"),
        ("hide", {"reason": "x" * 1_001}, "reason"),
        ("hide", {"reason": "a\0b"}, "reason"),
        ("warn", {}, "reason"),
        ("delete", {}, "reason"),
        ("suspend", {"length": "7"}, "reason"),
        ("suspend", {"reason": "spam", "length": "5"}, "length"),
        ("suspend", {"reason": "spam", "length": "x"}, "until"),
        ("suspend", {"reason": "spam", "length": "x", "until": "2020-01-01T00:00"}, "until"),
        ("suspend", {"reason": "spam", "length": "x", "until": "soon"}, "until"),
        ("suspend", {"reason": "spam", "length": "7", "until": "2099-01-01T00:00"}, "until"),
    ],
)
def test_invalid_form_is_shown_again(
    action: str, given: dict[str, str], wrong: str, moderator: StaffMember, author: ApiUser
) -> None:
    case = prepare_case(action, author)
    response = moderator.post_action("posts_case", action, case.pk, **given)
    assert response.status_code == 200
    assert wrong in response.context["bound_action"].form.errors
    assert 'class="errorlist' in response.content.decode()
    assert not AuditEntry.objects.exists()


SOON = timezone.now() + timedelta(days=1_000)


@pytest.mark.parametrize(
    ("given", "days"),
    [({"length": ""}, None), ({"length": "30"}, 30), ({"length": "x", "until": f"{SOON:%Y-%m-%dT%H:%M}"}, 999)],
)
def test_suspension_length(given: dict[str, str], days: int | None, moderator: StaffMember, author: ApiUser) -> None:
    case = prepare_case("suspend", author)
    moderator.run_action("posts_case", "suspend", case.pk, reason="spam", **given)
    user = User.objects.get(pk=author.id)
    assert not user.is_active
    assert (user.suspended_until is None) == (days is None)
    if user.suspended_until and days:
        assert user.suspended_until > timezone.now() + timedelta(days=days - 1)


def test_actions_require_post_and_csrf_token(moderator: StaffMember, author: ApiUser) -> None:
    case = prepare_case("hide", author)
    url = reverse("admin:posts_case_act", args=["hide"])
    assert moderator.client.get(url)["Location"] == reverse("admin:posts_case_changelist")
    moderator.client.handler.enforce_csrf_checks = True
    assert moderator.post_action("posts_case", "hide", case.pk, reason="spam").status_code == 403
    moderator.client.handler.enforce_csrf_checks = False
    assert moderator.post_action("posts_case", "nonsense", case.pk).status_code == 404
    for pks in ([], ["x"], ["9" * 40], ["1"] * 51):
        assert moderator.client.post(url, {"pk": pks, "reason": "spam"}).status_code == 400
    assert moderator.run_action("posts_case", "hide", 17, reason="spam") == ["This does not exist any more."]
    assert not AuditEntry.objects.exists()


def test_redirect_stays_on_the_site(moderator: StaffMember, author: ApiUser) -> None:
    case = prepare_case("hide", author)
    for back in ("https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"):
        response = moderator.post_action("posts_case", "hide", case.pk, reason="spam", back=back)
        assert response["Location"] == reverse("admin:posts_case_changelist")
