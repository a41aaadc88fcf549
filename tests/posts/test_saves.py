"""Saved posts: a private list, newest save first, of what may still be seen."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from social import services as social
from tests.posts.api_user import ApiUser

pytestmark = pytest.mark.django_db(transaction=True)


def save(caller: ApiUser, post: str) -> None:
    answer = caller.call("post", f"/posts/{post}/save")
    assert (answer.status_code, answer.json()) == (200, {"saved": True})


def test_the_list_is_in_the_order_of_saving_and_saving_again_moves_nothing(author: ApiUser, reader: ApiUser) -> None:
    posts = [author.write() for _ in range(4)]
    for post in (posts[2], posts[0], posts[3], posts[2]):
        save(reader, post)
    expected = [posts[3], posts[0], posts[2]]
    for limit in (1, 2, 10):
        assert [row["id"] for row in reader.list_all("/me/saved", limit)] == expected
    assert all(row["saved"] for row in reader.get("/me/saved")["results"])
    assert author.get("/me/saved")["results"] == []


def test_dropping_a_save(author: ApiUser, reader: ApiUser) -> None:
    post = author.write()
    save(reader, post)
    for _ in range(2):
        answer = reader.call("delete", f"/posts/{post}/save")
        assert (answer.status_code, answer.json()) == (200, {"saved": False})
    assert reader.get("/me/saved")["results"] == []
    assert reader.get(f"/posts/{post}")["saved"] is False


def test_what_may_not_be_seen_any_more_is_left_out_and_comes_back(reader: ApiUser) -> None:
    private, suspended, blocker, plain = (ApiUser() for _ in range(4))
    posts = {caller: caller.write() for caller in (private, suspended, blocker, plain)}
    for post in posts.values():
        save(reader, post)
    accounts.update_profile(private.id, {"is_private": True})
    accounts.suspend(suspended.id)
    social.block(blocker.id, reader.id)
    assert [row["id"] for row in reader.list_all("/me/saved", 1)] == [posts[plain]]
    accounts.update_profile(private.id, {"is_private": False})
    accounts.reinstate(suspended.id)
    social.unblock(blocker.id, reader.id)
    assert [row["id"] for row in reader.list_all("/me/saved", 3)] == list(posts.values())[::-1]


def test_a_deleted_post_leaves_the_list(author: ApiUser, reader: ApiUser) -> None:
    posts = [author.write() for _ in range(3)]
    for post in posts:
        save(reader, post)
    author.call("delete", f"/posts/{posts[1]}")
    assert [row["id"] for row in reader.list_all("/me/saved", 1)] == [posts[2], posts[0]]


@pytest.mark.parametrize("size", [2, 50])
def test_a_page_costs_a_fixed_number_of_queries(
    author: ApiUser, reader: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(size):
        save(reader, author.write())
    reader.get(f"/me/saved?limit={size}")
    # saves, their posts, who of the authors is active, the relations to them
    with django_assert_num_queries(4):
        assert len(reader.get(f"/me/saved?limit={size}")["results"]) == size
