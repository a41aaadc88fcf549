"""Posts: create, read, edit and delete, permissions, visibility and pages."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import services as accounts
from accounts.models import User
from instafeed.core.cache.client import get_client
from instafeed.core.db.snowflake import first_id_at
from posts import post_cache, services
from posts.models import Post
from social import services as social
from tests.support.api_user import ApiUser
from tests.support.pictures import ready_media

pytestmark = pytest.mark.django_db
UNKNOWN_IDS = ["1", "0", "-1", "abc", "9" * 19, "9" * 30, "1.0", "%00", "٣"]


@pytest.fixture
def author(client: Client) -> ApiUser:
    return ApiUser(client)


@pytest.fixture
def other(client: Client) -> ApiUser:
    return ApiUser(client)


def test_created_post_has_all_fields(author: ApiUser) -> None:
    response = author.call("post", "/posts", {"caption": " ünïcode 👋🏽 \n"})
    assert response.status_code == 201
    post = response.json()
    assert post["caption"] == " ünïcode 👋🏽 \n"
    assert post["author"] == {
        "id": str(author.user.pk),
        "username": author.user.username,
        "display_name": "",
        "avatar_url": None,
        "is_celebrity": False,
    }
    assert {name: post[name] for name in ("media", "like_count", "comment_count", "liked", "saved", "edited_at")} == {
        "media": [],
        "like_count": 0,
        "comment_count": 0,
        "liked": False,
        "saved": False,
        "edited_at": None,
    }
    assert post["created_at"].endswith("Z")
    assert author.call("get", f"/posts/{post['id']}").json() == post
    assert User.objects.get(pk=author.user.pk).post_count == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"caption": ""},
        {"caption": " \n"},
        {"caption": "x" * 2_201},
        {"caption": 5},
        {"caption": None},
        {"caption": "x", "media": ["x"]},
        {"caption": "x", "media": "1"},
        {"caption": "x", "media": [1]},
        {"caption": "x", "media": [str(n) for n in range(1, 12)]},
        [],
    ],
)
def test_invalid_post_is_a_400_and_stores_nothing(author: ApiUser, body: object) -> None:
    response = author.call("post", "/posts", body)
    assert response.status_code == 400
    assert response.json()["type"] == "validation_error"
    assert not Post.objects.exists()
    assert User.objects.get(pk=author.user.pk).post_count == 0


def test_caption_may_have_2200_characters(author: ApiUser) -> None:
    author.create_post("👩🏽‍🍳"[:1] * 2_200)


def test_media_are_in_order_and_used_once(author: ApiUser, other: ApiUser) -> None:
    pictures = [ready_media(author.user) for _ in range(2)]
    ids = [str(picture.pk) for picture in reversed(pictures)]
    assert other.call("post", "/posts", {"media": ids}).status_code == 404, "media of another user"
    assert author.call("post", "/posts", {"media": [ids[0], ids[0]]}).status_code == 400, "duplicate ids"
    post = author.call("post", "/posts", {"media": ids}).json()
    assert [media["id"] for media in post["media"]] == ids
    assert author.get(f"/posts/{post['id']}") == post
    assert author.call("post", "/posts", {"media": ids[:1]}).status_code == 409, "already in a post"
    assert author.call("patch", f"/posts/{post['id']}", {"caption": ""}).status_code == 200, "the media remain"


def test_only_the_author_can_change_a_post(author: ApiUser, other: ApiUser, client: Client) -> None:
    post_id = author.create_post()
    path = f"/posts/{post_id}"
    assert other.call("patch", path, {"caption": "mine"}).status_code == 403
    assert other.call("delete", path).status_code == 403
    assert client.patch(f"/api/v1{path}", {"caption": "x"}, content_type="application/json").status_code == 401
    assert client.delete(f"/api/v1{path}").status_code == 401
    social.block(author.user.pk, other.user.pk)
    assert other.call("patch", path, {"caption": "mine"}).status_code == 404
    assert other.call("delete", path).content == other.call("delete", "/posts/1").content


def test_edit_is_visible_at_the_next_read(author: ApiUser, other: ApiUser) -> None:
    path = f"/posts/{author.create_post('before')}"
    assert other.call("get", path).json()["caption"] == "before"
    edited = author.call("patch", path, {"caption": "after"})
    assert edited.status_code == 200
    assert edited.json()["edited_at"]
    assert other.call("get", path).json() == edited.json()
    assert author.call("patch", path, {"caption": " "}).status_code == 400
    assert author.call("patch", path, {}).json()["caption"] == "after"


def test_deleted_post_is_a_404_and_not_counted(author: ApiUser, other: ApiUser) -> None:
    path = f"/posts/{author.create_post()}"
    assert other.call("get", path).status_code == 200
    assert author.call("delete", path).status_code == 204
    assert other.call("get", path).content == other.call("get", "/posts/1").content
    assert author.call("delete", path).status_code == 404
    assert User.objects.get(pk=author.user.pk).post_count == 0


@pytest.mark.parametrize("post_id", UNKNOWN_IDS)
@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_invalid_id_is_a_404(author: ApiUser, method: str, post_id: str) -> None:
    assert author.call(method, f"/posts/{post_id}", {"caption": "x"} if method == "patch" else None).status_code == 404


def test_absence_of_a_future_id_is_not_cached(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids can be guessed, so the absence of an id is cached only once it can no longer appear."""
    post_id = first_id_at(timezone.now() + timedelta(minutes=1)) + 5
    assert author.call("get", f"/posts/{post_id}").status_code == 404
    assert post_cache.cards.get([post_id]) == {}
    Post.objects.create(pk=post_id, author=author.user, caption="here I am")
    assert author.call("get", f"/posts/{post_id}").status_code == 200
    old = first_id_at(timezone.now() - timedelta(days=1))
    assert post_cache.cards.get([old]) == {}
    monkeypatch.setattr(post_cache.cards, "load", lambda ids: pytest.fail("the absence of an old id is not cached"))
    assert post_cache.cards.get([old]) == {}


