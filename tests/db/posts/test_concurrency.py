"""Concurrent requests and services on posts: no deadlock, exact counts, and each action once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import pytest
from django.db import transaction
from django.http import Http404
from django.utils import timezone

from accounts.models import AuditEntry, Reason, User
from accounts.moderation import ActionRefused
from instafeed.core.cache import keys
from instafeed.core.models import Invalidation
from posts import counters, hashtag_index, moderation, purge, services
from posts.counter_repair import COUNTER_REPAIRS
from posts.models import CaseState, Comment, Counter, Hashtag, Like, Post, PostHashtag
from posts.tasks import purge_posts
from social.models import NotificationEvent, Verb
from tests.db.posts.moderation_cases import ACTIONS, create_comment_target, create_post_target, file_reports
from tests.support.api_user import ApiUser
from tests.support.concurrency import close_connection_after, run_concurrently
from tests.support.eventually import eventually
from tests.support.factories import UserFactory
from tests.support.lock_waits import call_without_lock_waits, count_lock_waiters

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moderator() -> User:
    return UserFactory(is_staff=True)


# --- Moderators -------------------------------------------------------------------------------------


def test_one_of_two_decisions_at_once_is_refused(author: ApiUser, moderator: User) -> None:
    for _ in range(6):
        target = create_post_target(author)
        case = file_reports(target)
        hide = partial(moderation.hide, moderator, target, "spam")
        hidden, dismissed = run_concurrently(
            [
                partial(moderation.decide_open_case, moderator, target, hide),
                partial(moderation.dismiss, moderator, target, expected_version=1),
            ]
        )
        case.refresh_from_db()
        is_hidden = Post.objects.get(pk=target.id).hidden_at is not None
        assert (hidden is True, dismissed) == (is_hidden, not is_hidden)
        assert isinstance(hidden, ActionRefused) != is_hidden
        assert case.state == (CaseState.ACTED if is_hidden else CaseState.DISMISSED)


# --- Likes and comments ------------------------------------------------------------------------------


def test_concurrent_likes_are_all_counted(author: ApiUser) -> None:
    post = int(author.create_post())
    users = [ApiUser().id for _ in range(24)]
    likes = [partial(services.like_post, user, post) for user in users]
    unlikes = [partial(services.unlike_post, user, post) for user in users[:12]]
    for writes, left in ((likes, 24), (unlikes, 12)):
        results = run_concurrently(writes)
        assert not [result for result in results if isinstance(result, Exception)]
        assert author.get(f"/posts/{post}")["like_count"] == Like.objects.count() == left


def test_concurrent_like_and_unlike_keep_the_count_exact(author: ApiUser, reader: ApiUser) -> None:
    post = int(author.create_post())
    for _ in range(5):
        like = partial(services.like_post, reader.id, post)
        run_concurrently([like, like, partial(services.unlike_post, reader.id, post)])
        assert reader.get(f"/posts/{post}")["like_count"] == Like.objects.count()


def test_repeated_like_that_waits_for_the_first_counts_it(author: ApiUser, reader: ApiUser) -> None:
    """The statement of the second like began before the first one was committed, so it does not see it."""
    post = int(author.create_post())
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.like_post(reader.id, post)
            repeated = pool.submit(close_connection_after, services.like_post, reader.id, post)
            eventually(lambda: count_lock_waiters() == 1)
        assert repeated.result() == 1


def test_like_that_waits_for_an_unlike_is_counted_and_announced_after_it(
    author: ApiUser, reader: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement of the second like began before the unlike was committed, so it still sees the first one."""
    monkeypatch.setattr(counters, "choose_slot", count().__next__)
    post = int(author.create_post())
    services.like_post(reader.id, post)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            services.unlike_post(reader.id, post)
            repeated = pool.submit(close_connection_after, services.like_post, reader.id, post)
            eventually(lambda: count_lock_waiters() == 1)
        assert repeated.result() == 1
    assert counters.fetch_subject_counts(post).likes == 1
    verbs = NotificationEvent.objects.order_by("pk").values_list("verb", flat=True)
    assert list(verbs) == [Verb.ANNOUNCE, Verb.RETRACT, Verb.ANNOUNCE]


