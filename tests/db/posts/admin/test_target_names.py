"""The beginnings of texts that name the targets of audit entries."""

from __future__ import annotations

import pytest

from posts import moderation, services
from tests.db.posts.moderation_cases import create_comment_target, create_post_target
from tests.support.api_user import ApiUser
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


def test_hidden_texts_are_quoted_only_to_those_who_may_see_them(author: ApiUser, moderator: StaffMember) -> None:
    post = create_post_target(author, "a hidden caption")
    comment = create_comment_target(author, post, "a hidden comment")
    for target in (comment, post):
        moderation.hide(moderator.user, target, "spam")
    for staff, is_quoted in ((moderator, True), (StaffMember("Operator"), False)):
        page = staff.page("accounts_user_change", author.id).content.decode()
        assert f"post {post.id}" in page or is_quoted
        assert [text in page for text in ("a hidden caption", "a hidden comment")] == [is_quoted, is_quoted]


def test_texts_of_deleted_posts_are_not_quoted(author: ApiUser, moderator: StaffMember) -> None:
    post = create_post_target(author, "a deleted caption")
    comment = create_comment_target(author, post, "a deleted comment")
    for target in (comment, post):
        moderation.warn(moderator.user, target, "careful", expected_version=0)
    services.delete_post(post.id, author.id)
    page = moderator.page("accounts_user_change", author.id).content.decode()
    assert "a deleted" not in page
