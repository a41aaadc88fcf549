"""The admin pages of posts and comments."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import AuditEntry
from posts import services
from posts.models import CaseState, Comment, Post
from tests.db.posts.moderation_cases import create_comment_target, create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


def test_search_and_filter_posts_and_comments(moderator: StaffMember, author: ApiUser, reader: ApiUser) -> None:
    post, other = create_post_target(author), create_post_target(reader)
    said = create_comment_target(reader, post)
    services.hide_post(other.id)
    gone = create_post_target(author)
    services.delete_post(gone.id, author.id)

    def found(model: str, **query: Any) -> list[int]:
        return [row.pk for row in moderator.rows(model, **query)]

    assert found("posts_post") == [other.id, post.id]
    assert found("posts_post", q=author.username) == [post.id]
    assert found("posts_post", q=str(other.id)) == [other.id]
    assert found("posts_post", author=reader.id) == [other.id]
    assert found("posts_post", hidden="1") == [other.id]
    assert found("posts_comment", q=reader.username) == [said.id]
    assert found("posts_comment", hidden="1") == []


@pytest.mark.parametrize("kind", ["post", "comment"])
def test_hide_restore_and_delete_on_the_content_page(kind: str, moderator: StaffMember, author: ApiUser) -> None:
    post = create_post_target(author, "my words")
    target = post if kind == "post" else create_comment_target(author, post, "my words")
    case, model = file_reports(target), f"posts_{kind}"
    rows: Any = Post.objects if kind == "post" else Comment.objects
    page = moderator.page(f"{model}_change", target.id)
    assert "my words" in page.content.decode()
    assert reverse("admin:posts_case_change", args=[case.pk]) in page.content.decode()
    assert moderator.run_action(model, "hide", target.id, reason="spam") == ["hidden."]
    assert rows.get(pk=target.id).hidden_at
    case.refresh_from_db()
    assert case.state == CaseState.ACTED
    assert moderator.run_action(model, "restore", target.id) == ["restored."]
    assert moderator.post_action(model, "delete", target.id).status_code == 200, "without a reason"
    assert moderator.run_action(model, "delete", target.id, reason="spam") == ["deleted."]
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["hide", "restore", "delete"]


@pytest.mark.parametrize("model", ["case", "post", "comment"])
def test_django_forms_cannot_add_change_or_delete(model: str, author: ApiUser) -> None:
    superuser, post = StaffMember(is_superuser=True), create_post_target(author)
    pk = {"case": file_reports(post).pk, "post": post.id, "comment": create_comment_target(author, post).id}[model]
    superuser.page(f"posts_{model}_add", status=403)
    superuser.page(f"posts_{model}_delete", pk, status=403)
    url = reverse(f"admin:posts_{model}_change", args=[pk])
    assert superuser.client.post(url, {"caption": "x", "text": "x", "state": "1"}).status_code == 403
