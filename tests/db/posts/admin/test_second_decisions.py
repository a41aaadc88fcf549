"""Two moderators who have the same open case on the screen: only one of them decides it."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import AuditEntry, User
from posts.models import Case, CaseState, Post
from social.models import ModeratorMessage
from tests.db.posts.moderation_cases import create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(author: ApiUser) -> Case:
    return file_reports(create_post_target(author))


def seen(staff: StaffMember, case: Case) -> dict[str, str]:
    """Return what the forms of the case's page send about the state of the case that the page shows."""
    page = staff.page("posts_case_change", case.pk).content.decode()
    name = f"seen-{case.pk}"
    return {name: "open"} if f'<input type="hidden" name="{name}" value="open">' in page else {}


@pytest.mark.parametrize("action", ["hide", "hide_and_warn", "delete", "warn", "suspend"])
def test_decision_from_an_old_page_is_refused(action: str, moderator: StaffMember, case: Case) -> None:
    old, colleague = seen(moderator, case), StaffMember("Moderator")
    assert old
    version = {f"version-{case.pk}": "1"}
    assert colleague.run_action("posts_case", "dismiss", case.pk, **version) == ["dismissed."]
    (message,) = moderator.run_action("posts_case", action, case.pk, reason="spam", length="7", **old)
    assert message.endswith("This case was decided meanwhile. Check it again.")
    case.refresh_from_db()
    assert (case.state, AuditEntry.objects.count()) == (CaseState.DISMISSED, 1)
    assert Post.objects.get().hidden_at is None
    assert not ModeratorMessage.objects.exists()
    assert not User.objects.filter(suspended_at__isnull=False).exists()

    fresh = seen(moderator, case)
    assert not fresh, "the page shows that it is closed now"
    moderator.run_action("posts_case", action, case.pk, reason="spam", length="7", **fresh)
    assert AuditEntry.objects.count() > 1


def test_same_decision_from_an_old_page_was_done_already(moderator: StaffMember, case: Case) -> None:
    old = seen(moderator, case)
    StaffMember("Moderator", username="first").run_action("posts_case", "hide", case.pk, reason="spam")
    (message,) = moderator.run_action("posts_case", "hide", case.pk, reason="spam", **old)
    assert message.startswith("This was already done by first")


def test_confirmation_of_a_bulk_action_has_the_state(moderator: StaffMember, case: Case) -> None:
    data = {"action": "hide", "_selected_action": [str(case.pk)]}
    page = moderator.client.post(reverse("admin:posts_case_changelist"), data).content.decode()
    assert f'name="seen-{case.pk}" value="open"' in page
