"""`reconcile_counters` corrects every count, also while others are writing."""

from __future__ import annotations

import random
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from io import StringIO
from threading import Event
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import CountChange, User
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as redis
from posts import counter_repair, counters, services
from posts.management.commands import reconcile_counters as command
from posts.models import Comment, Counter, Post
from social import services as social
from tests.support.concurrency import close_connection_after
from tests.support.factories import UserFactory
from tests.support.populated_account import assert_counts_are_exact

pytestmark = pytest.mark.django_db(transaction=True)


def run(**options: Any) -> str:
    """Run the command and return its output."""
    out = StringIO()
    call_command("reconcile_counters", stdout=out, stderr=out, **options)
    return out.getvalue()


class Site:
    """Three users who follow each other, each with a post that all of them like and one comments on."""

    def __init__(self) -> None:
        self.users = UserFactory.create_batch(3)
        self.posts = [services.create_post(user.pk, "a post") for user in self.users]
        self.comments = [
            services.create_comment(self.users[0].pk, post.pk, post.author_id, "well outputs", None)
            for post in self.posts
        ]
        for user in self.users:
            for other in self.users:
                if user != other:
                    social.follow(user.pk, other.pk)
            for post, comment in zip(self.posts, self.comments, strict=True):
                services.like_post(user.pk, post.pk, post.author_id)
                services.like_comment(user.pk, comment.pk, post.pk, comment.author_id)

    def corrupt(self) -> None:
        """Make the first counts of each kind wrong with increments, which are safe beside concurrent writers."""
        first, second = self.users[:2]
        User.objects.filter(pk=first.pk).update(follower_count=F("follower_count") + 5, post_count=F("post_count") + 9)
        CountChange.objects.create(user_id=second.pk, followers=-40, following=2)
        for subject, off in ((self.posts[0].pk, 3), (self.posts[1].pk, -8), (self.comments[0].pk, 4)):
            Counter.objects.update_or_create(subject_id=subject, slot=0)
            Counter.objects.filter(subject_id=subject, slot=0).update(likes=F("likes") + off)
        Counter.objects.filter(subject_id=self.posts[0].pk, slot=0).update(comments=F("comments") - 6)
        Counter.objects.filter(subject_id=self.comments[0].pk, slot=0).update(comments=1)


@pytest.fixture
def site() -> Site:
    return Site()


def stored_follow_counts() -> list[tuple[int, int]]:
    return list(User.objects.order_by("pk").values_list("follower_count", "following_count"))


def test_corrects_every_count(site: Site) -> None:
    site.corrupt()
    with pytest.raises(AssertionError):
        assert_counts_are_exact()
    output = run()
    assert (
        "All counts are right (follower and following counts: 2 wrong; post counts: 1 wrong; "
        "like and comment counts of posts: 2 wrong; like counts of comments: 1 wrong)."
    ) in output
    assert "post counts: 3 of 3" in output
    assert_counts_are_exact()
    assert stored_follow_counts() == [(2, 2)] * 3, "the changes are rolled up"
    assert " 0 wrong; post counts: 0 wrong; like and comment counts of posts: 0 wrong" in run()


def test_dry_run_changes_nothing_and_fails_on_wrong_counts(site: Site) -> None:
    assert "All counts are right" in run(dry_run=True)
    site.corrupt()
    before = (
        list(Counter.objects.order_by("pk").values_list()),
        list(CountChange.objects.values_list()),
        stored_follow_counts(),
    )
    with pytest.raises(CommandError, match=r"^6 counts are still wrong \(follower") as error:
        run(dry_run=True)
    assert error.value.returncode == 1
    assert before == (
        list(Counter.objects.order_by("pk").values_list()),
        list(CountChange.objects.values_list()),
        stored_follow_counts(),
    )


def test_only_cached_wrong_counts_are_invalidated(site: Site) -> None:
    site.corrupt()
    subjects = [post.pk for post in site.posts]
    counters.cached_counts.get(subjects)
    run()
    assert [bool(redis().exists(keys.count(subject))) for subject in subjects] == [False, False, True]
    shown = {id_: counters.Counts.decode(raw).likes for id_, raw in counters.cached_counts.get(subjects).items()}
    assert shown == dict.fromkeys(subjects, 3)


