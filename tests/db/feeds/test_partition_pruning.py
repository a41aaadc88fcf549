"""The queries of pages and lists read the partitions with the posts that they show, and no others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from feeds import backfill, fanout_outbox
from feeds.models import DeliveryMode, FanOut
from instafeed.core.cache.client import get_client
from instafeed.core.db.partitions import fetch_partitions
from instafeed.core.db.snowflake import MAX_ID, first_id_at
from posts import explore, post_parts, selectors, services, visibility
from posts.models import Like, Post
from tests.db.feeds.feed_setup import create_users, follow, read_feed
from tests.support.partitioned import partition_by_month
from tests.support.query_plans import recorded_plans

pytestmark = pytest.mark.django_db

MONTHS = 6


@pytest.fixture(autouse=True)
def _partitions() -> None:
    partition_by_month(MONTHS)


@pytest.fixture
def author() -> User:
    return create_users(1)[0]


def create_monthly_posts(author: User, each: int = 3) -> list[int]:
    """Create delivered posts in every month. Return their ids, newest first."""
    now = timezone.now() - timedelta(minutes=10)
    times = [now - timedelta(days=30 * month, seconds=number) for month in range(MONTHS) for number in range(each)]
    posts = [Post(id=first_id_at(at) + author.pk, author=author, caption="old", created_at=at) for at in times]
    Post.objects.bulk_create(posts)
    FanOut.objects.bulk_create([FanOut(post=post, author=author, mode=DeliveryMode.PUSH, state=2) for post in posts])
    return [post.id for post in posts]


def partition_of(post_id: int, table: str = "posts_post") -> str:
    (name,) = [
        one.name
        for one in fetch_partitions(table)
        if (one.start is None or one.start <= post_id) and (one.end is None or post_id < one.end)
    ]
    return name


def test_posts_lie_in_several_partitions(author: User) -> None:
    assert len({partition_of(post_id) for post_id in create_monthly_posts(author)}) >= MONTHS


@pytest.mark.parametrize("post", [0, 5, 10])
def test_rendering_posts_plans_only_their_partitions(author: User, post: int) -> None:
    post_ids = create_monthly_posts(author)[post : post + 1]
    with recorded_plans() as plans:
        assert len(visibility.render_visible_posts(author.pk, post_ids)) == 1
    assert plans.planned_partitions("posts_post") == {partition_of(post_ids[0])}


def test_flags_of_old_posts_plan_only_their_partitions(author: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posts.viewer_flags.MAX_CACHED_IDS", 1)
    post_ids = create_monthly_posts(author)
    Like.objects.bulk_create([Like(post_id=post_id, user=author) for post_id in post_ids])
    post_parts.render_posts(author.pk, post_ids[:1])
    with recorded_plans() as plans:
        rendered = post_parts.render_posts(author.pk, post_ids[-1:])
    assert b'"liked":true' in rendered[0][1]
    assert plans.planned_partitions("posts_like") == {partition_of(post_ids[-1], "posts_like")}


def test_like_reads_one_partition_of_each_table(author: User) -> None:
    post_id = create_monthly_posts(author)[4]
    with recorded_plans() as plans:
        assert services.like_post(author.pk, post_id) == 1
    assert plans.planned_partitions("posts_post") == {partition_of(post_id)}
    assert plans.planned_partitions("posts_like") == {partition_of(post_id, "posts_like")}


def test_author_list_reads_the_newest_partitions_until_the_page_is_full(author: User) -> None:
    post_ids = create_monthly_posts(author)
    with recorded_plans() as plans:
        assert selectors.list_post_ids_by_author(author.pk, None, 3) == (post_ids[:3], False)
    oldest = partition_of(post_ids[2])
    newest = {one.name for one in fetch_partitions("posts_post")[-3:]}
    assert oldest in plans.partitions("posts_post") <= newest | {oldest}


def test_next_page_of_an_author_does_not_plan_newer_partitions(author: User) -> None:
    post_ids = create_monthly_posts(author)
    with recorded_plans() as plans:
        selectors.list_post_ids_by_author(author.pk, post_ids[-3], 2)
    assert plans.planned_partitions("posts_post") <= {partition_of(id_) for id_ in post_ids[-3:]} | {"posts_post_0"}


@pytest.mark.parametrize("probed", [100, 0], ids=["probes", "window"])
def test_pull_of_new_posts_reads_no_old_partition(author: User, probed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "MAX_PROBED_AUTHORS", probed)
    other = create_users(1)[0]
    post_ids = sorted(create_monthly_posts(author) + create_monthly_posts(other), reverse=True)
    with recorded_plans() as plans:
        found = backfill.query_latest_post_ids([author.pk, other.pk], MAX_ID, 4, using="default")
    assert found == post_ids[:4]
    old = {partition_of(post_id) for post_id in post_ids[12:]} - {partition_of(post_id) for post_id in post_ids[:4]}
    assert old
    assert not old & plans.partitions("posts_post")
    assert fetch_partitions("posts_post")[-1].name not in plans.planned


def test_author_timelines_end_with_the_partition_that_fills_them(author: User, settings: Settings) -> None:
    settings.FEED_LENGTH = 2
    post_ids = create_monthly_posts(author)
    with recorded_plans() as plans:
        assert backfill.load_author_timelines([author.pk])[author.pk].ids == post_ids[:2]
    assert "posts_post_0" not in plans.partitions("posts_post")
    assert fetch_partitions("posts_post")[-1].name not in plans.planned


def test_ranking_reads_the_newest_partitions(author: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explore, "MAX_CANDIDATES", 2)
    monkeypatch.setattr(explore, "MAX_POSTS_SCANNED", 3)
    post_ids = create_monthly_posts(author)
    with recorded_plans() as plans:
        ranking = explore.compute_ranking()
    assert ranking is not None
    assert set(explore.get_ranking(ranking)) == set(post_ids[:2])
    assert partition_of(post_ids[-1]) not in plans.partitions("posts_post")


def test_claim_reads_the_posts_of_due_fan_outs_only(author: User) -> None:
    create_monthly_posts(author)
    post_id = services.create_post(author.pk, "new").pk
    with recorded_plans() as plans:
        (claimed,), _ = fanout_outbox.claim_due(10)
    assert claimed.pk == post_id
    assert plans.partitions("posts_post") == {partition_of(post_id)}


def test_finishing_plans_only_the_partition_of_the_fan_out(author: User) -> None:
    post_id = services.create_post(author.pk, "new").pk
    (claimed,), _ = fanout_outbox.claim_due(10)
    with recorded_plans() as plans:
        assert fanout_outbox.mark_done([fanout_outbox.Progress(claimed)]) == 1
    assert plans.planned_partitions("feeds_fanout") == {partition_of(post_id, "feeds_fanout")}


def test_feed_crosses_partitions_without_gap_or_repetition() -> None:
    viewer, *authors = create_users(4)
    for author in authors:
        follow(author, viewer)
    post_ids = [post_id for author in authors for post_id in create_monthly_posts(author)]
    get_client().flushdb()
    assert read_feed(viewer, 4) == sorted(post_ids, reverse=True)
