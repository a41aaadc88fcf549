"""`reconcile_counters` while others write."""

from __future__ import annotations

import random
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.core.management import CommandError

from posts import counter_repair, counters, services
from posts.counters import Counts
from posts.models import Comment, Counter, Post
from social import services as social
from tests.db.posts.counted_site import CountedSite, reconcile
from tests.support.concurrency import close_connection_after, repeated_in_threads
from tests.support.eventually import eventually
from tests.support.factories import UserFactory
from tests.support.lock_waits import count_lock_waiters
from tests.support.populated_account import assert_counts_are_exact

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site() -> CountedSite:
    return CountedSite()


def test_comment_deleted_during_correction_leaves_no_counter(
    site: CountedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.corrupt()
    comment = site.comments[0].pk
    increment_many = counters.increment_many
    (repair,) = [repair for repair in counter_repair.COUNTER_REPAIRS if repair.model is Comment]

    with ThreadPoolExecutor(1) as pool:
        deleting: list[Future[bool]] = []

        def increment_during_deletion(changes: Mapping[int, Counts]) -> None:
            patch.undo()  # the deletion counts too, as soon as the correction has committed
            deleting.append(pool.submit(close_connection_after, services.delete_comment, comment))
            eventually(lambda: count_lock_waiters() == 1)
            increment_many(changes)

        with monkeypatch.context() as patch:
            patch.setattr(counters, "increment_many", increment_during_deletion)
            repair.correct([comment])
        assert [deletion.result() for deletion in deleting] == [True]
    assert not Counter.objects.filter(subject_id=comment).exists()


class Writer:
    """A user who follows, likes, comments and posts at random, and undoes some of it."""

    def __init__(self, site: CountedSite, seed: int) -> None:
        self.site, self.random, self.user = site, random.Random(seed), UserFactory()

    def write(self) -> None:
        choose, user = self.random.choice, self.user.pk
        star, post, comment = choose(self.site.users), choose(self.site.posts), choose(self.site.comments)
        follow = social.follow if self.is_likely() else social.unfollow
        follow(user, star.pk)
        if self.is_likely():
            services.like_post(user, post.pk)
        else:
            services.unlike_post(user, post.pk)
        if self.is_likely():
            services.like_comment(user, comment.pk, comment.post_id, comment.author_id)
        else:
            services.unlike_comment(user, comment.pk)
        mine = services.create_comment(user, post.pk, post.author_id, "me too", None)
        if self.is_likely():
            services.delete_comment(mine.pk)
        own = services.create_post(star.pk, "one more")
        if self.is_likely():
            services.delete_post(own.pk, star.pk)

    def is_likely(self) -> bool:
        return self.random.random() < 0.6


def test_concurrent_writes_keep_right_counts_right(site: CountedSite) -> None:
    """Six writers, two repairs, and a check of the counts that were not corrupted."""
    untouched = {
        "follower and following counts": [site.users[2].pk],
        "post counts": [site.users[1].pk, site.users[2].pk],
        "like and comment counts of posts": [site.posts[2].pk],
        "like counts of comments": [comment.pk for comment in site.comments[1:]],
    }
    checks: list[bool] = []
    outputs: list[str] = []

    def check_untouched() -> None:
        checks.append(not any(kind.find_wrong(untouched[kind.name]) for kind in counter_repair.COUNTER_REPAIRS))

    def correct() -> None:
        try:
            outputs.append(reconcile())
        except CommandError as error:  # corrupted again just after it was corrected
            outputs.append(str(error))

    site.corrupt()
    assert all(site.find_wrong().values())
    writers = [Writer(site, seed) for seed in range(6)]
    with repeated_in_threads(*(writer.write for writer in writers), check_untouched, correct, correct):
        for _ in range(5):
            site.corrupt()
            eventually(lambda: not any(site.find_wrong().values()))
        eventually(lambda: len(checks) >= 5)
    assert all(checks)
    reconcile()
    assert_counts_are_exact()
    assert Post.objects.filter(deleted_at=None).count() > 3
    assert " 0 wrong; post counts: 0 wrong" in reconcile(dry_run=True)
