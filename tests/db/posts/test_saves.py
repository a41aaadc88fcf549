"""Saved posts: a private list, newest save first, of visible posts."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from social import services as social
from tests.support.api_user import ApiUser

pytestmark = pytest.mark.django_db


def save_post(caller: ApiUser, post: str) -> None:
    response = caller.call("post", f"/posts/{post}/save")
    assert (response.status_code, response.json()) == (200, {"saved": True})


def test_saved_posts_are_ordered_by_first_save(author: ApiUser, reader: ApiUser) -> None:
    posts = [author.create_post() for _ in range(4)]
    for post in (posts[2], posts[0], posts[3], posts[2]):
        save_post(reader, post)
    expected = [posts[3], posts[0], posts[2]]
    for limit in (1, 2, 10):
        assert [row["id"] for row in reader.list_all("/me/saved", limit)] == expected
    assert all(row["saved"] for row in reader.get("/me/saved")["results"])
    assert author.get("/me/saved")["results"] == []


def test_unsave_is_idempotent(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    save_post(reader, post)
    for _ in range(2):
        response = reader.call("delete", f"/posts/{post}/save")
        assert (response.status_code, response.json()) == (200, {"saved": False})
    assert reader.get("/me/saved")["results"] == []
    assert reader.get(f"/posts/{post}")["saved"] is False


def test_invisible_posts_are_left_out(reader: ApiUser) -> None:
    private, suspended, blocker, plain = (ApiUser() for _ in range(4))
    posts = {caller: caller.create_post() for caller in (private, suspended, blocker, plain)}
    for post in posts.values():
        save_post(reader, post)
    accounts.update_profile(private.id, {"is_private": True})
    accounts.suspend(suspended.id)
    social.block(blocker.id, reader.id)
    assert [row["id"] for row in reader.list_all("/me/saved", 1)] == [posts[plain]]
    accounts.update_profile(private.id, {"is_private": False})
    accounts.reinstate(suspended.id)
    social.unblock(blocker.id, reader.id)
    assert [row["id"] for row in reader.list_all("/me/saved", 3)] == list(posts.values())[::-1]


def test_deleted_posts_are_left_out(author: ApiUser, reader: ApiUser) -> None:
    posts = [author.create_post() for _ in range(3)]
    for post in posts:
        save_post(reader, post)
    author.call("delete", f"/posts/{posts[1]}")
    assert [row["id"] for row in reader.list_all("/me/saved", 1)] == [posts[2], posts[0]]


@pytest.mark.parametrize("size", [2, 50])
def test_saved_posts_query_count(
    author: ApiUser, reader: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(size):
        save_post(reader, author.create_post())
    reader.get(f"/me/saved?limit={size}")
    # saves, their posts, the active authors, the relationships to them
    with django_assert_num_queries(4):
        assert len(reader.get(f"/me/saved?limit={size}")["results"]) == size
