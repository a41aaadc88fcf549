"""ETags: 304 for a client that has the present response, and never for one whose response differs in any byte."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from types import SimpleNamespace

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts import services as accounts
from accounts.models import User
from media.models import Media
from media.storage import backend
from posts.models import Post
from posts.services import hide_post, restore_post
from social import services as social
from tests.db.feeds.feed_setup import deliver_all
from tests.support.api_user import ApiUser
from tests.support.client_response import ClientResponse
from tests.support.pictures import ready_media

pytestmark = [pytest.mark.django_db, pytest.mark.urls("instafeed.urls")]


class World:
    """An author with a picture and a post that shows another one, and a follower."""

    def __init__(self, *, is_private: bool = False) -> None:
        self.author = ApiUser(username="grace", is_private=is_private)
        self.follower, self.other = ApiUser(username="ada"), ApiUser()
        social.follow(self.follower.id, self.author.id)
        if is_private:
            social.accept_request(self.author.id, self.follower.id)
        self.media = ready_media(self.author.user, is_public=not is_private)
        self.picture = ready_media(self.author.user, is_public=not is_private)
        response = self.author.call("post", "/posts", {"caption": "first", "media": [str(self.picture.pk)]})
        self.post_id = str(response.json()["id"])
        deliver_all()

    @property
    def post_path(self) -> str:
        return f"/posts/{self.post_id}"


@pytest.fixture
def world() -> World:
    return World()


def fetch_tag(caller: ApiUser, path: str) -> str:
    """GET `path`, and check that its ETag answers 304 now. Return the ETag."""
    response = caller.call("get", path)
    assert response.status_code == 200, response.content
    assert revalidate(caller, path, response["ETag"]).status_code == 304
    return response["ETag"]


def revalidate(caller: ApiUser, path: str, tag: str) -> ClientResponse:
    return caller.call("get", path, **{"If-None-Match": tag})


# --- 304 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/me", "/users/{name}", "/posts/{post}", "/media/{media}", "/feed", "/feed?limit=1"])
def test_known_response_is_a_304_without_body(world: World, path: str, settings: Settings) -> None:
    settings.THROTTLES = settings.THROTTLES | {"user": "1000/hour"}
    path = path.format(name=world.follower.username, post=world.post_id, media=world.media.pk)
    full = world.author.call("get", path)
    tag = full["ETag"]
    assert tag.startswith('W/"')
    for sent in (tag, f'"old", {tag}', f'W/"old",{tag},"new"', tag.removeprefix("W/"), "*"):
        response = revalidate(world.author, path, sent)
        assert (response.status_code, response.content) == (304, b""), sent
        for header in ("ETag", "Cache-Control", "Vary", "RateLimit-Limit", "Content-Security-Policy"):
            assert response[header] == full[header], header
        assert response["X-Request-ID"]
        assert not {"Content-Type", "Content-Length"} & set(response.headers)
    for sent in ('"old"', 'W/""', tag[:-2], f"{tag}x", "", "W/", '"', "\x00", f"x{tag}"):
        response = revalidate(world.author, path, sent)
        assert (response.status_code, response.content) == (200, full.content), sent


def test_head_is_like_get(world: World) -> None:
    full = world.author.call("head", "/me")
    assert (full.status_code, full["ETag"]) == (200, fetch_tag(world.author, "/me"))
    assert int(full["Content-Length"]) > 0
    response = world.author.call("head", "/me", **{"If-None-Match": full["ETag"]})
    assert (response.status_code, response["ETag"]) == (304, full["ETag"])


def test_304_can_be_read_by_a_browser_client(world: World, settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example"]
    tag = fetch_tag(world.author, "/me")
    response = world.author.call("get", "/me", Origin="https://app.example", **{"If-None-Match": tag})
    assert response.status_code == 304
    assert response["Access-Control-Allow-Origin"] == "https://app.example"
    assert "ETag" in response["Access-Control-Expose-Headers"]
    preflight = Client().options(
        "/api/v1/me", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    )
    assert "if-none-match" in preflight["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/feed?cursor={cursor}"),
        ("get", "/notifications"),
        ("patch", "/me"),
        ("get", "/notifications/unread-count"),
    ],
)
def test_other_responses_have_no_etag(world: World, method: str, path: str) -> None:
    world.author.create_post()
    cursor = world.author.get("/feed?limit=1")["next_cursor"]
    response = world.author.call(method, path.format(cursor=cursor), {} if method == "patch" else None)
    assert response.status_code == 200
    assert "ETag" not in response.headers


def test_writes_ignore_the_tag(world: World) -> None:
    tag = fetch_tag(world.author, "/me")
    response = world.author.call("patch", "/me", {"bio": ""}, **{"If-None-Match": tag})
    assert response.status_code == 200


def test_revalidation_takes_no_additional_query(
    world: World, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    tag = fetch_tag(world.follower, "/feed")
    with django_assert_num_queries(0):
        assert revalidate(world.follower, "/feed", tag).status_code == 304


# --- Every field counts ------------------------------------------------------------------------------

Change = Callable[[World], object]
_POST_CHANGES: dict[str, Change] = {
    "caption": lambda world: world.author.call("patch", world.post_path, {"caption": "second"}),
    "like_count": lambda world: world.other.like(world.post_id),
    "liked": lambda world: world.follower.like(world.post_id),
    "saved": lambda world: world.follower.call("post", f"{world.post_path}/save"),
    "comment_count": lambda world: world.other.create_comment(world.post_id),
    "display_name": lambda world: accounts.update_profile(world.author.id, {"display_name": "Grace"}),
    "username": lambda world: accounts.update_profile(world.author.id, {"username": "hopper"}),
    "avatar_url": lambda world: accounts.update_profile(world.author.id, {"avatar": world.media.pk}),
    "alt_text": lambda world: world.author.call("patch", f"/media/{world.picture.pk}", {"alt_text": "a harbour"}),
}


@pytest.mark.parametrize("field", _POST_CHANGES)
@pytest.mark.parametrize("path", ["/posts/{post}", "/feed"])
def test_every_change_of_a_post_changes_its_tag(world: World, path: str, field: str) -> None:
    path = path.format(post=world.post_id)
    tag = fetch_tag(world.follower, path)
    _POST_CHANGES[field](world)
    response = revalidate(world.follower, path, tag)
    assert response.status_code == 200
    assert response["ETag"] != tag


_PROFILE_CHANGES: dict[str, Change] = {
    "bio": lambda world: accounts.update_profile(world.author.id, {"bio": "x"}),
    "is_private": lambda world: accounts.update_profile(world.author.id, {"is_private": True}),
    "avatar_url": lambda world: accounts.update_profile(world.author.id, {"avatar": world.media.pk}),
    "following": lambda world: social.unfollow(world.follower.id, world.author.id),
    "followed_by": lambda world: social.follow(world.author.id, world.follower.id),
    "muting": lambda world: social.mute(world.follower.id, world.author.id),
    "blocking": lambda world: social.block(world.follower.id, world.author.id),
    "post_count": lambda world: world.author.create_post(),
    "follower_count": lambda world: User.objects.filter(pk=world.author.id).update(follower_count=7),
}


@pytest.mark.parametrize("field", _PROFILE_CHANGES)
def test_every_change_of_a_profile_changes_its_tag(world: World, field: str) -> None:
    path = f"/users/{world.author.username}"
    tag = fetch_tag(world.follower, path)
    _PROFILE_CHANGES[field](world)
    assert revalidate(world.follower, path, tag).status_code == 200


def test_changes_of_the_own_profile_and_of_a_picture_change_their_tags(world: World) -> None:
    me, picture = fetch_tag(world.author, "/me"), fetch_tag(world.author, f"/media/{world.media.pk}")
    User.objects.filter(pk=world.author.id).update(email="new@example.org")
    assert revalidate(world.author, "/me", me).status_code == 200
    Media.objects.filter(pk=world.media.pk).update(blurhash="LEHV6nWB2yk8")
    assert revalidate(world.author, f"/media/{world.media.pk}", picture).status_code == 200


def test_new_post_changes_the_tag_of_the_feed(world: World) -> None:
    tag = fetch_tag(world.follower, "/feed")
    world.author.create_post()
    deliver_all()
    assert revalidate(world.follower, "/feed", tag).status_code == 200
    other_limit = fetch_tag(world.follower, "/feed?limit=1")
    assert revalidate(world.follower, "/feed?limit=2", other_limit).status_code == 200


def test_new_signatures_change_the_tag(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tag stays the same as long as the signed URLs do, so a 304 never leaves a client with outdated ones."""
    settings.MEDIA_URL_TTL = 600
    now = timezone.now().timestamp()
    monkeypatch.setattr(backend, "time", SimpleNamespace(time=lambda: now))
    world = World(is_private=True)
    picture = f"/media/{world.media.pk}"
    tags = {path: fetch_tag(world.author, path) for path in (world.post_path, picture, "/feed")}
    urls = {world.author.get(path)["url"] for path in (picture,)}
    assert "signature=" in urls.pop()
    now += 600
    for path, tag in tags.items():
        response = revalidate(world.author, path, tag)
        assert response.status_code == 200, path
        assert fetch_tag(world.author, path) == response["ETag"]