@pytest.mark.parametrize("rate", [1, 2])
def test_rate_sets_the_batch_size(site: Site, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instafeed.core.management.base.time.sleep", lambda _: None)
    site.corrupt()
    run(rate=rate)
    assert_counts_are_exact()


def test_query_count_depends_on_batches_only() -> None:
    numbers = []
    for more in (2, 48):
        for user in UserFactory.create_batch(more):
            services.create_post(user.pk, "a post")
        with CaptureQueriesContext(connection) as captured:
            run()
        numbers.append(len(captured))
    assert numbers[0] == numbers[1]


def test_remaining_wrong_counts_exit_with_1(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.corrupt()
    kinds = [
        replace(kind, correct=lambda ids: None) if "post counts" in kind.name else kind
        for kind in counter_repair.COUNTER_REPAIRS
    ]
    monkeypatch.setattr(command, "COUNTER_REPAIRS", kinds)
    with pytest.raises(CommandError, match=r"^1 counts are still wrong") as error:
        run()
    assert error.value.returncode == 1


def test_deleted_but_unpurged_rows_are_not_wrong(site: Site) -> None:
    services.delete_post(site.posts[0].pk, site.users[0].pk)
    User.objects.filter(pk=site.users[2].pk).update(is_active=False, deleted_at=timezone.now(), post_count=99)
    site.posts[0].like_set.all()[:1].get().delete()
    assert " 0 wrong; post counts: 0 wrong; like and comment counts of posts: 0 wrong" in run(dry_run=True)


def test_hidden_comments_are_not_counted(site: Site) -> None:
    Comment.objects.filter(pk=site.comments[0].pk).update(hidden_at=timezone.now())
    run()
    assert counters.fetch_counts([site.posts[0].pk])[site.posts[0].pk].comments == 0


def test_comment_deleted_during_correction_leaves_no_counter(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.corrupt()
    comment = site.comments[0].pk
    move = counters.increment_many

    with ThreadPoolExecutor(1) as pool:

        def move_late(changes: Any) -> None:
            deleting.append(pool.submit(close_connection_after, services.delete_comment, comment))
            with pytest.raises(TimeoutError):
                deleting[0].result(timeout=0.5)
            move(changes)

        deleting: list[Future[bool]] = []
        monkeypatch.setattr(counter_repair.counters, "increment_many", move_late)
        counter_repair._correct_counters("posts_comment", counter_repair._COMMENT_DRIFT_SQL, [comment])
        monkeypatch.undo()
        assert deleting[0].result(timeout=20) is True
    assert not Counter.objects.filter(subject_id=comment).exists()


def test_concurrent_writes_keep_right_counts_right(site: Site) -> None:
    """Six writers, two repairs, and a check of the counts that were not corrupted."""
    done = Event()
    untouched = {
        "follower and following counts": [site.users[2].pk],
        "post counts": [site.users[1].pk, site.users[2].pk],
        "like and comment counts of posts": [site.posts[2].pk],
        "like counts of comments": [comment.pk for comment in site.comments[1:]],
    }

    def write(seed: int) -> None:
        rng = random.Random(seed)
        user = UserFactory()
        while not done.is_set():
            star, post, comment = rng.choice(site.users), rng.choice(site.posts), rng.choice(site.comments)
            (social.follow if rng.random() < 0.6 else social.unfollow)(user.pk, star.pk)
            (services.like_post if rng.random() < 0.6 else services.unlike_post)(user.pk, post.pk, post.author_id)
            like = services.like_comment if rng.random() < 0.6 else services.unlike_comment
            like(user.pk, comment.pk, comment.post_id, comment.author_id)
            mine = services.create_comment(user.pk, post.pk, post.author_id, "me too", None)
            if rng.random() < 0.5:
                services.delete_comment(mine.pk)
            own = services.create_post(star.pk, "one more")
            if rng.random() < 0.5:
                services.delete_post(own.pk, star.pk)

    def check_untouched() -> list[object]:
        wrong: list[object] = []
        while not done.is_set():
            wrong += [kind.find_wrong(untouched[kind.name]) for kind in counter_repair.COUNTER_REPAIRS]
        return wrong

    def correct() -> list[str]:
        outputs = []
        while not done.is_set():
            try:
                outputs.append(run())
            except CommandError as error:  # corrupted again just after it was corrected
                outputs.append(str(error))
        return outputs

    with ThreadPoolExecutor(9) as pool:
        try:
            writers = [pool.submit(close_connection_after, write, seed) for seed in range(6)]
            checking = pool.submit(close_connection_after, check_untouched)
            correcting = [pool.submit(close_connection_after, correct) for _ in range(2)]
            for _ in range(5):
                site.corrupt()
                assert not done.wait(0.3)
        finally:
            done.set()
        for writer in writers:
            writer.result(timeout=60)
        wrong = checking.result(timeout=60)
        assert len(wrong) > 4
        assert not any(wrong)
        outputs = [answer for task in correcting for answer in task.result(timeout=60)]
    assert any("follower and following counts: 2 wrong" in answer for answer in outputs)
    run()
    assert_counts_are_exact()
    assert Post.objects.filter(deleted_at=None).count() > 3
    assert " 0 wrong; post counts: 0 wrong" in run(dry_run=True)
