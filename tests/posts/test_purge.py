"""Deleted posts: gone for everybody at once, their rows a little later."""

from __future__ import annotations

import pytest
from django.db import transaction

from feeds.models import FanOut
from posts import purge, services
from posts.models import Comment, CommentLike, Counter, Like, Post, PostHashtag, Save
from posts.tasks import purge_posts
from tests.api.shape import check_shape
from tests.posts.callers import Caller
from tests.social.helpers import at_once

pytestmark = pytest.mark.django_db(transaction=True)

OF_POSTS = (Like, Save, Comment, CommentLike, Counter, PostHashtag, FanOut, Post)


def busy_post(author: Caller) -> str:
    """A post with everything that can hang on one."""
    post = author.write("a #tag for @nobody")
    first = author.comment(post)
    for reader in (Caller(), Caller()):
        reader.like(post)
        reader.call("post", f"/posts/{post}/save")
        reader.comment(post, reply_to=first)
        reader.call("post", f"/comments/{first}/like")
    return post


def rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in OF_POSTS}


def test_a_deleted_post_is_gone_at_once_with_its_comments(author: Caller) -> None:
    post = busy_post(author)
    comment = author.get(f"/posts/{post}/comments")["results"][0]["id"]
    assert author.call("delete", f"/posts/{post}").status_code == 204
    for path in (f"/posts/{post}", f"/posts/{post}/comments", f"/posts/{post}/likes"):
        check_shape(author.call("get", path), 404)
    check_shape(author.call("post", f"/comments/{comment}/like"), 404)
    check_shape(author.call("delete", f"/posts/{post}"), 404)
    assert author.get(f"/users/{author.name}")["post_count"] == 0


def test_the_purge_takes_every_row_and_leaves_other_posts_alone(
    author: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "ROWS", 1)
    kept = busy_post(author)
    before = rows()
    for _ in range(3):
        author.call("delete", f"/posts/{busy_post(author)}")
    while purge.purge_slice():
        pass
    assert rows() == before
    assert author.get(f"/posts/{kept}")["comment_count"] == 3


def test_a_purge_that_died_half_way_is_taken_up(author: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "ROWS", 1)
    author.call("delete", f"/posts/{busy_post(author)}")
    assert purge.purge_slice()
    assert purge.purge_slice()
    assert Post.objects.exists()
    while purge.purge_slice():
        pass
    assert not any(rows().values())
    assert not purge.purge_slice()


def test_a_post_that_a_like_holds_is_purged_later(author: Caller) -> None:
    post, reader = int(author.write()), Caller()
    with transaction.atomic():
        services.like_post(reader.id, post, author.id)
        at_once([lambda: author.call("delete", f"/posts/{post}")])
        assert at_once([purge.purge_slice]) == [False]
    purge_posts()
    assert not any(rows().values())


@pytest.mark.parametrize("forgotten", ["deleted", "hidden"])
def test_a_post_that_is_gone_is_a_404_though_its_keys_were_never_dropped(
    author: Caller, forgotten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Redis is away at the commit, or the process dies right after it."""
    post, reader = author.write(), Caller()
    assert reader.get(f"/posts/{post}")
    monkeypatch.setattr("instafeed.invalidation._drop", lambda *_: None)
    if forgotten == "deleted":
        services.delete_post(int(post), author.id)
    else:
        services.hide_post(int(post))
    for method, path in (("get", ""), ("post", "/like"), ("post", "/save"), ("get", "/comments"), ("get", "/likes")):
        check_shape(reader.call(method, f"/posts/{post}{path}"), 404)
    check_shape(reader.call("post", f"/posts/{post}/comments", {"text": "x"}), 404)
