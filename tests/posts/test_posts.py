"""/posts: create, read, change, delete, and who may."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts.models import User
from instafeed.core.cache.client import get_client
from instafeed.core.db.snowflake import first_id_at
from posts import post_cache, services
from posts.models import Post
from social import services as social
from tests.media.pictures import ready_media
from tests.posts.api_user import ApiUser

pytestmark = pytest.mark.django_db(transaction=True)
UNKNOWN = ["1", "0", "-1", "abc", "9" * 19, "9" * 30, "1.0", "%00", "٣"]


@pytest.fixture
def author(client: Client) -> ApiUser:
    return ApiUser(client)


@pytest.fixture
def other(client: Client) -> ApiUser:
    return ApiUser(client)


def test_a_new_post_has_every_field_of_the_contract(author: ApiUser) -> None:
    answer = author.call("post", "/posts", {"caption": " ünïcode 👋🏽 \n"})
    assert answer.status_code == 201
    post = answer.json()
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
def test_what_is_no_post_is_refused_and_leaves_nothing(author: ApiUser, body: object) -> None:
    answer = author.call("post", "/posts", body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "validation_error"
    assert not Post.objects.exists()
    assert User.objects.get(pk=author.user.pk).post_count == 0


def test_a_caption_may_have_2200_characters_of_any_kind(author: ApiUser) -> None:
    author.write("👩🏽‍🍳"[:1] * 2_200)


def test_media_are_shown_in_order_and_used_once(author: ApiUser, other: ApiUser) -> None:
    pictures = [ready_media(author.user) for _ in range(2)]
    ids = [str(picture.pk) for picture in reversed(pictures)]
    assert other.call("post", "/posts", {"media": ids}).status_code == 404, "somebody else's"
    assert author.call("post", "/posts", {"media": [ids[0], ids[0]]}).status_code == 400, "named twice"
    post = author.call("post", "/posts", {"media": ids}).json()
    assert [media["id"] for media in post["media"]] == ids
    assert author.call("post", "/posts", {"media": ids[:1]}).status_code == 409, "used already"
    assert author.call("patch", f"/posts/{post['id']}", {"caption": ""}).status_code == 200, "the media are left"


def test_only_the_author_changes_a_post_and_whoever_does_not_see_it_learns_nothing(
    author: ApiUser, other: ApiUser, client: Client
) -> None:
    post_id = author.write()
    path = f"/posts/{post_id}"
    assert other.call("patch", path, {"caption": "mine"}).status_code == 403
    assert other.call("delete", path).status_code == 403
    assert client.patch(f"/api/v1{path}", {"caption": "x"}, content_type="application/json").status_code == 401
    assert client.delete(f"/api/v1{path}").status_code == 401
    social.block(author.user.pk, other.user.pk)
    assert other.call("patch", path, {"caption": "mine"}).status_code == 404
    assert other.call("delete", path).content == other.call("delete", "/posts/1").content


def test_an_edit_shows_at_the_next_read_and_may_not_empty_the_post(author: ApiUser, other: ApiUser) -> None:
    path = f"/posts/{author.write('before')}"
    assert other.call("get", path).json()["caption"] == "before"
    edited = author.call("patch", path, {"caption": "after"})
    assert edited.status_code == 200
    assert edited.json()["edited_at"]
    assert other.call("get", path).json() == edited.json()
    assert author.call("patch", path, {"caption": " "}).status_code == 400
    assert author.call("patch", path, {}).json()["caption"] == "after"


def test_a_deleted_post_is_gone_at_once_and_counted_no_more(author: ApiUser, other: ApiUser) -> None:
    path = f"/posts/{author.write()}"
    assert other.call("get", path).status_code == 200
    assert author.call("delete", path).status_code == 204
    assert other.call("get", path).content == other.call("get", "/posts/1").content
    assert author.call("delete", path).status_code == 404
    assert User.objects.get(pk=author.user.pk).post_count == 0


@pytest.mark.parametrize("post_id", UNKNOWN)
@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_an_id_that_is_none_is_a_404(author: ApiUser, method: str, post_id: str) -> None:
    assert author.call(method, f"/posts/{post_id}", {"caption": "x"} if method == "patch" else None).status_code == 404


def test_asking_for_an_id_before_it_exists_hides_no_post(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids can be guessed: absence of what may yet be committed is not remembered."""
    post_id = first_id_at(timezone.now() + timedelta(seconds=1)) + 5
    assert author.call("get", f"/posts/{post_id}").status_code == 404
    Post.objects.create(pk=post_id, author=author.user, caption="here I am")
    assert author.call("get", f"/posts/{post_id}").status_code == 200
    old = first_id_at(timezone.now() - timedelta(days=1))
    assert author.call("get", f"/posts/{old}").status_code == 404
    with monkeypatch.context() as patch:
        patch.setattr(post_cache.cards, "load", lambda ids: pytest.fail("an old id is known to be absent"))
        assert author.call("get", f"/posts/{old}").status_code == 404


