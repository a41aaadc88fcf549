"""Cold feeds and the pull: exact in both shapes, bounded, never a hole."""

from __future__ import annotations

import threading

import pytest
from django.db import connection as database
from django.db import connections
from pytest_django.fixtures import Settings

from accounts.models import User
from feeds import assembly, rebuild, store
from instafeed import keys
from instafeed.ids import MAX_ID
from instafeed.redis import connection
from tests.factories import UserFactory
from tests.feeds.helpers import deliver, feed, follow, old_posts, people, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["by author", "by walk", "walk that ends too soon"])
def _each_shape(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "by author":
        monkeypatch.setattr(rebuild, "BY_AUTHOR_UP_TO", 0)
    if request.param == "walk that ends too soon":
        monkeypatch.setattr(rebuild, "SCAN", 3)


@pytest.mark.usefixtures("_each_shape")
def test_both_shapes_give_the_newest_posts_of_the_authors_and_of_nobody_else() -> None:
    one, other, stranger = people(3)
    expected = []
    for _ in range(4):
        expected += old_posts(one, 1) + old_posts(other, 2)[::-1]
        old_posts(stranger, 2)
    expected.sort(reverse=True)
    authors = [one.pk, other.pk]
    assert rebuild.pull(authors, MAX_ID, 100) == expected
    assert rebuild.pull(authors, MAX_ID, 5) == expected[:5]
    assert rebuild.pull(authors, expected[4], 5) == expected[5:10]
    assert rebuild.pull(authors, expected[-1], 5) == []
    assert rebuild.pull([], MAX_ID, 5) == []


@pytest.mark.usefixtures("_each_shape")
def test_the_only_dormant_author_is_found_behind_many_newer_posts() -> None:
    dormant, busy = people(2)
    expected = old_posts(dormant, 2)
    old_posts(busy, 30)
    assert rebuild.pull([dormant.pk], MAX_ID, 2) == expected


def test_the_feed_goes_on_below_the_list_to_the_very_first_post(settings: Settings) -> None:
    settings.FEED_LENGTH = 5
    author, viewer = people(2)
    expected = old_posts(author, 23)
    follow(author, viewer)
    for size in (1, 4, 5, 6, 100):
        assert feed(viewer, size) == expected
    timeline = store.peek(keys.feed(viewer.pk))
    assert timeline == store.Timeline(expected[:5], floor=expected[5])


def test_a_viewer_without_anybody_has_an_empty_feed_that_stays_warm() -> None:
    viewer = UserFactory()
    assert feed(viewer) == []
    assert store.peek(keys.feed(viewer.pk)) == store.Timeline([], 0)


def test_a_post_committed_and_pushed_while_the_database_is_read_is_in_the_rebuilt_feed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    author, viewer = people(2)
    follow(author, viewer)
    read = rebuild.feed_timeline

    def read_then_post(viewer_id: int) -> store.Timeline:
        timeline = read(viewer_id)
        write(author)
        deliver()
        return timeline

    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "feed_timeline", read_then_post)
        assert rebuild.warm_feed(viewer.pk)
    assert len(feed(viewer)) == 1


def test_a_follow_during_a_rebuild_ends_the_rebuild(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = people(2)
    expected = old_posts(author, 2)
    read = rebuild.feed_timeline

    def read_then_follow(viewer_id: int) -> store.Timeline:
        timeline = read(viewer_id)
        follow(author, viewer)
        return timeline

    with monkeypatch.context() as patch:
        patch.setattr(rebuild, "feed_timeline", read_then_follow)
        assert not rebuild.warm_feed(viewer.pk)
    assert feed(viewer) == expected


def test_readers_of_one_cold_feed_make_one_rebuild_and_all_get_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    author, viewer = people(2)
    expected = old_posts(author, 5)
    follow(author, viewer)
    rebuilds = []
    read = rebuild.feed_timeline
    monkeypatch.setattr(rebuild, "feed_timeline", lambda viewer_id: rebuilds.append(1) or read(viewer_id))
    answers: list[list[int]] = []

    def reader() -> None:
        try:
            answers.append(feed(viewer, 3))
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
    author, viewer = people(2)
    expected = old_posts(author, 3)
    follow(author, viewer)
    assert store.begin_rebuild(keys.feed(viewer.pk)), "somebody claimed it and died"
    assert feed(viewer, 2) == expected


def test_a_flushed_cache_changes_no_answer() -> None:
    author, viewer = people(2)
    follow(author, viewer)
    write(author, 3)
    deliver()
    before = assembly.page(viewer.pk, None, 2)
    connection().flushdb()
    assert assembly.page(viewer.pk, None, 2) == before


def test_the_walk_and_the_probes_use_their_indexes() -> None:
    author: User = UserFactory()
    old_posts(author, 1)
    with database.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        try:
            for shape in (rebuild._BY_AUTHOR, rebuild._BY_WALK):
                arguments = {"authors": [author.pk], "before": MAX_ID, "limit": 5, "scan": 100}
                cursor.execute(f"EXPLAIN {shape}", arguments)
                plan = "\n".join(row[0] for row in cursor.fetchall())
                assert "Index" in plan
                assert "Seq Scan on posts_post" not in plan
        finally:
            cursor.execute("RESET enable_seqscan")