def test_like_that_waits_for_a_moderator_is_refused(author: ApiUser, reader: ApiUser) -> None:
    post = int(author.create_post())
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Post.objects.select_for_update().get(pk=post)
            like = pool.submit(close_connection_after, services.like_post, reader.id, post)
            eventually(lambda: count_lock_waiters() == 1)
            Post.objects.filter(pk=post).update(hidden_at=timezone.now())
        with pytest.raises(Http404):
            like.result()
    assert not any(model.objects.exists() for model in (Like, Counter, NotificationEvent))


def test_like_does_not_wait_for_the_sweep(author: ApiUser, reader: ApiUser) -> None:
    """It deletes the invalidation of the like before it, which the sweep may have locked."""
    first, second = int(author.create_post()), int(author.create_post())
    services.like_post(reader.id, first)
    with transaction.atomic():
        assert list(Invalidation.objects.select_for_update().filter(keys__contains=[keys.count(first)]))
        assert run_concurrently([partial(call_without_lock_waits, services.like_post, reader.id, second)]) == [1]


def test_like_does_not_block_updates_of_user_and_post(author: ApiUser, reader: ApiUser) -> None:
    """A like only takes a key-share lock, so the rows can be updated meanwhile."""
    post = int(author.create_post())

    def lock_rows() -> str:
        with transaction.atomic():
            Post.objects.select_for_update(no_key=True, nowait=True).get(pk=post)
            User.objects.select_for_update(no_key=True, nowait=True).get(pk=author.id)
        return "free"

    with transaction.atomic():
        services.like_post(reader.id, post)
        assert run_concurrently([lock_rows]) == ["free"]


def test_concurrent_delete_like_and_reply_do_not_deadlock(author: ApiUser) -> None:
    post = author.create_post()
    people = [ApiUser() for _ in range(6)]
    for _ in range(4):
        comment = author.create_comment(post)
        like, body = f"/comments/{comment}/like", {"text": "reply", "reply_to": comment}
        for person in people[:2]:
            person.call("post", like)
        calls = [partial(person.call, "post", like) for person in people[3:]]
        calls += [partial(person.call, "delete", like) for person in people[:2]]
        calls += [partial(people[2].call, "post", f"/posts/{post}/comments", body)]
        calls += [partial(author.call, "delete", f"/comments/{comment}")]
        responses = run_concurrently(calls)
        assert {response.status_code for response in responses} <= {200, 201, 204, 404}
        assert responses[-1].status_code == 204
        assert not Counter.objects.filter(subject_id=comment).exists()
    assert author.get(f"/posts/{post}")["comment_count"] == Comment.objects.filter(post_id=post).count()


# --- Hashtags ----------------------------------------------------------------------------------------


def index_caption(post_id: int, caption: str) -> None:
    with transaction.atomic():
        hashtag_index.index_caption(post_id, caption)


def test_concurrent_posts_with_the_same_new_hashtags_do_not_deadlock() -> None:
    """A third transaction locks the middle hashtag. If the other two inserted in different orders, they would deadlock
    as soon as it ends."""
    first, second = (services.create_post(UserFactory().pk, "hello").pk for _ in range(2))
    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            Hashtag.objects.create(name="m")
            indexed = [
                pool.submit(close_connection_after, index_caption, post, caption)
                for post, caption in ((first, "#a #m #z"), (second, "#z #m #a"))
            ]
            eventually(lambda: count_lock_waiters() == 2)
            transaction.set_rollback(True)
        for result in indexed:
            result.result()
    assert sorted(Hashtag.objects.values_list("name", flat=True)) == ["a", "m", "z"]
    assert PostHashtag.objects.count() == 6


def test_indexing_waits_for_a_hashtag_of_another_transaction() -> None:
    first, second = (services.create_post(UserFactory().pk, "hello").pk for _ in range(2))
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            hashtag_index.index_caption(first, "#new")
            indexed = pool.submit(close_connection_after, index_caption, second, "#new")
            eventually(lambda: count_lock_waiters() == 1)
        indexed.result()
    assert set(PostHashtag.objects.values_list("post_id", flat=True)) == {first, second}
    assert Hashtag.objects.count() == 1


