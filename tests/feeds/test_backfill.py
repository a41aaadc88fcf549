"""Cold feeds and the pull: exact in both shapes, bounded, never a hole."""

from __future__ import annotations

import threading

import pytest
from django.db import connection as database
from django.db import connections
from pytest_django.fixtures import Settings

from accounts.models import User
from feeds import backfill, timeline_store
from feeds import timeline as assembly
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.db.snowflake import MAX_ID
from tests.factories import UserFactory
from tests.feeds.feed_setup import create_old_posts, create_posts, create_users, deliver_all, follow, read_feed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["by author", "by walk", "walk that ends too soon"])
def _each_shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "by author":
        monkeypatch.setattr(backfill, "MAX_LATERAL_AUTHORS", 0)
    if request.param == "walk that ends too soon":
        monkeypatch.setattr(backfill, "MAX_WALK_POSTS", 3)


@pytest.mark.usefixtures("_each_shape")
def test_both_shapes_give_the_newest_posts_of_the_authors_and_of_nobody_else() -> None:
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


@pytest.mark.usefixtures("_each_shape")
def test_the_only_dormant_author_is_found_behind_many_newer_posts() -> None:
    dormant, busy = create_users(2)
    expected = create_old_posts(dormant, 2)
    create_old_posts(busy, 30)
    assert backfill.query_latest_post_ids([dormant.pk], MAX_ID, 2) == expected


def test_the_feed_goes_on_below_the_list_to_the_very_first_post(settings: Settings) -> None:
    settings.FEED_LENGTH = 5
    author, viewer = create_users(2)
    expected = create_old_posts(author, 23)
    follow(author, viewer)
    for size in (1, 4, 5, 6, 100):
        assert read_feed(viewer, size) == expected
    timeline = timeline_store.peek(keys.home_timeline(viewer.pk))
    assert timeline == timeline_store.Timeline(expected[:5], floor=expected[5])


def test_a_viewer_without_anybody_has_an_empty_feed_that_stays_warm() -> None:
    viewer = UserFactory()
    assert read_feed(viewer) == []
    assert timeline_store.peek(keys.home_timeline(viewer.pk)) == timeline_store.Timeline([], 0)


def test_a_post_committed_and_pushed_while_the_database_is_read_is_in_the_rebuilt_feed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    author, viewer = create_users(2)
    follow(author, viewer)
    read = backfill.load_home_timeline

    def read_then_post(viewer_id: int) -> timeline_store.Timeline:
        timeline = read(viewer_id)
        create_posts(author)
        deliver_all()
        return timeline

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "load_home_timeline", read_then_post)
        assert backfill.rebuild_home_timeline(viewer.pk)
    assert len(read_feed(viewer)) == 1


def test_a_follow_during_a_rebuild_ends_the_rebuild(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = create_users(2)
    expected = create_old_posts(author, 2)
    read = backfill.load_home_timeline

    def read_then_follow(viewer_id: int) -> timeline_store.Timeline:
        timeline = read(viewer_id)
        follow(author, viewer)
        return timeline

    with monkeypatch.context() as patch:
        patch.setattr(backfill, "load_home_timeline", read_then_follow)
        assert not backfill.rebuild_home_timeline(viewer.pk)
    assert read_feed(viewer) == expected


def test_readers_of_one_cold_feed_make_one_rebuild_and_all_get_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = create_users(2)
    expected = create_old_posts(author, 5)
    follow(author, viewer)
    rebuilds = []
    read = backfill.load_home_timeline
    monkeypatch.setattr(backfill, "load_home_timeline", lambda viewer_id: rebuilds.append(1) or read(viewer_id))
    answers: list[list[int]] = []

    def reader() -> None:
        try:
            answers.append(read_feed(viewer, 3))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=reader) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 6
    assert len(rebuilds) == 1


def test_a_rebuild_that_hangs_does_not_hold_up_other_readers() -> None:
    author, viewer = create_users(2)
    expected = create_old_posts(author, 3)
    follow(author, viewer)
    assert timeline_store.begin_rebuild(keys.home_timeline(viewer.pk)), "somebody claimed it and died"
    assert read_feed(viewer, 2) == expected


def test_a_flushed_cache_changes_no_answer() -> None:
    author, viewer = create_users(2)
    follow(author, viewer)
    create_posts(author, 3)
    deliver_all()
    before = assembly.get_page(viewer.pk, None, 2)
    get_client().flushdb()
    assert assembly.get_page(viewer.pk, None, 2) == before


def test_the_walk_and_the_probes_use_their_indexes() -> None:
    author: User = UserFactory()
    create_old_posts(author, 1)
    with database.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        try:
            for shape in (backfill.LATERAL_SQL, backfill.WALK_SQL):
                arguments = {"authors": [author.pk], "before": MAX_ID, "limit": 5, "scan": 100}
                cursor.execute(f"EXPLAIN {shape}", arguments)
                plan = "\n".join(row[0] for row in cursor.fetchall())
                assert "Index" in plan
                assert "Seq Scan on posts_post" not in plan
        finally:
            cursor.execute("RESET enable_seqscan")
