"""GET /me/export"""

from __future__ import annotations

import json
import tracemalloc
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from jsonschema import Draft202012Validator
from pytest_django import Settings

from accounts import audit, export, personal_data_registry, services, sessions
from accounts.models import Session, User
from instafeed.core.api import throttling
from instafeed.core.api.openapi.public_document import StrictSchemaGenerator
from posts.models import Comment, Post
from social.models import Follow
from social.notifications.consumer import consume_batches
from tests.db.accounts.auth_client import PASSWORD, bearer, get, start_session
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.factories import BlockFactory, FollowFactory, MuteFactory, UserFactory
from tests.support.populated_account import populate_account

pytestmark = pytest.mark.django_db

DISPLAY_NAME = 'Al "the" ice\u2028🐚'
EXPORT_QUERIES = 34
SECTIONS = {
    *("profile", "former_usernames", "sessions", "second_factor", "mails", "mailed_links"),
    *("idempotent_answers", "moderation"),
    *("following", "followers", "follow_requests_sent", "follow_requests_received", "blocks", "mutes", "notifications"),
    *("warnings", "decisions", "notification_preferences", "push_subscriptions"),
    *("media", "posts", "comments", "likes", "comment_likes", "saved", "reports"),
}


@pytest.fixture
def alice() -> User:
    return UserFactory(username="alice", email="alice@example.org", display_name=DISPLAY_NAME, password=PASSWORD)


def download_export(user: User) -> Any:
    return json.loads(b"".join(export.stream_export(user.pk)))


def test_export_is_a_download_with_all_sections(alice: User) -> None:
    friend, other, foe = populate_account(alice)
    response = Client().get("/api/v1/me/export", headers=bearer(start_session(alice).access))
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response["Content-Disposition"] == 'attachment; filename="instafeed-alice.json"'
    assert response.streaming
    body = json.loads(response.getvalue())
    assert set(body) == SECTIONS
    assert [section for section, rows in body.items() if not rows] == []
    assert [row["username"] for row in body["followers"]] == [friend.username, other.username]
    assert body["following"][0]["id"] == str(friend.pk)
    assert [row["username"] for row in body["mutes"]] == [None], "a user who blocks alice has no name in her export"
    assert [row["id"] for row in body["blocks"]] == [str(foe.pk)]
    post = body["posts"][0]
    assert (post["hashtags"], post["mentions"]) == (["tag"], [friend.username])
    assert (post["like_count"], post["comment_count"]) == (1, 2)
    assert post["media"][0]["id"] == body["media"][0]["id"]
    assert body["media"][0]["url"].endswith("/1080.webp")
    assert {comment["text"] for comment in body["comments"]} == {"well said", "thank you"}
    assert {entry["kind"] for entry in body["notifications"]} >= {"like", "comment"}
    assert body["idempotent_answers"][0]["answer"] == {"id": "1"}


def test_export_has_exactly_the_documented_rows(alice: User) -> None:
    populate_account(alice)
    schemas = StrictSchemaGenerator().get_schema(request=None, public=True)["components"]["schemas"]
    assert set(schemas["ExportedData"]["properties"]) == SECTIONS
    strict_rows = {**schemas["ExportedData"], "components": {"schemas": {**schemas, **_without_more_fields(schemas)}}}
    Draft202012Validator(strict_rows).validate(download_export(alice))


