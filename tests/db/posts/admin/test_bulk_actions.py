"""Bulk actions of the admin lists."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.urls import reverse

from accounts.admin.actions import ActionInput
from accounts.models import AuditEntry, User
from posts import services
from posts.admin.actions import HIDE
from posts.admin.content import PostAdmin
from posts.models import Case, CaseState, Post
from posts.moderation.targets import TargetSnapshot
from tests.db.posts.moderation_cases import create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


def choose_bulk_action(staff: StaffMember, model: str, action: str, rows: list[Any], **more: Any) -> Any:
    """Submit a bulk action on the list and return the response."""
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], "index": "0", **more}
    return staff.client.post(reverse(f"admin:{model}_changelist") + "?type=post", data)


def test_bulk_action_asks_for_a_reason_then_acts_on_all(moderator: StaffMember, author: ApiUser) -> None:
    cases = [file_reports(create_post_target(author, f"post {number}")) for number in range(3)]
    page = choose_bulk_action(moderator, "posts_case", "hide", cases)
    assert page.status_code == 200
    assert all(f"post {number}" in page.content.decode() for number in range(3))
    assert not AuditEntry.objects.exists()
    back = page.context["back"]
    assert back.endswith("?type=post")
    ids = [case.pk for case in cases]
    assert moderator.post_action("posts_case", "hide", *ids, back=back).status_code == 200, "without a reason"
    response = moderator.post_action("posts_case", "hide", *ids, back=back, reason="spam wave")
    assert response["Location"] == back
    assert Post.objects.filter(hidden_at__isnull=False).count() == 3
    assert set(AuditEntry.objects.values_list("action", "reason")) == {("hide", "spam wave")}
    assert AuditEntry.objects.count() == 3
    assert moderator.rows("posts_case") == []


def test_bulk_dismissal_skips_cases_with_new_reports(moderator: StaffMember, author: ApiUser) -> None:
    targets = [create_post_target(author) for _ in range(2)]
    cases = [file_reports(target) for target in targets]
    page = choose_bulk_action(moderator, "posts_case", "dismiss", cases)
    versions = {f"version-{pk}": number for pk, _, number in page.context["rows"]}
    assert set(versions.values()) == {1}
    file_reports(targets[1])
    messages = moderator.run_action(
        "posts_case", "dismiss", *[case.pk for case in cases], back=page.context["back"], **versions
    )
    assert messages[0] == "1 dismissed."
    assert "1 new report" in messages[1]
    assert moderator.rows("posts_case") == [cases[1]]


def test_bulk_suspension_suspends_each_author_once(moderator: StaffMember, author: ApiUser) -> None:
    cases = [
        file_reports(create_post_target(author)),
        file_reports(create_post_target(author)),
        file_reports(create_post_target(ApiUser())),
    ]
    page = choose_bulk_action(moderator, "posts_case", "suspend", cases)
    versions = {f"version-{pk}": number for pk, _, number in page.context["rows"]}
    ids = [case.pk for case in cases]
    messages = moderator.run_action("posts_case", "suspend", *ids, reason="spam ring", length="", **versions)
    assert messages == ["2 suspended.", "1 more of the same accounts closed."]
    assert sorted(AuditEntry.objects.values_list("action", flat=True)) == ["close", "suspend", "suspend"]
    assert User.objects.filter(suspended_at__isnull=False).count() == 2
    assert not Case.objects.filter(state=CaseState.OPEN).exists()


def test_repeated_action_names_the_earlier_moderator_of_that_target_only(
    moderator: StaffMember, author: ApiUser
) -> None:
    posts = [create_post_target(author), create_post_target(author)]
    moderator.run_action("posts_post", "hide", posts[0].id, reason="spam")
    services.hide_post(posts[1].id)
    assert moderator.run_action("posts_post", "hide", posts[1].id, reason="spam") == [
        "This was already done. Nothing changed."
    ]
    repeated = moderator.run_action("posts_post", "hide", posts[0].id, reason="spam")
    assert repeated[0].startswith("This was already done by mod at")


def test_error_in_a_bulk_action_keeps_the_earlier_ones(
    moderator: StaffMember, author: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts, unpublished = [create_post_target(author) for _ in range(3)], list[Any]()

    def fails_at_the_second(actor: User, snapshot: TargetSnapshot, given: ActionInput) -> bool:
        if snapshot.target == posts[1]:
            raise RuntimeError("unexpected")
        return HIDE.perform(actor, snapshot, given)

    monkeypatch.setattr(PostAdmin, "admin_actions", [replace(HIDE, perform=fails_at_the_second)])
    monkeypatch.setattr("posts.admin.actions.unpublish_files", lambda owners, first: unpublished.append(owners))
    with pytest.raises(RuntimeError):
        moderator.post_action("posts_post", "hide", *[post.id for post in posts], reason="spam")
    assert unpublished == [{author.id}]
    assert Post.objects.filter(hidden_at__isnull=False).count() == 1


def test_bulk_action_covers_selected_rows_only(moderator: StaffMember, author: ApiUser) -> None:
    cases = [file_reports(create_post_target(author)) for _ in range(2)]
    page = choose_bulk_action(moderator, "posts_case", "hide", cases[:1], select_across="1")
    assert [pk for pk, *_ in page.context["rows"]] == [cases[0].pk]
    assert choose_bulk_action(moderator, "posts_case", "nonsense", cases).status_code in (200, 302)
    assert choose_bulk_action(StaffMember(), "posts_case", "hide", cases).status_code == 403