# --- Viewers and visibility --------------------------------------------------------------------------


def test_tag_of_another_viewer_does_not_match(world: World) -> None:
    """Both get the same bytes, but what one has received says nothing about the other."""
    first, second = (world.other.call("get", world.post_path), ApiUser().call("get", world.post_path))
    anonymous = Client().get(f"/api/v1{world.post_path}")
    assert first.content == second.content == anonymous.content
    assert len({response["ETag"] for response in (first, second, anonymous)}) == 3
    for tag in (second["ETag"], anonymous["ETag"]):
        assert revalidate(world.other, world.post_path, tag).status_code == 200


@pytest.mark.parametrize("tag", ["own", "*"])
def test_post_that_is_out_of_sight_is_a_404_despite_its_tag(world: World, tag: str) -> None:
    tag = fetch_tag(world.follower, world.post_path) if tag == "own" else tag
    missing = revalidate(world.follower, "/posts/382840948838629377", tag)
    steps: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (lambda: hide_post(int(world.post_id)), lambda: restore_post(int(world.post_id))),
        (lambda: accounts.suspend(world.author.id), lambda: accounts.reinstate(world.author.id)),
        (
            lambda: Post.objects.filter(pk=world.post_id).update(deleted_at=timezone.now()),
            lambda: Post.objects.filter(pk=world.post_id).update(deleted_at=None),
        ),
        (
            lambda: social.block(world.author.id, world.follower.id),
            lambda: social.unblock(world.author.id, world.follower.id),
        ),
    ]
    for hide, show in steps:
        hide()
        response = revalidate(world.follower, world.post_path, tag)
        assert (response.status_code, response.content) == (HTTPStatus.NOT_FOUND, missing.content)
        assert "ETag" not in response.headers
        show()
        assert revalidate(world.follower, world.post_path, tag).status_code == 304


def test_token_is_checked_despite_the_tag(world: World) -> None:
    tag = fetch_tag(world.author, "/me")
    accounts.suspend(world.author.id)
    assert revalidate(world.author, "/me", tag).status_code == 401
