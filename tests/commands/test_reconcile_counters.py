"""`reconcile_counters`: whatever is counted is right afterwards, also beside those who go on counting."""

from __future__ import annotations

import random
from collections.abc import Callable
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
from tests.accounts.populated_account import assert_counts_are_exact
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


def run(**options: Any) -> str:
    """Everything that the command prints."""
    out = StringIO()
    call_command("reconcile_counters", stdout=out, stderr=out, **options)
    return out.getvalue()


class Site:
    """Three people who follow one another, each with a post that the others like and answer."""

    def __init__(self) -> None:
        self.users = UserFactory.create_batch(3)
        self.posts = [services.create_post(user.pk, "a post") for user in self.users]
        self.comments = [
            services.create_comment(self.users[0].pk, post.pk, post.author_id, "well said", None) for post in self.posts
        ]
        for user in self.users:
            for other in self.users:
                if user != other:
                    social.follow(user.pk, other.pk)
            for post, comment in zip(self.posts, self.comments, strict=True):
                services.like_post(user.pk, post.pk, post.author_id)
                services.like_comment(user.pk, comment.pk, post.pk, comment.author_id)

    def spoil(self) -> None:
        """The counts of the first two of each kind, by adding to them: those who count may go on."""
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


def in_rows() -> list[tuple[int, int]]:
    return list(User.objects.order_by("pk").values_list("follower_count", "following_count"))


def test_every_count_is_right_afterwards(site: Site) -> None:
    site.spoil()
    with pytest.raises(AssertionError):
        assert_counts_are_exact()
    said = run()
    assert (
        "All counts are right now (follower and following counts: 2 wrong; post counts: 1 wrong; "
        "like and comment counts of posts: 2 wrong; like counts of comments: 1 wrong)."
    ) in said
    assert "post counts: 3 of 3" in said
    assert_counts_are_exact()
    assert in_rows() == [(2, 2)] * 3, "rolled up"
    assert " 0 wrong; post counts: 0 wrong; like and comment counts of posts: 0 wrong" in run()


def test_a_dry_run_changes_nothing_and_fails_if_anything_is_wrong(site: Site) -> None:
    assert "All counts are right now" in run(dry_run=True)
    site.spoil()
    before = list(Counter.objects.order_by("pk").values_list()), list(CountChange.objects.values_list()), in_rows()
    with pytest.raises(CommandError, match=r"^6 left wrong \(follower") as error:
        run(dry_run=True)
    assert error.value.returncode == 1
    assert before == (
        list(Counter.objects.order_by("pk").values_list()),
        list(CountChange.objects.values_list()),
        in_rows(),
    )


def test_what_caches_hold_of_what_was_wrong_is_dropped_and_nothing_else(site: Site) -> None:
    site.spoil()
    subjects = [post.pk for post in site.posts]
    counters.cached_counts.get(subjects)
    run()
    assert [bool(redis().exists(keys.count(subject))) for subject in subjects] == [False, False, True]
    shown = {id_: counters.Counts.decode(raw).likes for id_, raw in counters.cached_counts.get(subjects).items()}
    assert shown == dict.fromkeys(subjects, 3)


@pytest.mark.parametrize("rate", [1, 2])
def test_it_goes_batch_by_batch_at_the_pace_it_is_told(site: Site, rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("instafeed.core.management.base.time.sleep", lambda _: None)
    site.spoil()
    run(rate=rate)
    assert_counts_are_exact()


def test_the_queries_grow_with_the_batches_only() -> None:
    numbers = []
    for more in (2, 48):
        for user in UserFactory.create_batch(more):
            services.create_post(user.pk, "a post")
        with CaptureQueriesContext(connection) as captured:
            run()
        numbers.append(len(captured))
    assert numbers[0] == numbers[1]


def test_something_left_wrong_is_status_1(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.spoil()
    kinds = [
        replace(kind, correct=lambda ids: None) if "post counts" in kind.name else kind
        for kind in counter_repair.COUNTER_REPAIRS
    ]
    monkeypatch.setattr(command, "COUNTER_REPAIRS", kinds)
    with pytest.raises(CommandError, match=r"^1 left wrong") as error:
        run()
    assert error.value.returncode == 1


def test_what_is_deleted_and_not_yet_purged_is_no_mistake(site: Site) -> None:
    services.delete_post(site.posts[0].pk, site.users[0].pk)
    User.objects.filter(pk=site.users[2].pk).update(is_active=False, deleted_at=timezone.now(), post_count=99)
    site.posts[0].like_set.all()[:1].get().delete()
    assert " 0 wrong; post counts: 0 wrong; like and comment counts of posts: 0 wrong" in run(dry_run=True)


def test_a_hidden_comment_is_not_counted(site: Site) -> None:
    Comment.objects.filter(pk=site.comments[0].pk).update(hidden_at=timezone.now())
    run()
    assert counters.fetch_counts([site.posts[0].pk])[site.posts[0].pk].comments == 0


def test_what_is_deleted_while_it_is_corrected_takes_its_counter_along(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.spoil()
    comment = site.comments[0].pk
    move = counters.increment_many

    with ThreadPoolExecutor(1) as pool:

        def move_late(changes: Any) -> None:
            deleting.append(pool.submit(closing, services.delete_comment, comment))
            with pytest.raises(TimeoutError):
                deleting[0].result(timeout=0.5)
            move(changes)

        deleting: list[Future[bool]] = []
        monkeypatch.setattr(counter_repair.counters, "increment_many", move_late)
        counter_repair._repair_counters("posts_comment", counter_repair._COMMENT_DRIFT_SQL, [comment])
        monkeypatch.undo()
        assert deleting[0].result(timeout=20) is True
    assert not Counter.objects.filter(subject_id=comment).exists()


def closing(call: Callable[..., Any], *arguments: object) -> Any:
    try:
        return call(*arguments)
    finally:
        connection.close()


def test_beside_those_who_go_on_counting_nothing_right_becomes_wrong(site: Site) -> None:
    """Six who write, two who correct, and one who looks for mistakes where none was made."""
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

    def look() -> list[object]:
        mistakes: list[object] = []
        while not done.is_set():
            mistakes += [kind.wrong(untouched[kind.name]) for kind in counter_repair.COUNTER_REPAIRS]
        return mistakes

    def correct() -> list[str]:
        said = []
        while not done.is_set():
            try:
                said.append(run())
            except CommandError as error:  # spoiled just after it was corrected
                said.append(str(error))
        return said

    with ThreadPoolExecutor(9) as pool:
        try:
            writers = [pool.submit(closing, write, seed) for seed in range(6)]
            looking = pool.submit(closing, look)
            correcting = [pool.submit(closing, correct) for _ in range(2)]
            for _ in range(5):
                site.spoil()
                assert not done.wait(0.3)
        finally:
            done.set()
        for writer in writers:
            writer.result(timeout=60)
        mistakes = looking.result(timeout=60)
        assert len(mistakes) > 4
        assert not any(mistakes)
        said = [answer for task in correcting for answer in task.result(timeout=60)]
    assert any("follower and following counts: 2 wrong" in answer for answer in said)
    run()
    assert_counts_are_exact()
    assert Post.objects.filter(deleted_at=None).count() > 3
    assert " 0 wrong; post counts: 0 wrong" in run(dry_run=True)
