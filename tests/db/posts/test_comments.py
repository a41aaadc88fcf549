"""Comments: lists, replies, deletion and visibility."""

from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from posts.models import Comment, Counter
from social import services as social
from tests.support.api_user import ApiUser
from tests.support.error_shape import assert_error

pytestmark = pytest.mark.django_db


def test_created_comment_is_returned_and_listed(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    text = " schön 👋🏽 #Tag @Bob \n"
    response = reader.call("post", f"/posts/{post}/comments", {"text": text})
    assert response.status_code == 201
    comment = response.json()
    assert comment["text"] == text
    assert comment["author"]["username"] == reader.username
    assert (comment["post_id"], comment["reply_to"]) == (post, None)
    assert (comment["like_count"], comment["liked"]) == (0, False)
    assert author.get(f"/posts/{post}/comments")["results"] == [comment]
    assert author.get(f"/posts/{post}")["comment_count"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": " \n"},
        {"text": None},
        {"text": 5},
        {"text": "x" * 1_001},
        {"text": "x", "reply_to": 5},
        {"text": "x", "reply_to": "abc"},
        {"text": "x", "reply_to": ["1"]},
        [],
    ],
)
def test_invalid_comment_is_a_400_and_stores_nothing(author: ApiUser, body: object) -> None:
    post = author.create_post()
    assert_error(author.call("post", f"/posts/{post}/comments", body), 400)
    assert not Comment.objects.exists()
    assert not Counter.objects.exists()


def test_reply_names_the_comment_it_answers(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    first = author.create_comment(post)
    reply = reader.create_comment(post, "indeed", reply_to=first)
    comments = reader.get(f"/posts/{post}/comments")["results"]
    assert [(comment["id"], comment["reply_to"]) for comment in comments] == [(first, None), (reply, first)]


def test_reply_to_a_comment_on_another_post_is_a_404(author: ApiUser) -> None:
    one, other = author.create_post(), author.create_post()
    comment = author.create_comment(other)
    response = author.call("post", f"/posts/{one}/comments", {"text": "x", "reply_to": comment})
    assert_error(response, 404)
    assert_error(author.call("post", f"/posts/{one}/comments", {"text": "x", "reply_to": "123456"}), 404)
    assert author.get(f"/posts/{one}")["comment_count"] == 0


def test_pages_list_all_comments_oldest_first(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    comments = [reader.create_comment(post, f"number {number}") for number in range(7)]
    for limit in (1, 2, 3, 7, 100):
        assert [row["id"] for row in author.list_all(f"/posts/{post}/comments", limit)] == comments


def test_cursor_survives_deletion_of_its_comment(author: ApiUser) -> None:
    post = author.create_post()
    comments = [author.create_comment(post) for _ in range(4)]
    page = author.get(f"/posts/{post}/comments?limit=2")
    author.call("delete", f"/comments/{comments[1]}")
    late = author.create_comment(post, "late")
    rest = author.get(page["next"].partition("/api/v1")[2])
    assert [row["id"] for row in rest["results"]] == comments[2:4]
    rest = author.get(rest["next"].partition("/api/v1")[2])
    assert ([row["id"] for row in rest["results"]], rest["next"]) == ([late], None)


def test_only_comment_author_and_post_author_can_delete(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    mine, theirs = reader.create_comment(post), reader.create_comment(post)
    assert_error(ApiUser().call("delete", f"/comments/{mine}"), 403)
    assert reader.call("delete", f"/comments/{mine}").status_code == 204
    assert author.call("delete", f"/comments/{theirs}").status_code == 204
    assert_error(reader.call("delete", f"/comments/{mine}"), 404)
    assert author.get(f"/posts/{post}")["comment_count"] == 0
    assert author.get(f"/posts/{post}/comments")["results"] == []


def test_replies_survive_deletion_of_their_comment(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    first = author.create_comment(post)
    reply = reader.create_comment(post, reply_to=first)
    author.call("delete", f"/comments/{first}")
    (left,) = reader.get(f"/posts/{post}/comments")["results"]
    assert (left["id"], left["reply_to"]) == (reply, None)
    assert reader.get(f"/posts/{post}")["comment_count"] == 1


def test_deleting_a_comment_deletes_its_counter(author: ApiUser, reader: ApiUser) -> None:
    comment = author.create_comment(author.create_post())
    reader.call("post", f"/comments/{comment}/like")
    assert author.call("delete", f"/comments/{comment}").status_code == 204
    assert not Counter.objects.filter(subject_id=comment).exists()


def test_comments_of_blocked_and_suspended_users_are_invisible(author: ApiUser, reader: ApiUser) -> None:
    post = author.create_post()
    blocked, blocker, suspended, seen = (ApiUser() for _ in range(4))
    comments = {caller.username: caller.create_comment(post) for caller in (blocked, blocker, suspended, seen)}
    social.block(reader.id, blocked.id)
    social.block(blocker.id, reader.id)
    accounts.suspend(suspended.id)
    shown = [row["author"]["username"] for row in reader.list_all(f"/posts/{post}/comments", 1)]
    assert shown == [seen.username]
    for hidden in (blocked, blocker, suspended):
        assert_error(reader.call("post", f"/comments/{comments[hidden.username]}/like"), 404)
        response = reader.call("post", f"/posts/{post}/comments", {"text": "x", "reply_to": comments[hidden.username]})
        assert_error(response, 404)


@pytest.mark.parametrize("size", [2, 50])
def test_comment_page_query_count(
    author: ApiUser, reader: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    post = author.create_post()
    for _ in range(size):
        ApiUser().create_comment(post)
    reader.get(f"/posts/{post}/comments?limit={size}")
    # the post's author and the relationship to them, ids, the end of the list, rows, relationships to the authors, the
    # reader's likes
    with django_assert_num_queries(6):
        assert len(reader.get(f"/posts/{post}/comments?limit={size}")["results"]) == size


def test_idempotency_key_returns_the_first_response(author: ApiUser) -> None:
    post = author.create_post()
    responses = [
        author.call("post", f"/posts/{post}/comments", {"text": text}, **{"Idempotency-Key": "k"})
        for text in ("first", "first", "second")
    ]
    assert [response.status_code for response in responses] == [201, 201, 422]
    assert responses[0].content == responses[1].content
    assert author.get(f"/posts/{post}")["comment_count"] == 1


def test_post_author_can_delete_comments_of_users_they_block(author: ApiUser, reader: ApiUser) -> None:
    comment = reader.create_comment(author.create_post())
    social.block(author.id, reader.id)
    assert author.call("delete", f"/comments/{comment}").status_code == 204
    assert not Comment.objects.exists()


def test_repeated_request_is_a_404_after_a_block(author: ApiUser, reader: ApiUser) -> None:
    path, key = f"/posts/{author.create_post()}/comments", {"Idempotency-Key": "k"}
    assert reader.call("post", path, {"text": "hello"}, **key).status_code == 201
    social.block(author.id, reader.id)
    assert_error(reader.call("post", path, {"text": "hello"}, **key), 404)