def _without_more_fields(schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas of exported rows, changed to reject undocumented fields."""
    rows = {name: schema for name, schema in schemas.items() if name.startswith("Exported")}
    assert len(rows) >= 12
    return {name: {**schema, "additionalProperties": False} for name, schema in rows.items()}


def test_moderation_section_omits_staff_and_reporters(alice: User) -> None:
    moderator = UserFactory(username="moderator")
    for action, target, reason in (("warn", 1, "Be nice."), ("hide", 2, "spam, says bob"), ("dismiss", 3, "not so")):
        audit.record(moderator, action, "post", target, user_id=alice.pk, reason=reason)
    audit.record(moderator, "hide", "post", 4, user_id=UserFactory().pk, reason="about another user")
    rows = download_export(alice)["moderation"]
    assert all(datetime.fromisoformat(row.pop("created_at")) for row in rows)
    assert rows == [
        {"action": "warn", "target_type": "post", "target_id": "1", "reason": "Be nice."},
        {"action": "hide", "target_type": "post", "target_id": "2", "reason": None},
    ]


def test_profile_section_keeps_text_unchanged(alice: User) -> None:
    (profile,) = download_export(alice)["profile"]
    assert profile["id"] == str(alice.pk)
    assert (profile["username"], profile["email"]) == ("alice", "alice@example.org")
    assert profile["display_name"] == DISPLAY_NAME
    assert datetime.fromisoformat(profile["created_at"])


def test_export_omits_secrets_and_blocks_by_others(alice: User) -> None:
    populate_account(alice)
    enemy = UserFactory(username="enemy")
    BlockFactory(blocker=enemy, blocked=alice)
    MuteFactory(muter=enemy, muted=alice)
    tokens = sessions.start(alice)
    alice.refresh_from_db()
    text = b"".join(export.stream_export(alice.pk)).decode()
    for secret in (alice.password, Session.objects.latest("pk").refresh_jti, tokens.refresh, "enemy"):
        assert secret not in text
    assert '"password"' not in text
    assert not {"blocked_by", "muted_by", "reports_about"} & set(json.loads(text))


def test_empty_account_has_empty_sections(alice: User) -> None:
    body = download_export(alice)
    assert len(body.pop("profile")) == 1
    assert set(body) == SECTIONS - {"profile"}
    assert set(map(len, body.values())) == {0}


def test_hidden_posts_are_exported_and_deleted_posts_are_not(alice: User) -> None:
    for hidden, deleted in ((True, False), (False, True)):
        moment = datetime.fromisoformat("2026-01-31T09:30:00Z")
        Post.objects.create(
            author=alice,
            caption="gone" if deleted else "hidden",
            hidden_at=moment if hidden else None,
            deleted_at=moment if deleted else None,
        )
    (post,) = download_export(alice)["posts"]
    assert (post["caption"], post["hidden_at"]) == ("hidden", "2026-01-31T09:30:00Z")


def test_notifications_about_hidden_posts_and_comments_are_omitted() -> None:
    """The export has the entries of GET /notifications, in the same order."""
    alice, bob, carol = ApiUser(username="alice", password=PASSWORD), ApiUser(), ApiUser()
    shown_post, hidden_post = bob.create_post("for @alice"), bob.create_post("also for @alice")
    private_post = carol.create_post("and for @alice")
    own_post = alice.create_post()
    hidden_comment = bob.create_comment(own_post, "rude")
    bob.create_comment(own_post, "kind")
    while consume_batches():
        pass
    assert len(download_export(alice.user)["notifications"]) == 5
    Post.objects.filter(pk=hidden_post).update(hidden_at=timezone.now())
    Comment.objects.filter(pk=hidden_comment).update(hidden_at=timezone.now())
    services.update_profile(carol.id, {"is_private": True})
    exported = download_export(alice.user)["notifications"]
    shown = alice.get("/notifications?limit=100")["results"]
    assert {entry["post_id"] for entry in exported} == {shown_post, own_post}
    assert private_post not in str(exported)
    assert [(entry["kind"], entry["comment_id"]) for entry in exported] == [
        (entry["kind"], entry["comment_id"]) for entry in shown
    ]
    alice.call("delete", f"/notifications/{shown[0]['id']}")
    exported = download_export(alice.user)["notifications"]
    assert [(entry["kind"], entry["dismissed"]) for entry in exported] == [
        *((entry["kind"], False) for entry in shown[1:]),
        (shown[0]["kind"], True),
    ]


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 7])
def test_chunk_boundaries_lose_no_rows(alice: User, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data_registry, "CHUNK_SIZE", 2)
    monkeypatch.setattr(export, "ROW_BATCH_SIZE", 3)
    posts = [Post.objects.create(author=alice, caption=f"{number}").pk for number in range(rows)]
    followers = [FollowFactory(followee=alice).follower_id for _ in range(rows)]
    body = download_export(alice)
    assert [int(post["id"]) for post in body["posts"]] == posts
    assert [int(row["id"]) for row in body["followers"]] == followers


@pytest.mark.parametrize("size", [2, 50])
def test_export_query_count_is_constant(alice: User, size: int) -> None:
    others = UserFactory.create_batch(size)
    Follow.objects.bulk_create(Follow(follower=other, followee=alice) for other in others)
    Follow.objects.bulk_create(Follow(follower=alice, followee=other) for other in others)
    posts = [Post.objects.create(author=alice, caption="#tag") for _ in range(size)]
    Comment.objects.bulk_create(
        [Comment(pk=posts[0].pk + 1 + number, post=posts[0], author=alice, text="hm") for number in range(size)]
    )
    with CaptureQueriesContext(connection) as queries:
        download_export(alice)
    assert len(queries) == EXPORT_QUERIES


def test_large_export_is_streamed(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data_registry, "CHUNK_SIZE", 50)
    monkeypatch.setattr(export, "ROW_BATCH_SIZE", 50)
    size, caption = 500, "x" * 2_000
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO posts_post (author_id, caption) SELECT %s, %s FROM generate_series(1, %s)",
            [alice.pk, caption, size],
        )
    download_export(alice)  # imports and caches are not part of the measurement
    tracemalloc.start()
    try:
        length = sum(map(len, export.stream_export(alice.pk)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert length > size * len(caption)
    assert peak < length / 2, f"{peak:,} bytes for a document of {length:,}"


def test_token_is_required() -> None:
    assert_error(get("me/export"), 401, "not_authenticated")


def test_export_is_throttled(alice: User, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"export": "1/hour"}
    access = start_session(alice).access
    assert get("me/export", access).status_code == 200
    response = get("me/export", access)
    assert_error(response, 429)
    assert int(response["Retry-After"]) > 0
    assert throttling.counter_keys(alice.pk)


def test_unavailable_database_is_503(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    access = start_session(alice).access

    def fail(user_id: int) -> Any:
        raise OperationalError("the connection is closed")
        yield

    first = personal_data_registry.PersonalDataCategory("profile", export=fail)
    monkeypatch.setattr(export, "get_categories", lambda: [first])
    client = Client(raise_request_exception=False)
    assert_error(client.get("/api/v1/me/export", headers=bearer(access)), 503)
