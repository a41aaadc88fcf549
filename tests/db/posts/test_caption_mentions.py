"""Notifications of mentions follow the edits of a caption."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts import services as accounts
from accounts.models import FormerUsername
from posts import mentions
from tests.db.media.lifecycle import post_notifications
from tests.support.api_user import ApiUser
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


def edit(author: ApiUser, post: str, caption: str) -> None:
    assert author.call("patch", f"/posts/{post}", {"caption": caption}).status_code == 200


def test_edit_announces_new_mentions_and_retracts_removed_ones(author: ApiUser, reader: ApiUser) -> None:
    other = ApiUser()
    post = author.create_post(f"with @{reader.username}")
    assert post_notifications(reader) == [("mention", post)]
    edit(author, post, f"with @{other.username}")
    assert (post_notifications(reader), post_notifications(other)) == ([], [("mention", post)])
    edit(author, post, f"@{reader.username} and @{other.username}")
    assert (post_notifications(reader), post_notifications(other)) == ([("mention", post)], [("mention", post)])


@pytest.mark.parametrize("change", ["renamed", "suspended"])
def test_mention_removed_after_a_change_of_the_account_is_retracted(
    author: ApiUser, reader: ApiUser, change: str
) -> None:
    post = author.create_post(f"with @{reader.username}")
    assert post_notifications(reader) == [("mention", post)]
    if change == "renamed":
        accounts.update_profile(reader.id, {"username": "renamed.user"})
    else:
        accounts.suspend(reader.id)
    edit(author, post, "alone")
    accounts.reinstate(reader.id)
    assert post_notifications(reader) == []


@pytest.mark.parametrize("change", ["renamed", "suspended"])
def test_mention_left_in_the_caption_keeps_its_notification(author: ApiUser, reader: ApiUser, change: str) -> None:
    other = ApiUser()
    post = author.create_post(f"with @{reader.username} and @{other.username}")
    if change == "renamed":
        accounts.update_profile(reader.id, {"username": "renamed.user"})
        FormerUsername.objects.update(reserved_until=timezone.now())
        UserFactory(username=reader.username)  # the new owner of the name is not mentioned
    else:
        accounts.suspend(reader.id)
    edit(author, post, f"only with @{reader.username}")
    accounts.reinstate(reader.id)
    assert (post_notifications(reader), post_notifications(other)) == ([("mention", post)], [])


def test_account_mentioned_by_two_names_is_retracted_with_the_last_one(author: ApiUser, reader: ApiUser) -> None:
    old_name = reader.username
    post = author.create_post(f"with @{old_name}")
    accounts.update_profile(reader.id, {"username": "renamed.user"})
    edit(author, post, f"with @{old_name} and @renamed.user")
    edit(author, post, "with @renamed.user")
    assert post_notifications(reader) == [("mention", post)]
    edit(author, post, "alone")
    assert post_notifications(reader) == []


def test_edits_do_not_exceed_the_number_of_notified_mentions(
    author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mentions, "MAX_NOTIFIED_MENTIONS", 1)
    other = ApiUser()
    post = author.create_post(f"with @{reader.username}")
    edit(author, post, f"with @{other.username} and @{reader.username}")
    assert (post_notifications(reader), post_notifications(other)) == ([("mention", post)], [])


def test_former_username_still_mentions_the_account(author: ApiUser, reader: ApiUser) -> None:
    old_name = reader.username
    accounts.update_profile(reader.id, {"username": "renamed.user"})
    post = author.create_post(f"with @{old_name}")
    author.create_comment(author.create_post(), f"and @{old_name}")
    assert [kind for kind, _ in post_notifications(reader)] == ["mention", "mention"]
    FormerUsername.objects.update(reserved_until=timezone.now())
    edit(author, post, "alone")
    edit(author, post, f"with @{old_name}")
    assert len(post_notifications(reader)) == 1


def test_suspended_account_is_not_mentioned_by_a_former_username(author: ApiUser, reader: ApiUser) -> None:
    old_name = reader.username
    accounts.update_profile(reader.id, {"username": "renamed.user"})
    accounts.suspend(reader.id)
    assert mentions.get_mentioned_users(f"@{old_name}") == {}
