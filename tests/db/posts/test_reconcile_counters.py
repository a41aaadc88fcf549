"""`reconcile_counters` corrects every count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import CountChange, User
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client as redis
from posts import counter_repair, counters, services
from posts.management.commands import reconcile_counters as command
from posts.models import Comment, Counter
from tests.db.posts.counted_site import CountedSite, reconcile
from tests.support.factories import UserFactory
from tests.support.populated_account import assert_counts_are_exact

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> CountedSite:
    return CountedSite()


def stored_follow_counts() -> list[tuple[int, int]]:
    return list(User.objects.order_by("pk").values_list("follower_count", "following_count"))


def test_corrects_every_count(site: CountedSite) -> None:
    site.corrupt()
    with pytest.raises(AssertionError):
        assert_counts_are_exact()
    output = reconcile()
    assert (
        "All counts are right (follower and following counts: 2 wrong; post counts: 1 wrong; "
        "like and comment counts of posts: 2 wrong; like counts of comments: 1 wrong)."
    ) in output
    assert "post counts: 3 of 3" in output
    assert_counts_are_exact()
    assert stored_follow_counts() == [(2, 2)] * 3, "the changes are rolled up"
    assert " 0 wrong; post counts: 0 wrong; like and comment counts of posts: 0 wrong" in reconcile()


def test_dry_run_changes_nothing_and_fails_on_wrong_counts(site: CountedSite) -> None:
    assert "All counts are right" in reconcile(dry_run=True)
    site.corrupt()
    before = (
        list(Counter.objects.order_by("pk").values_list()),
        list(CountChange.objects.values_list()),
        stored_follow_counts(),
    )
    with pytest.raises(CommandError, match=r"^6 counts are still wrong \(follower") as error:
        reconcile(dry_run=True)
    assert error.value.returncode == 1
    assert before == (
        list(Counter.objects.order_by("pk").values_list()),
        list(CountChange.objects.values_list()),
        stored_follow_counts(),
    )


def test_only_cached_wrong_counts_are_invalidated(site: CountedSite) -> None:
    site.corrupt()
    subjects = [post.pk for post in site.posts]
    counters.cached_counts.get(subjects)
    reconcile()
    assert [bool(redis().exists(keys.count(subject))) for subject in subjects] == [False, False, True]
    shown = {id_: counters.Counts.decode(raw).likes for id_, raw in counters.cached_counts.get(subjects).items()}
    assert shown == dict.fromkeys(subjects, 3)


@pytest.mark.parametrize(("rate", "batches"), [(1, 3), (2, 2), (3, 1)])
def test_rate_sets_the_batch_size(site: CountedSite, rate: int, batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("instafeed.core.management.base.time.sleep", pauses.append)
    site.corrupt()
    reconcile(rate=rate)
    assert_counts_are_exact()
    assert len(pauses) == batches * len(counter_repair.COUNTER_REPAIRS), "one after each batch of the three subjects"


def test_query_count_depends_on_batches_only() -> None:
    numbers = []
    for more in (2, 48):
        for user in UserFactory.create_batch(more):
            services.create_post(user.pk, "a post")
        with CaptureQueriesContext(connection) as captured:
            reconcile()
        numbers.append(len(captured))
    assert numbers[0] == numbers[1]


def test_remaining_wrong_counts_exit_with_1(site: CountedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site.corrupt()
    kinds = [
        replace(kind, correct=lambda ids: None) if "post counts" in kind.name else kind
        for kind in counter_repair.COUNTER_REPAIRS
    ]
    monkeypatch.setattr(command, "COUNTER_REPAIRS", kinds)
    with pytest.raises(CommandError, match=r"^1 counts are still wrong") as error:
        reconcile()
    assert error.value.returncode == 1


def test_deleted_but_unpurged_rows_are_not_wrong(site: CountedSite) -> None:
    services.delete_post(site.posts[0].pk, site.users[0].pk)
    User.objects.filter(pk=site.users[2].pk).update(is_active=False, deleted_at=timezone.now(), post_count=99)
    site.posts[0].like_set.all()[:1].get().delete()
    assert " 0 wrong; post counts: 0 wrong; like and comment counts of posts: 0 wrong" in reconcile(dry_run=True)


def test_hidden_comments_are_not_counted(site: CountedSite) -> None:
    Comment.objects.filter(pk=site.comments[0].pk).update(hidden_at=timezone.now())
    reconcile()
    assert counters.fetch_counts([site.posts[0].pk])[site.posts[0].pk].comments == 0