@pytest.mark.parametrize("path", ["/posts/{post}", "/users/{author}/posts"])
def test_who_sees_the_posts_of_an_account(author: ApiUser, other: ApiUser, client: Client, path: str) -> None:
    post_id = author.write()
    path = path.format(post=post_id, author=author.user.username)

    def statuses() -> tuple[int, int, int]:
        anonymous = client.get(f"/api/v1{path}").status_code
        return author.call("get", path).status_code, other.call("get", path).status_code, anonymous

    hidden = 404 if path.startswith("/posts") else 403
    assert statuses() == (200, 200, 200)
    accounts.update_profile(author.user.pk, {"is_private": True})
    assert statuses() == (200, hidden, hidden)
    social.follow(other.user.pk, author.user.pk)
    assert statuses() == (200, hidden, hidden), "only asked for"
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


def test_whom_one_blocks_has_a_profile_without_posts(author: ApiUser, other: ApiUser) -> None:
    post_id = author.write()
    social.block(other.user.pk, author.user.pk)
    assert other.call("get", f"/users/{author.user.username}/posts").json()["results"] == []
    assert other.call("get", f"/posts/{post_id}").status_code == 404


def test_a_hidden_post_is_gone_for_all_and_comes_back_in_its_place(author: ApiUser, other: ApiUser) -> None:
    ids = [author.write() for _ in range(3)][::-1]
    services.hide_post(int(ids[1]))
    path = f"/users/{author.user.username}/posts"
    assert [post["id"] for post in other.call("get", path).json()["results"]] == [ids[0], ids[2]]
    assert author.call("get", f"/posts/{ids[1]}").status_code == 404
    services.restore_post(int(ids[1]))
    assert [post["id"] for post in other.call("get", path).json()["results"]] == ids


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_pages_are_the_whole_list_though_the_cursors_own_post_is_deleted(author: ApiUser, limit: int) -> None:
    ids = [author.write() for _ in range(5)][::-1]
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
def test_a_malformed_cursor_is_a_400(author: ApiUser, cursor: str) -> None:
    for path in (f"/users/{author.user.username}/posts", "/feed"):
        answer = author.call("get", f"{path}?cursor={cursor}")
        if path == "/feed" and cursor == "feed.0000000000000123":
            assert answer.status_code == 200, "one of the feed's own"
        else:
            assert answer.status_code == 400
            assert answer.json()["errors"][0]["code"] == "invalid_cursor"


@pytest.mark.parametrize("size", [2, 50])
def test_a_list_of_posts_costs_a_fixed_number_of_queries(
    author: ApiUser, size: int, django_assert_num_queries: Any
) -> None:
    for _ in range(size):
        services.create_post(author.user.pk, "x")
    path = f"/users/{author.user.username}/posts?limit={size}"

    get_client().flushdb()
    author.call("get", "/me")
    with django_assert_num_queries(8):  # the user, ids, cards and their pictures, counts, likes, saves, author cards
        assert len(author.call("get", path).json()["results"]) == size
    with django_assert_num_queries(2):
        author.call("get", path)


def test_the_same_key_gives_the_first_answer_again(author: ApiUser) -> None:
    answers = [
        author.call("post", "/posts", {"caption": text}, **{"Idempotency-Key": "k"}) for text in ("first", "second")
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert Post.objects.count() == 1
    assert User.objects.get(pk=author.user.pk).post_count == 1


def test_a_refused_post_leaves_its_key_free(author: ApiUser) -> None:
    key = {"Idempotency-Key": "k"}
    assert author.call("post", "/posts", {"media": ["123"]}, **key).status_code == 404
    assert author.call("post", "/posts", {"caption": "now"}, **key).status_code == 201
