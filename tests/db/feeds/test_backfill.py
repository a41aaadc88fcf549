"""Rebuilds of cold timelines and the queries behind them: exact in both forms, and never a hole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from feeds import backfill, timeline, timeline_store
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.db.snowflake import MAX_ID, first_id_at
from posts.models import Post
from tests.db.feeds.feed_setup import (
    begin_rebuild,
    create_old_posts,
    create_posts,
    create_users,
    deliver_all,
    follow,
    read_feed,
)
from tests.support.broken_redis import break_redis
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["probes", "windows", "windows that are too short"])
def _each_query(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "probes":
        monkeypatch.setattr(backfill, "MAX_PROBED_AUTHORS", 0)
    if request.param == "windows that are too short":
        monkeypatch.setattr(backfill, "POSTS_PER_DAY", 10**9)


@pytest.mark.usefixtures("_each_query")
def test_query_returns_the_newest_posts_of_the_given_authors() -> None:
    one, other, stranger = create_users(3)
    expected = []
    for _ in range(4):
        expected += create_old_posts(one, 1) + create_old_posts(other, 2)[::-1]
        create_old_posts(stranger, 2)
    expected.sort(reverse=True)
    authors = [one.pk, other.pk]
    assert backfill.query_latest_post_ids(authors, MAX_ID, 100) == expected
    assert backfill.query_latest_post_ids(authors, MAX_ID, 5) == expected[:5]
    assert backfill.query_latest_post_ids(authors, expected[4], 5) == expected[5:10]
    assert backfill.query_latest_post_ids(authors, expected[-1], 5) == []
    assert backfill.query_latest_post_ids([], MAX_ID, 5) == []


@pytest.mark.usefixtures("_each_query")
def test_query_finds_posts_behind_many_newer_ones_of_others() -> None:
    dormant, busy = create_users(2)
    expected = create_old_posts(dormant, 2)
    create_old_posts(busy, 30)
    assert backfill.query_latest_post_ids([dormant.pk], MAX_ID, 2) == expected


def test_second_window_is_sized_by_the_first(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    monkeypatch.setattr(backfill, "MAX_PROBED_AUTHORS", 0)
    author = UserFactory()
    ages = (1, 6, 10, 40, 50)  # hours; four posts of one author are expected in two days
    post_ids = [first_id_at(timezone.now() - timedelta(hours=age)) for age in ages]
    Post.objects.bulk_create(Post(pk=post_id, author=author) for post_id in post_ids)
    with django_assert_num_queries(1):
        assert backfill.query_latest_post_ids([author.pk], MAX_ID, 4) == post_ids[:4]
    with django_assert_num_queries(2):
        assert backfill.query_latest_post_ids([author.pk], post_ids[1], 3) == post_ids[2:]


def test_feed_continues_below_the_timeline_to_the_first_post(settings: Settings) -> None:
    settings.FEED_LENGTH = 5
    author, viewer = create_users(2)
    expected = create_old_posts(author, 23)
    follow(author, viewer)
    for size in (1, 4, 5, 6, 100):
        assert read_feed(viewer, size) == expected
    stored = timeline_store.peek(keys.home_timeline(viewer.pk))
    assert stored == timeline_store.Timeline(expected[:5], floor=expected[5])


@pytest.mark.parametrize("is_redis_up", [True, False])
def test_cursor_of_0_is_the_end_of_the_feed(is_redis_up: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is below it. It must not be taken for no cursor, which is the top."""
    author = UserFactory()
    expected = create_old_posts(author, 3)
    assert read_feed(author) == expected
    if not is_redis_up:
        break_redis(monkeypatch)
    assert timeline.get_page(author.pk, 0, 5) == ([], None)


def test_empty_feed_stays_warm() -> None:
    viewer = UserFactory()
    assert read_feed(viewer) == []
    assert timeline_store.peek(keys.home_timeline(viewer.pk)) == timeline_store.Timeline([], 0)


def test_post_pushed_during_a_rebuild_is_in_the_timeline(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = create_users(2)
    follow(author, viewer)
    load = backfill.load_home_timeline

    def load_then_post(authors: Mapping[int, int]) -> timeline_store.Timeline:
        loaded = load(authors)
        create_posts(author)
        deliver_all()
        return loaded

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "load_home_timeline", load_then_post)
        assert backfill.rebuild_home_timeline(viewer.pk)
    assert len(read_feed(viewer)) == 1


def test_follow_during_a_rebuild_discards_it(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = create_users(2)
    expected = create_old_posts(author, 2)
    load = backfill.load_home_timeline

    def load_then_follow(authors: Mapping[int, int]) -> timeline_store.Timeline:
        loaded = load(authors)
        follow(author, viewer)
        return loaded

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "load_home_timeline", load_then_follow)
        assert not backfill.rebuild_home_timeline(viewer.pk)
    assert read_feed(viewer) == expected


def test_readers_do_not_wait_for_a_rebuild_that_hangs() -> None:
    author, viewer = create_users(2)
    expected = create_old_posts(author, 3)
    follow(author, viewer)
    assert begin_rebuild(keys.home_timeline(viewer.pk)), "claimed by a process that died"
    assert read_feed(viewer, 2) == expected


def test_flushing_redis_changes_no_answer() -> None:
    author, viewer = create_users(2)
    follow(author, viewer)
    create_posts(author, 3)
    deliver_all()
    before = timeline.get_page(viewer.pk, None, 2)
    get_client().flushdb()
    assert timeline.get_page(viewer.pk, None, 2) == before


QUERIES = {
    "windows": backfill.WINDOW_SQL,
    "probes": backfill.PROBE_SQL,
    "author timelines": backfill.AUTHOR_TIMELINES_SQL,
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_query_uses_an_index(query: str) -> None:
    author = UserFactory()
    create_old_posts(author, 1)
    with database.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        try:
            arguments: dict[str, Any] = {"authors": [author.pk], "before": MAX_ID, "since": 0, "limit": 5, "probe": 2}
            cursor.execute(f"EXPLAIN {query}", arguments)
            plan = "\n".join(row[0] for row in cursor.fetchall())
        finally:
            cursor.execute("RESET enable_seqscan")
    assert "Index" in plan
    assert "Seq Scan on posts_post" not in plan
