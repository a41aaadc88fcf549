"""Comments: whole lists, replies, who may delete, what is left behind."""

from __future__ import annotations

from functools import partial

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts import services as accounts
from posts.models import Comment, Counter
from social import services as social
from tests.api.error_shape import assert_error
from tests.posts.api_user import ApiUser
from tests.social.follow_graph import run_concurrently

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_comment_comes_back_as_it_was_written(author: ApiUser, reader: ApiUser) -> None:
    post = author.write()
    text = " schön 👋🏽 #Tag @Bob \n"
    answer = reader.call("post", f"/posts/{post}/comments", {"text": text})
    assert answer.status_code == 201
    comment = answer.json()
    assert comment["text"] == text
    assert comment["author"]["username"] == reader.name
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
def test_what_is_no_comment_is_refused_and_leaves_nothing(author: ApiUser, body: object) -> None:
    post = author.write()
    assert_error(author.call("post", f"/posts/{post}/comments", body), 400)
    assert not Comment.objects.exists()
    assert not Counter.objects.exists()


def test_a_reply_says_what_it_answers(author: ApiUser, reader: ApiUser) -> None:
    post = author.write()
    first = author.comment(post)
    reply = reader.comment(post, "indeed", reply_to=first)
    comments = reader.get(f"/posts/{post}/comments")["results"]
    assert [(comment["id"], comment["reply_to"]) for comment in comments] == [(first, None), (reply, first)]


def test_a_reply_answers_a_comment_on_the_same_post_only(author: ApiUser) -> None:
    one, other = author.write(), author.write()
    comment = author.comment(other)
    answer = author.call("post", f"/posts/{one}/comments", {"text": "x", "reply_to": comment})
    assert_error(answer, 404)
    assert_error(author.call("post", f"/posts/{one}/comments", {"text": "x", "reply_to": "123456"}), 404)
    assert author.get(f"/posts/{one}")["comment_count"] == 0


def test_pages_are_the_whole_list_oldest_first(author: ApiUser, reader: ApiUser) -> None:
    post = author.write()
    comments = [reader.comment(post, f"number {number}") for number in range(7)]
    for limit in (1, 2, 3, 7, 100):
        assert [row["id"] for row in author.list_all(f"/posts/{post}/comments", limit)] == comments


def test_pages_go_on_though_the_cursors_own_comment_is_deleted(author: ApiUser) -> None:
    post = author.write()
    comments = [author.comment(post) for _ in range(4)]
    page = author.get(f"/posts/{post}/comments?limit=2")
    author.call("delete", f"/comments/{comments[1]}")
    late = author.comment(post, "late")
    rest = author.get(page["next"].partition("/api/v1")[2])
    assert [row["id"] for row in rest["results"]] == comments[2:4]
    rest = author.get(rest["next"].partition("/api/v1")[2])
    assert ([row["id"] for row in rest["results"]], rest["next"]) == ([late], None)


def test_its_author_and_the_posts_author_may_delete_it_and_nobody_else(author: ApiUser, reader: ApiUser) -> None:
    post = author.write()
    mine, theirs = reader.comment(post), reader.comment(post)
    assert_error(ApiUser().call("delete", f"/comments/{mine}"), 403)
    assert reader.call("delete", f"/comments/{mine}").status_code == 204
    assert author.call("delete", f"/comments/{theirs}").status_code == 204
    assert_error(reader.call("delete", f"/comments/{mine}"), 404)
    assert author.get(f"/posts/{post}")["comment_count"] == 0
    assert author.get(f"/posts/{post}/comments")["results"] == []


def test_replies_stay_when_what_they_answer_goes(author: ApiUser, reader: ApiUser) -> None:
    post = author.write()
    first = author.comment(post)
    reply = reader.comment(post, reply_to=first)
    author.call("delete", f"/comments/{first}")
    (left,) = reader.get(f"/posts/{post}/comments")["results"]
    assert (left["id"], left["reply_to"]) == (reply, None)
    assert reader.get(f"/posts/{post}")["comment_count"] == 1