@pytest.mark.parametrize("path", ["/posts/{post}", "/users/{author}/posts"])
def test_post_visibility_by_privacy_block_and_suspension(
    author: ApiUser, other: ApiUser, client: Client, path: str
) -> None:
    post_id = author.create_post()
    path = path.format(post=post_id, author=author.user.username)

    def statuses() -> tuple[int, int, int]:
        anonymous = client.get(f"/api/v1{path}").status_code
        return author.call("get", path).status_code, other.call("get", path).status_code, anonymous

    hidden = 404 if path.startswith("/posts") else 403
    assert statuses() == (200, 200, 200)
    accounts.update_profile(author.user.pk, {"is_private": True})
    assert statuses() == (200, hidden, hidden)
    social.follow(other.user.pk, author.user.pk)
    assert statuses() == (200, hidden, hidden), "the follow request is pending"
    social.accept_request(author.user.pk, other.user.pk)
    assert statuses() == (200, 200, hidden)
    accounts.update_profile(author.user.pk, {"is_private": False})
    social.block(author.user.pk, other.user.pk)
    assert statuses() == (200, 404, 200)
    social.unblock(author.user.pk, other.user.pk)
    accounts.suspend(author.user.pk)
    assert statuses() == (401, 404, 404)
    accounts.reinstate(author.user.pk)
    assert statuses() == (200, 200, 200)


def test_blocked_account_has_a_profile_without_posts(author: ApiUser, other: ApiUser) -> None:
    post_id = author.create_post()
    social.block(other.user.pk, author.user.pk)
    assert other.call("get", f"/users/{author.user.username}/posts").json()["results"] == []
    assert other.call("get", f"/posts/{post_id}").status_code == 404


def test_hidden_post_is_invisible_until_restored(author: ApiUser, other: ApiUser) -> None:
    ids = [author.create_post() for _ in range(3)][::-1]
    services.hide_post(int(ids[1]))
    path = f"/users/{author.user.username}/posts"
    assert [post["id"] for post in other.call("get", path).json()["results"]] == [ids[0], ids[2]]
    assert author.call("get", f"/posts/{ids[1]}").status_code == 404
    services.restore_post(int(ids[1]))
    assert [post["id"] for post in other.call("get", path).json()["results"]] == ids


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_cursor_survives_deletion_of_its_post(author: ApiUser, limit: int) -> None:
    ids = [author.create_post() for _ in range(5)][::-1]
    shown: list[str] = []
    url = f"/users/{author.user.username}/posts?limit={limit}"
    while url:
        page = author.call("get", url).json()
        shown += [post["id"] for post in page["results"]]
        assert len(page["results"]) == limit or page["next"] is None
        services.delete_post(int(shown[-1]), author.user.pk)
        url = page["next"] and page["next"].partition("/api/v1")[2]
    assert shown == ids


