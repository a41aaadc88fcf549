"""Likes of posts and comments: idempotency, exact counts, and visibility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as redis
from instafeed.core.models import Invalidation
from posts import counters, services
from posts.models import CommentLike, Counter, Like
from social import services as social
from social.models import NotificationEvent
from tests.support.api_user import ApiUser

pytestmark = pytest.mark.django_db


def test_like_and_unlike_are_idempotent(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    assert reader.like(post).json() == {"liked": True, "like_count": 1}
    assert reader.like(post).json() == {"liked": True, "like_count": 1}
    assert reader.call("delete", f"/posts/{post}/like").json() == {"liked": False, "like_count": 0}
    assert reader.call("delete", f"/posts/{post}/like").json() == {"liked": False, "like_count": 0}
    assert not Like.objects.exists()


def test_like_is_one_statement(
    author: ApiUser, reader: ApiUser, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    post = author.create_post()
    reader.get("/me")  # caches the state of the account
    with django_assert_num_queries(2):  # the second one reads the position in the WAL
        reader.like(post)
    event = NotificationEvent.objects.get()
    assert (event.kind, event.recipient_id, event.actor_id, event.post_id) == ("like", author.id, reader.id, int(post))


def test_next_like_deletes_the_invalidation_of_the_last_one(author: ApiUser, reader: ApiUser) -> None:
    first, second = int(author.create_post()), int(author.create_post())
    services.like_post(reader.id, first)
    services.like_post(reader.id, second)
    assert [row.keys[0] for row in Invalidation.objects.all()] == [keys.count(second)]


def test_own_like_notifies_no_one(author: ApiUser) -> None:
    post = author.create_post()
    assert author.like(post).json() == {"liked": True, "like_count": 1}
    assert not NotificationEvent.objects.exists()


def test_all_viewers_see_the_count_and_only_the_liker_sees_the_flag(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    for caller in (author, reader):
        assert caller.get(f"/posts/{post}")["like_count"] == 0
    reader.like(post)
    seen = reader.get(f"/posts/{post}")
    assert (seen["like_count"], seen["liked"]) == (1, True)
    seen = author.get(f"/posts/{post}")
    assert (seen["like_count"], seen["liked"]) == (1, False)
    anonymous = reader.client.get(f"/api/v1/posts/{post}").json()
    assert (anonymous["like_count"], anonymous["liked"]) == (1, False)


def test_feed_and_profile_show_count_and_flag(author: ApiUser, reader: ApiUser) -> None:
    reader.follow(author)
    post = author.create_post()
    for path in ("/feed", f"/users/{author.username}/posts"):
        assert reader.get(path)["results"][0]["liked"] is False
    reader.like(post)
    for path in ("/feed", f"/users/{author.username}/posts"):
        seen = reader.get(path)["results"][0]
        assert (seen["id"], seen["like_count"], seen["liked"]) == (post, 1, True)


def test_counts_and_flags_survive_a_cache_flush(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    reader.like(post)
    redis().flushdb()
    seen = reader.get(f"/posts/{post}")
    assert (seen["like_count"], seen["liked"]) == (1, True)


def test_stale_count_is_never_cached(author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment commits after a reader has loaded the count and before it caches it."""
    post = int(author.create_post())
    load = counters.cached_counts.load

    def overtaken(ids: Sequence[int]) -> Mapping[int, bytes]:
        loaded = load(ids)
        monkeypatch.setattr(counters.cached_counts, "load", load)
        services.create_comment(reader.id, post, author.id, "meanwhile", None)
        return loaded

    services.like_post(reader.id, post)
    monkeypatch.setattr(counters.cached_counts, "load", overtaken)
    assert reader.get(f"/posts/{post}")["comment_count"] == 0
    seen = reader.get(f"/posts/{post}")
    assert (seen["like_count"], seen["comment_count"]) == (1, 1)


def test_rolled_back_like_leaves_nothing(author: ApiUser, reader: ApiUser) -> None:
    post = int(author.create_post())
    with transaction.atomic():
        services.like_post(reader.id, post)
        transaction.set_rollback(True)
    seen = reader.get(f"/posts/{post}")
    assert (seen["like_count"], seen["liked"]) == (0, False)
    assert not Counter.objects.exists()


def test_flags_of_posts_older_than_the_cache(author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posts.viewer_flags.MAX_CACHED_IDS", 2)
    posts = [author.create_post() for _ in range(5)]
    for post in (posts[0], posts[1], posts[3], posts[4]):
        reader.like(post)
    for post in (posts[0], posts[2]):
        reader.call("post", f"/posts/{post}/save")
    shown = reader.get(f"/users/{author.username}/posts")["results"]
    assert [post["liked"] for post in shown[::-1]] == [True, True, False, True, True]
    assert [post["saved"] for post in shown[::-1]] == [True, False, True, False, False]


def test_likers_exclude_invisible_accounts(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    likers = [ApiUser() for _ in range(7)]
    for liker in likers:
        liker.like(post)
    accounts.suspend(likers[0].id)
    social.block(likers[1].id, reader.id)
    expected = [liker.username for liker in likers[:1:-1]]
    for limit in (1, 2, 5, 50):
        assert [person["username"] for person in reader.list_all(f"/posts/{post}/likes", limit)] == expected


def test_comment_like_and_unlike(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    comment = author.create_comment(post)
    assert reader.call("post", f"/comments/{comment}/like").json() == {"liked": True, "like_count": 1}
    assert author.call("post", f"/comments/{comment}/like").json() == {"liked": True, "like_count": 2}
    assert reader.call("post", f"/comments/{comment}/like").json() == {"liked": True, "like_count": 2}
    assert author.call("delete", f"/comments/{comment}/like").json() == {"liked": False, "like_count": 1}
    shown = reader.get(f"/posts/{post}/comments")["results"][0]
    assert (shown["like_count"], shown["liked"]) == (1, True)
    shown = author.get(f"/posts/{post}/comments")["results"][0]
    assert (shown["like_count"], shown["liked"]) == (1, False)
    assert CommentLike.objects.count() == 1
    assert author.get(f"/posts/{post}")["like_count"] == 0


@pytest.mark.parametrize("size", [2, 50])
def test_likers_query_count(
    author: ApiUser, reader: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    post = author.create_post()
    for _ in range(size):
        ApiUser().like(post)
    reader.get(f"/posts/{post}/likes?limit={size}")
    # the post's author and the relationship to them, the likers, blocks
    with django_assert_num_queries(3):
        assert len(reader.get(f"/posts/{post}/likes?limit={size}")["results"]) == size