def test_hashtag_that_another_transaction_is_about_to_use_is_not_deleted() -> None:
    first, second = (services.create_post(UserFactory().pk, caption).pk for caption in ("#tag", "hello"))
    with transaction.atomic():
        hashtag_index.index_caption(second, "#tag")
        assert run_concurrently([partial(index_caption, first, "hello")]) == [None]
    assert PostHashtag.objects.get().post_id == second


# --- Purge -------------------------------------------------------------------------------------------


def test_purge_skips_posts_locked_by_a_like(author: ApiUser, reader: ApiUser) -> None:
    post = int(author.create_post())
    with transaction.atomic():
        services.like_post(reader.id, post)
        (response,) = run_concurrently([partial(author.call, "delete", f"/posts/{post}")])
        assert response.status_code == 204
        assert run_concurrently([purge.purge_batch]) == [False]
    purge_posts()
    assert not any(model.objects.exists() for model in (Post, Like, Counter))


# --- Reports and moderation --------------------------------------------------------------------------


def test_concurrent_reports_create_one(author: ApiUser, reader: ApiUser) -> None:
    body = {"target_type": "post", "target_id": author.create_post(), "reason": "spam"}
    responses = run_concurrently([partial(reader.call, "post", "/reports", body)] * 4)
    assert sorted(response.status_code for response in responses) == [200, 200, 200, 201]


def test_concurrent_report_and_deletion_do_not_deadlock(author: ApiUser, moderator: User) -> None:
    post = create_post_target(author)
    for _ in range(5):
        comment = create_comment_target(author, post)
        file_reports(comment)
        reports = [partial(services.file_report, UserFactory().pk, comment, Reason.SPAM, "") for _ in range(2)]
        outcomes = run_concurrently([partial(moderation.delete, moderator, comment, "spam"), *reports])
        assert outcomes[0] is True, outcomes
        assert all(isinstance(outcome, tuple | Http404) for outcome in outcomes[1:]), outcomes


@pytest.mark.parametrize("action", ACTIONS)
def test_concurrent_moderators_act_once(action: str, author: ApiUser) -> None:
    post = create_post_target(author)
    case = file_reports(post)
    moderators = [UserFactory(is_staff=True) for _ in range(4)]
    outcomes = run_concurrently([partial(ACTIONS[action], moderator, post) for moderator in moderators])
    others = [outcome for outcome in outcomes if outcome is not True]
    assert len(others) == 3
    assert all(isinstance(outcome, ActionRefused) if action == "suspend" else outcome is False for outcome in others), (
        outcomes
    )
    assert AuditEntry.objects.count() == 1
    case.refresh_from_db()
    assert case.state != CaseState.OPEN


def test_concurrent_report_keeps_or_reopens_the_case(author: ApiUser, moderator: User) -> None:
    post = create_post_target(author)
    for _ in range(6):
        case = file_reports(post)
        outcomes = run_concurrently(
            [
                partial(moderation.dismiss, moderator, post, expected_version=case.report_count),
                partial(services.file_report, UserFactory().pk, post, Reason.SPAM, ""),
            ]
        )
        case.refresh_from_db()
        assert case.state == CaseState.OPEN, outcomes


def test_concurrent_hide_and_delete_count_a_comment_once(author: ApiUser, moderator: User) -> None:
    post = create_post_target(author)
    for _ in range(6):
        comment = create_comment_target(author, post)
        outcomes = run_concurrently(
            [
                partial(moderation.hide, moderator, comment, "rude"),
                partial(services.delete_comment, comment.id),
                partial(services.hide_comment, comment.id),
            ]
        )
        assert all(isinstance(outcome, bool | ActionRefused) for outcome in outcomes), outcomes
        comments = counters.fetch_subject_counts(post.id).comments
        assert comments == Comment.objects.filter(hidden_at=None).count() == 0
    assert all(not repair.find_wrong([post.id]) for repair in COUNTER_REPAIRS if repair.model is Post)
