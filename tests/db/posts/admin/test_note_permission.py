"""Who reads the notes of moderators."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission

from posts import moderation
from tests.db.posts.moderation_cases import create_post_target
from tests.support.api_user import ApiUser
from tests.support.staff import StaffMember

pytestmark = pytest.mark.django_db


def test_notes_are_for_moderators_only(author: ApiUser, moderator: StaffMember) -> None:
    post = create_post_target(author)
    moderation.add_note(moderator.user, post, "a note of a moderator")
    viewer = StaffMember()
    viewer.user.user_permissions.add(Permission.objects.get(codename="view_post"))
    for staff, is_shown in ((moderator, True), (viewer, False)):
        assert ("a note of a moderator" in staff.page("posts_post_change", post.id).content.decode()) == is_shown
