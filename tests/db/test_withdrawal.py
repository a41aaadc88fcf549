"""Likes, saves, comments, follows, blocks and mutes can be taken back after their target is out of sight."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import deletion
from accounts import services as accounts
from accounts.models import User
from posts import contacts, moderation, services
from posts.models import Comment, CommentLike, Like, Save, TargetType
from posts.services import Target
from social import services as social
from social.models import Block, Follow, Mute
from social.notifications.consumer import consume_batches
from tests.support.api_user import ApiUser
from tests.support.client_response import ClientResponse
from tests.support.factories import UserFactory
from tests.support.populated_account import assert_counts_are_exact

pytestmark = pytest.mark.django_db

Hide = Callable[[ApiUser, ApiUser, str], object]  # author, reader, post id
MISSING_ID = "382840948838629377"
HIDDEN_BY: dict[str, Hide] = {
    "private account": lambda author, reader, post: accounts.update_profile(author.id, {"is_private": True}),
    "block": lambda author, reader, post: social.block(author.id, reader.id),
    "own block": lambda author, reader, post: social.block(reader.id, author.id),
    "suspension": lambda author, reader, post: accounts.suspend(author.id),
    "moderator": lambda author, reader, post: services.hide_post(int(post)),
}
UNDO_CALLS = ("/posts/{post}/like", "/posts/{post}/save", "/comments/{theirs}/like", "/comments/{mine}")


@pytest.fixture
def author() -> ApiUser:
    return ApiUser()


@pytest.fixture
def reader() -> ApiUser:
    return ApiUser()


def react(author: ApiUser, reader: ApiUser) -> dict[str, str]:
    """Let the reader like, save and comment. Return the ids of the post and of both comments."""
    post = author.create_post()
    ids = {"post": post, "theirs": author.create_comment(post), "mine": reader.create_comment(post)}
    reader.like(post)
    for path in ("/posts/{post}/save", "/comments/{theirs}/like"):
        assert reader.call("post", path.format(**ids)).status_code == 200
    ApiUser().like(post)
    return ids


@pytest.mark.parametrize("hidden_by", HIDDEN_BY)
def test_reactions_are_withdrawn_from_hidden_posts(author: ApiUser, reader: ApiUser, hidden_by: str) -> None:
    ids = react(author, reader)
    HIDDEN_BY[hidden_by](author, reader, ids["post"])
    unliked, unsaved, comment_unliked, comment_deleted = (
        reader.call("delete", path.format(**ids)) for path in UNDO_CALLS
    )
    assert (unliked.status_code, unliked.json()) == (200, {"liked": False, "like_count": 0}), "the count is not told"
    assert (unsaved.status_code, unsaved.json()) == (200, {"saved": False})
    assert (comment_unliked.status_code, comment_unliked.json()) == (200, {"liked": False, "like_count": 0})
    assert (comment_deleted.status_code, comment_deleted.content) == (204, b"")
    assert not Save.objects.exists()
    assert not CommentLike.objects.exists()
    assert (Like.objects.filter(user_id=reader.id).exists(), Like.objects.count()) == (False, 1)
    assert list(Comment.objects.values_list("pk", flat=True)) == [int(ids["theirs"])]
    assert_counts_are_exact()


@pytest.mark.parametrize("hidden_by", HIDDEN_BY)
def test_hidden_post_is_missing_for_users_with_nothing_to_withdraw(
    author: ApiUser, reader: ApiUser, hidden_by: str
) -> None:
    stranger, ids = ApiUser(), react(author, reader)
    for caller in (reader, stranger):
        HIDDEN_BY[hidden_by](author, caller, ids["post"])
    for path in UNDO_CALLS:
        missing = stranger.call("delete", path.format(**dict.fromkeys(ids, MISSING_ID)))
        response = stranger.call("delete", path.format(**ids))
        assert (response.status_code, response.content) == (404, missing.content), path
    for path in UNDO_CALLS:
        assert reader.call("delete", path.format(**ids)).status_code < 300
        assert reader.call("delete", path.format(**ids)).status_code == 404, "there is nothing left"


def test_withdrawn_like_leaves_no_notification(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    reader.like(post)
    consume_batches()
    accounts.update_profile(author.id, {"is_private": True})
    assert len(author.get("/notifications")["results"]) == 1
    assert reader.call("delete", f"/posts/{post}/like").status_code == 200
    consume_batches()
    assert author.get("/notifications")["results"] == []


def test_own_comment_hidden_by_a_moderator_can_be_deleted(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    comment = reader.create_comment(post)
    target = Target(TargetType.COMMENT, int(comment), reader.id)
    assert moderation.hide(UserFactory(is_staff=True), target, "rude")
    for caller in (author, ApiUser()):
        assert caller.call("delete", f"/comments/{comment}").status_code == 404
    assert reader.call("delete", f"/comments/{comment}").status_code == 204
    assert author.get(f"/posts/{post}")["comment_count"] == 0


@pytest.mark.parametrize("deleted", ["post", "account"])
def test_nothing_is_left_of_deleted_targets(author: ApiUser, reader: ApiUser, deleted: str) -> None:
    reader.follow(author)
    ids = react(author, reader)
    if deleted == "post":
        author.call("delete", f"/posts/{ids['post']}")
    else:
        deletion.delete_account(author.id)
        assert reader.call("delete", f"/users/{author.username}/follow").status_code == 404
    for path in UNDO_CALLS:
        assert reader.call("delete", path.format(**ids)).status_code == 404


# --- Relations ---------------------------------------------------------------------------------------


def test_follow_and_request_of_a_suspended_account_are_withdrawn(author: ApiUser, reader: ApiUser) -> None:
    private = ApiUser(is_private=True)
    for account in (author, private):
        reader.follow(account)
        accounts.suspend(account.id)
        stranger = ApiUser()
        missing = stranger.call("delete", "/users/missing.user/follow")
        assert stranger.call("delete", f"/users/{account.username}/follow").content == missing.content
        assert reader.call("delete", f"/users/{account.username}/follow").status_code == 204
        assert reader.call("delete", f"/users/{account.username}/follow").content == missing.content
        accounts.reinstate(account.id)
        relationship = reader.get(f"/users/{account.username}")["relationship"]
        assert not relationship["following"]
        assert not relationship["requested"]
    assert not Follow.objects.exists()
    assert_counts_are_exact()


@pytest.mark.parametrize(("relation", "model"), [("block", Block), ("mute", Mute)])
@pytest.mark.parametrize("hidden_by", ["block", "suspension"])
def test_block_and_mute_are_withdrawn_from_hidden_users(
    author: ApiUser, reader: ApiUser, relation: str, model: type[Block | Mute], hidden_by: str
) -> None:
    path = f"/users/{author.username}/{relation}"
    assert reader.call("post", path).status_code == 204
    HIDDEN_BY[hidden_by](author, reader, "")
    left = model._default_manager.exclude(**{"blocker_id" if model is Block else "muter_id": author.id})
    assert left.exists()
    assert reader.call("delete", path).status_code == 204
    assert not left.exists()
    assert reader.call("delete", path).content == reader.call("delete", f"/users/missing.user/{relation}").content


# --- Comments of users who block the author of the post ----------------------------------------------


@pytest.mark.parametrize("blocked_by", ["writer", "author"])
def test_author_of_the_post_can_act_on_a_comment_after_a_block(
    author: ApiUser, reader: ApiUser, blocked_by: str
) -> None:
    comment = reader.create_comment(author.create_post(), "rude")
    one, other = (reader, author) if blocked_by == "writer" else (author, reader)
    social.block(one.id, other.id)
    for target_type, target_id in (("comment", comment), ("user", reader.id)):
        body = {"target_type": target_type, "target_id": str(target_id), "reason": "harassment"}
        assert author.call("post", "/reports", body).status_code == 201
    assert author.call("post", f"/users/{reader.username}/block").status_code == 204
    assert Block.objects.filter(blocker=author.user, blocked=reader.user).exists()
    assert author.call("delete", f"/comments/{comment}").status_code == 204
    assert author.call("delete", f"/users/{reader.username}/block").status_code == 204


def test_user_who_blocks_is_missing_for_others(author: ApiUser, reader: ApiUser) -> None:
    """Neither a comment on another post nor one on a deleted post lets the viewer act."""
    stranger, post = ApiUser(), author.create_post()
    reader.create_comment(ApiUser().create_post())
    comment = reader.create_comment(post, "rude")
    gone = stranger.create_post()
    reader.create_comment(gone)
    stranger.call("delete", f"/posts/{gone}")
    social.block(reader.id, stranger.id)
    for target_type, target_id in (("comment", comment), ("user", reader.id)):
        body = {"target_type": target_type, "target_id": str(target_id), "reason": "harassment"}
        missing = stranger.call("post", "/reports", body | {"target_id": MISSING_ID})
        assert stranger.call("post", "/reports", body).content == missing.content
    missing = stranger.call("post", "/users/missing.user/block")
    assert stranger.call("post", f"/users/{reader.username}/block").content == missing.content
    assert stranger.call("delete", f"/comments/{comment}").status_code == 404


def test_suspended_writer_is_not_reported(author: ApiUser, reader: ApiUser) -> None:
    comment = reader.create_comment(author.create_post(), "rude")
    social.block(reader.id, author.id)
    User.objects.filter(pk=reader.id).update(is_active=False, suspended_at=timezone.now() - timedelta(days=1))
    assert author.call("post", f"/users/{reader.username}/block").status_code == 404
    assert author.call("delete", f"/comments/{comment}").status_code == 404


# --- Users who write to someone and then block them -------------------------------------------------------


def mention_in_a_post(writer: ApiUser, reader: ApiUser) -> dict[str, str]:
    return {"post": writer.create_post(f"look at @{reader.username}.")}


def mention_in_a_comment(writer: ApiUser, reader: ApiUser) -> dict[str, str]:
    return {"comment": writer.create_comment(ApiUser().create_post(), f"look at @{reader.username}.")}


def mention_in_a_comment_on_an_own_post(writer: ApiUser, reader: ApiUser) -> dict[str, str]:
    return {"comment": writer.create_comment(writer.create_post(), f"look at @{reader.username}.")}


def reply_to_a_comment(writer: ApiUser, reader: ApiUser) -> dict[str, str]:
    post = ApiUser().create_post()
    body = {"text": "rude", "reply_to": reader.create_comment(post)}
    return {"comment": writer.call("post", f"/posts/{post}/comments", body).json()["id"]}


CONTACTS = [mention_in_a_post, mention_in_a_comment, mention_in_a_comment_on_an_own_post, reply_to_a_comment]


def report(caller: ApiUser, target_type: str, target_id: object) -> ClientResponse:
    body = {"target_type": target_type, "target_id": str(target_id), "reason": "harassment"}
    return caller.call("post", "/reports", body)


@pytest.mark.parametrize("contact", CONTACTS)
@pytest.mark.parametrize("blocked_by", ["writer", "reader"])
def test_who_was_written_to_can_report_and_block_after_a_block(
    author: ApiUser, reader: ApiUser, blocked_by: str, contact: Callable[[ApiUser, ApiUser], dict[str, str]]
) -> None:
    written, stranger = contact(author, reader), ApiUser()
    one, other = (author, reader) if blocked_by == "writer" else (reader, author)
    social.block(one.id, other.id)
    social.block(author.id, stranger.id)
    for target_type, target_id in (*written.items(), ("user", author.id)):
        assert report(reader, target_type, target_id).status_code == 201
        assert report(stranger, target_type, target_id).content == report(stranger, target_type, MISSING_ID).content
    assert reader.call("post", f"/users/{author.username}/block").status_code == 204
    assert stranger.call("post", f"/users/{author.username}/block").status_code == 404


@pytest.mark.parametrize("text", ["@{name}x", "@{name}.x", "x@{name}", "https://site.example/@{name}"])
def test_what_only_looks_like_a_mention_is_no_contact(author: ApiUser, reader: ApiUser, text: str) -> None:
    comment = author.create_comment(ApiUser().create_post(), text.format(name=reader.username))
    social.block(author.id, reader.id)
    assert report(reader, "user", author.id).status_code == 404
    assert report(reader, "comment", comment).status_code == 404


def test_mention_on_a_post_that_the_user_never_saw_is_not_told(author: ApiUser, reader: ApiUser) -> None:
    private = ApiUser(is_private=True)
    author.follow(private)
    social.accept_request(private.id, author.id)
    comment = author.create_comment(private.create_post(), f"@{reader.username}")
    assert report(reader, "comment", comment).content == report(reader, "comment", MISSING_ID).content


def test_deleted_or_hidden_content_cannot_be_reported_despite_the_contact(author: ApiUser, reader: ApiUser) -> None:
    post = mention_in_a_post(author, reader)["post"]
    comment = reply_to_a_comment(author, reader)["comment"]
    services.hide_post(int(post))
    services.hide_comment(int(comment))
    assert [report(reader, *target).status_code for target in (("post", post), ("comment", comment))] == [404, 404]


def test_contact_is_one_query(author: ApiUser, reader: ApiUser) -> None:
    for _ in range(3):
        mention_in_a_comment(author, reader)
    with CaptureQueriesContext(connection) as queries:
        assert contacts.has_contacted(reader.id, author.id)
    assert len(queries) == 1