def test_likes_of_a_deleted_comment_go_with_it(author: ApiUser, reader: ApiUser) -> None:
    comment = author.comment(author.write())
    reader.call("post", f"/comments/{comment}/like")
    assert author.call("delete", f"/comments/{comment}").status_code == 204
    assert not Counter.objects.filter(subject_id=comment).exists()


def test_comments_of_the_blocked_and_the_suspended_are_not_shown(author: ApiUser, reader: ApiUser) -> None:
    post = author.write()
    blocked, blocker, suspended, seen = (ApiUser() for _ in range(4))
    comments = {caller.name: caller.comment(post) for caller in (blocked, blocker, suspended, seen)}
    social.block(reader.id, blocked.id)
    social.block(blocker.id, reader.id)
    accounts.suspend(suspended.id)
    shown = [row["author"]["username"] for row in reader.list_all(f"/posts/{post}/comments", 1)]
    assert shown == [seen.name]
    for hidden in (blocked, blocker, suspended):
        assert_error(reader.call("post", f"/comments/{comments[hidden.name]}/like"), 404)
        answer = reader.call("post", f"/posts/{post}/comments", {"text": "x", "reply_to": comments[hidden.name]})
        assert_error(answer, 404)


@pytest.mark.parametrize("size", [2, 50])
def test_a_page_costs_a_fixed_number_of_queries(
    author: ApiUser, reader: ApiUser, size: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    post = author.write()
    for _ in range(size):
        ApiUser().comment(post)
    reader.get(f"/posts/{post}/comments?limit={size}")
    # the post's author and the relation to them, ids, rows, relations to their authors, own likes
    with django_assert_num_queries(5):
        assert len(reader.get(f"/posts/{post}/comments?limit={size}")["results"]) == size


def test_the_same_key_gives_the_first_answer_again(author: ApiUser) -> None:
    post = author.write()
    answers = [
        author.call("post", f"/posts/{post}/comments", {"text": text}, **{"Idempotency-Key": "k"})
        for text in ("first", "second")
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert author.get(f"/posts/{post}")["comment_count"] == 1


def test_deleting_a_comment_meets_likes_and_replies_without_a_deadlock(author: ApiUser) -> None:
    post = author.write()
    people = [ApiUser() for _ in range(6)]
    for _ in range(4):
        comment = author.comment(post)
        like, body = f"/comments/{comment}/like", {"text": "reply", "reply_to": comment}
        for person in people[:2]:
            person.call("post", like)
        calls = [partial(person.call, "post", like) for person in people[3:]]
        calls += [partial(person.call, "delete", like) for person in people[:2]]
        calls += [partial(people[2].call, "post", f"/posts/{post}/comments", body)]
        calls += [partial(author.call, "delete", f"/comments/{comment}")]
        answers = run_concurrently(calls)
        assert {answer.status_code for answer in answers} <= {200, 201, 204, 404}
        assert answers[-1].status_code == 204
        assert not Counter.objects.filter(subject_id=comment).exists()
    assert author.get(f"/posts/{post}")["comment_count"] == Comment.objects.filter(post_id=post).count()


def test_the_posts_author_may_delete_what_somebody_they_block_has_written(author: ApiUser, reader: ApiUser) -> None:
    comment = reader.comment(author.write())
    social.block(author.id, reader.id)
    assert_error(reader.call("delete", f"/comments/{comment}"), 404)
    assert author.call("delete", f"/comments/{comment}").status_code == 204
    assert not Comment.objects.exists()


def test_a_repeated_request_of_somebody_blocked_meanwhile_is_a_404(author: ApiUser, reader: ApiUser) -> None:
    path, key = f"/posts/{author.write()}/comments", {"Idempotency-Key": "k"}
    assert reader.call("post", path, {"text": "hello"}, **key).status_code == 201
    social.block(author.id, reader.id)
    assert_error(reader.call("post", path, {"text": "hello"}, **key), 404)