@pytest.mark.parametrize("cursor", ["x", "", "feed.0000000000000123", "💥"])
def test_malformed_cursor_is_a_400(author: ApiUser, cursor: str) -> None:
    for path in (f"/users/{author.user.username}/posts", "/feed"):
        response = author.call("get", f"{path}?cursor={cursor}")
        if path == "/feed" and cursor == "feed.0000000000000123":
            assert response.status_code == 200, "a cursor of the feed itself"
        else:
            assert response.status_code == 400
            assert response.json()["errors"][0]["code"] == "invalid_cursor"


def test_statement_count_of_a_new_post(author: ApiUser, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    author.create_post("The first one writes the cached summary of its author and the row of the #tag.")
    # savepoint, the author's count, the post, its fan-out, release, position in the WAL
    with django_assert_num_queries(6):
        author.create_post("hello")
    with django_assert_num_queries(7):  # and the link to the hashtag
        author.create_post("hello #tag")


@pytest.mark.parametrize("size", [2, 50])
def test_user_posts_query_count(author: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(size):
        services.create_post(author.user.pk, "x")
    path = f"/users/{author.user.username}/posts?limit={size}"

    get_client().flushdb()
    author.call("get", "/me")
    with django_assert_num_queries(8):  # the user, ids, cards and their media, counts, likes, saves, author summaries
        assert len(author.call("get", path).json()["results"]) == size
    with django_assert_num_queries(2):
        author.call("get", path)


def test_idempotency_key_returns_the_first_response(author: ApiUser) -> None:
    responses = [
        author.call("post", "/posts", {"caption": text}, **{"Idempotency-Key": "k"})
        for text in ("first", "first", "second")
    ]
    assert [response.status_code for response in responses] == [201, 201, 422]
    assert responses[0].content == responses[1].content
    assert Post.objects.count() == 1
    assert User.objects.get(pk=author.user.pk).post_count == 1


def test_refused_post_does_not_use_its_idempotency_key(author: ApiUser) -> None:
    key = {"Idempotency-Key": "k"}
    assert author.call("post", "/posts", {"media": ["123"]}, **key).status_code == 404
    assert author.call("post", "/posts", {"caption": "now"}, **key).status_code == 201


def test_edit_with_the_same_caption_changes_nothing(author: ApiUser) -> None:
    path = f"/posts/{author.create_post('as it is')}"
    before = author.get(path)
    assert author.call("patch", path, {"caption": "as it is"}).json() == before
    assert before["edited_at"] is None
    edited = author.call("patch", path, {"caption": "otherwise"}).json()
    assert author.call("patch", path, {"caption": "otherwise"}).json() == edited


# --- Links to posts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    ["https://example.org/p/{id}", "harbour://post?id={id}", '/p/{id}#"\\ü', "https://example.org/{id}/%7Bid%7D"],
)
def test_posts_have_a_link(author: ApiUser, template: str, settings: Settings) -> None:
    """A cached post follows the setting."""
    post_id = author.create_post()
    assert author.get(f"/posts/{post_id}")["url"] == settings.POST_URL.replace("{id}", post_id)
    settings.POST_URL = template
    expected = template.replace("{id}", post_id)
    assert author.get(f"/posts/{post_id}")["url"] == expected
    assert author.get("/feed")["results"][0]["url"] == expected
    (exported,) = json.loads(author.call("get", "/me/export").getvalue())["posts"]
    assert exported["url"] == expected


def test_default_link_leads_to_the_post(author: ApiUser, client: Client) -> None:
    post = author.get(f"/posts/{author.create_post()}")
    assert post["url"].endswith(f"/p/{post['id']}")
    page = client.get(post["url"])
    assert page.status_code == 200
    assert f"(@{author.username})" in page.content.decode()
