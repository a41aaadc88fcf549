"""Reads that a lagging replica may answer: never one where a missing post would leave a hole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from feeds import timeline
from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import MAX_ID, first_id_at
from posts import selectors
from social.user_lists import FOLLOWERS
from tests.db.feeds.feed_setup import create_posts
from tests.support.factories import UserFactory
from tests.support.replica_reads import wait_for_replica

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica1"])


@contextmanager
def capture_replica_queries() -> Iterator[CaptureQueriesContext]:
    """Capture the replica's queries during a request that only reads."""
    wait_for_replica()
    session.begin_session(is_write=False)
    try:
        with CaptureQueriesContext(connections["replica1"]) as queries:
            yield queries
    finally:
        session.end_session()


def id_of_yesterday() -> int:
    return first_id_at(timezone.now() - timedelta(days=1))


def test_replica_answers_an_authors_next_page_only_for_old_posts() -> None:
    author = UserFactory()
    (newest,) = create_posts(author)
    with capture_replica_queries() as queries:
        selectors.list_post_ids_by_author(author.pk, None, 5)
        assert len(queries) == 1
        selectors.list_post_ids_by_author(author.pk, newest, 5)
        assert len(queries) == 1, "the replica may lack posts of this minute"
        selectors.list_post_ids_by_author(author.pk, id_of_yesterday(), 5)
        assert len(queries) == 2


def test_top_of_a_feed_is_read_from_the_primary() -> None:
    author = UserFactory()
    post_ids = create_posts(author, 2)[::-1]
    with capture_replica_queries() as queries:
        assert timeline.query_older([author.pk], MAX_ID, 5) == (post_ids, True)
        assert timeline.query_older([author.pk], post_ids[0], 5) == (post_ids[1:], True)
        assert len(queries) == 0
        timeline.query_older([author.pk], id_of_yesterday(), 5)
        assert len(queries) == 1


def test_later_pages_of_user_lists_are_read_from_the_primary() -> None:
    with capture_replica_queries() as queries:
        FOLLOWERS.fetch_ids(1, None, 5)
        assert len(queries) == 1
        FOLLOWERS.fetch_ids(1, 99, 5)
        assert len(queries) == 1
