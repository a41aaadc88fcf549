"""Deleted posts: gone for everybody at once, their rows a little later."""

from __future__ import annotations

import pytest
from django.db import transaction

from feeds.models import FanOut
from posts import purge, services
from posts.models import Comment, CommentLike, Counter, Like, Post, PostHashtag, Save
from posts.tasks import purge_posts
from tests.api.error_shape import assert_error
from tests.posts.api_user import ApiUser
from tests.social.follow_graph import run_concurrently

pytestmark = pytest.mark.django_db(transaction=True)

OF_POSTS = (Like, Save, Comment, CommentLike, Counter, PostHashtag, FanOut, Post)


def busy_post(author: ApiUser) -> str:
    """A post with everything that can hang on one."""
    post = author.write("a #tag for @nobody")
    first = author.comment(post)
    for reader in (ApiUser(), ApiUser()):
        reader.like(post)
        reader.call("post", f"/posts/{post}/save")
        reader.comment(post, reply_to=first)
        reader.call("post", f"/comments/{first}/like")
    return post


def rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in OF_POSTS}


def test_a_deleted_post_is_gone_at_once_with_its_comments(author: ApiUser) -> None:
    post = busy_post(author)
    comment = author.get(f"/posts/{post}/comments")["results"][0]["id"]
    assert author.call("delete", f"/posts/{post}").status_code == 204
    for path in (f"/posts/{post}", f"/posts/{post}/comments", f"/posts/{post}/likes"):
        assert_error(author.call("get", path), 404)
    assert_error(author.call("post", f"/comments/{comment}/like"), 404)
    assert_error(author.call("delete", f"/posts/{post}"), 404)
    assert author.get(f"/users/{author.name}")["post_count"] == 0


def test_the_purge_takes_every_row_and_leaves_other_posts_alone(
    author: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "ROW_BATCH_SIZE", 1)
    kept = busy_post(author)
    before = rows()
    for _ in range(3):
        author.call("delete", f"/posts/{busy_post(author)}")
    while purge.purge_batch():
        pass
    assert rows() == before
    assert author.get(f"/posts/{kept}")["comment_count"] == 3


def test_a_purge_that_died_half_way_is_taken_up(author: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "ROW_BATCH_SIZE", 1)
    author.call("delete", f"/posts/{busy_post(author)}")
    assert purge.purge_batch()
    assert purge.purge_batch()
    assert Post.objects.exists()
    while purge.purge_batch():
        pass
    assert not any(rows().values())
    assert not purge.purge_batch()


def test_a_post_that_a_like_holds_is_purged_later(author: ApiUser) -> None:
    post, reader = int(author.write()), ApiUser()
    with transaction.atomic():
        services.like_post(reader.id, post, author.id)
        run_concurrently([lambda: author.call("delete", f"/posts/{post}")])
        assert run_concurrently([purge.purge_batch]) == [False]
    purge_posts()
    assert not any(rows().values())


@pytest.mark.parametrize("forgotten", ["deleted", "hidden"])
def test_a_post_that_is_gone_is_a_404_though_its_keys_were_never_dropped(
    author: ApiUser, forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Redis is away at the commit, or the process dies right after it."""
    post, reader = author.write(), ApiUser()
    assert reader.get(f"/posts/{post}")
    monkeypatch.setattr("instafeed.core.cache.invalidation._delete_keys", lambda *_: None)
    if forgotten == "deleted":
        services.delete_post(int(post), author.id)
    else:
        services.hide_post(int(post))
    for method, path in (("get", ""), ("post", "/like"), ("post", "/save"), ("get", "/comments"), ("get", "/likes")):
        assert_error(reader.call(method, f"/posts/{post}{path}"), 404)
    assert_error(reader.call("post", f"/posts/{post}/comments", {"text": "x"}), 404)
