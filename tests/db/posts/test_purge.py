"""Deleted posts are invisible at once; the purge deletes their rows later."""

from __future__ import annotations

import pytest
import redis

from feeds.models import FanOut
from instafeed.backoffice import sweeps
from instafeed.core.cache import keys
from instafeed.core.jobs import queues
from posts import purge, services
from posts.models import Comment, CommentLike, Counter, Like, Post, PostHashtag, Save
from posts.tasks import purge_posts
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error
from tests.support.leased_jobs import lose_tasks

pytestmark = pytest.mark.django_db

PURGED_MODELS = (Like, Save, Comment, CommentLike, Counter, PostHashtag, FanOut, Post)


def create_post_with_reactions(author: ApiUser) -> str:
    """Create a post with comments, likes, saves and a hashtag. Return its id."""
    post = author.create_post("a #tag for @reader")
    first = author.create_comment(post)
    for reader in (ApiUser(), ApiUser()):
        reader.like(post)
        reader.call("post", f"/posts/{post}/save")
        reader.create_comment(post, reply_to=first)
        reader.call("post", f"/comments/{first}/like")
    return post


def count_rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in PURGED_MODELS}


def test_deleted_post_and_its_comments_are_404(author: ApiUser) -> None:
    post = create_post_with_reactions(author)
    comment = author.get(f"/posts/{post}/comments")["results"][0]["id"]
    assert author.call("delete", f"/posts/{post}").status_code == 204
    for path in (f"/posts/{post}", f"/posts/{post}/comments", f"/posts/{post}/likes"):
        assert_error(author.call("get", path), 404)
    assert_error(author.call("post", f"/comments/{comment}/like"), 404)
    assert_error(author.call("delete", f"/posts/{post}"), 404)
    assert author.get(f"/users/{author.username}")["post_count"] == 0


def test_purge_deletes_all_rows_of_deleted_posts_only(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "ROW_BATCH_SIZE", 1)
    kept = create_post_with_reactions(author)
    before = count_rows()
    for _ in range(3):
        author.call("delete", f"/posts/{create_post_with_reactions(author)}")
    while purge.purge_batch():
        pass
    assert count_rows() == before
    assert author.get(f"/posts/{kept}")["comment_count"] == 3


def test_interrupted_purge_is_resumed(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "ROW_BATCH_SIZE", 1)
    author.call("delete", f"/posts/{create_post_with_reactions(author)}")
    assert purge.purge_batch()
    assert purge.purge_batch()
    assert Post.objects.exists()
    while purge.purge_batch():
        pass
    assert not any(count_rows().values())
    assert not purge.purge_batch()


@pytest.mark.parametrize("forgotten", ["deleted", "hidden"])
def test_deleted_or_hidden_post_is_a_404_despite_a_stale_cache(
    author: ApiUser, forgotten: str, redis_cache: redis.Redis
) -> None:
    """Redis may be unavailable at the commit, or the process may die right after it."""
    post, reader = author.create_post(), ApiUser()
    assert reader.get(f"/posts/{post}")
    cached = {key: redis_cache.dump(key) for key in redis_cache.scan_iter()}
    assert keys.post_card(int(post)).encode() in cached
    if forgotten == "deleted":
        services.delete_post(int(post), author.id)
    else:
        services.hide_post(int(post))
    for key, value in cached.items():
        redis_cache.restore(key, 0, value or b"", replace=True)
    for method, path in (("get", ""), ("post", "/like"), ("post", "/save"), ("get", "/comments"), ("get", "/likes")):
        assert_error(reader.call(method, f"/posts/{post}{path}"), 404)
    assert_error(reader.call("post", f"/posts/{post}/comments", {"text": "x"}), 404)


def test_sweep_requests_the_task_while_deleted_posts_are_left(author: ApiUser, redis_broker: redis.Redis) -> None:
    author.call("delete", f"/posts/{create_post_with_reactions(author)}")
    for purges in (1, 0):
        lose_tasks(redis_broker)
        sweeps.sweep()
        assert str(redis_broker.lrange("maintenance", 0, -1)).count(queues.PURGE_POSTS) == purges
        purge_posts()
