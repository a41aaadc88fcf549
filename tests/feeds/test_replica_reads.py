"""Which reads a lagging replica may answer: never one where what it lacks would make a hole."""

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
from tests.factories import UserFactory
from tests.feeds.feed_setup import create_posts
from tests.replicas.replica_reads import wait_for_replica

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica1"])


@contextmanager
def read_request() -> Iterator[CaptureQueriesContext]:
    """What a request that only reads asks of the replica."""
    wait_for_replica()
    session.begin_session(is_write=False)
    try:
        with CaptureQueriesContext(connections["replica1"]) as on_replica:
            yield on_replica
    finally:
        session.end_session()


def test_an_authors_next_page_comes_from_a_replica_only_if_that_is_proved_to_have_it() -> None:
    author = UserFactory()
    (newest,) = create_posts(author)
    with read_request() as on_replica:
        selectors.list_post_ids_by_author(author.pk, None, 5)
        assert len(on_replica) == 1
        selectors.list_post_ids_by_author(author.pk, newest, 5)
        assert len(on_replica) == 1, "posts of this minute may not have arrived"
        selectors.list_post_ids_by_author(author.pk, first_id_at(timezone.now() - timedelta(days=1)), 5)
        assert len(on_replica) == 2


def test_the_top_of_a_feed_comes_from_the_primary_however_it_is_read() -> None:
    author = UserFactory()
    post_ids = create_posts(author, 2)[::-1]
    with read_request() as on_replica:
        assert timeline._query_older([author.pk], MAX_ID, 5) == (post_ids, True)
        assert timeline._query_older([author.pk], post_ids[0], 5) == (post_ids[1:], True)
        assert len(on_replica) == 0
        timeline._query_older([author.pk], first_id_at(timezone.now() - timedelta(days=1)), 5)
        assert len(on_replica) == 1


def test_later_pages_of_people_come_from_the_primary() -> None:
    with read_request() as on_replica:
        FOLLOWERS.fetch_ids(1, None, 5)
        assert len(on_replica) == 1
        FOLLOWERS.fetch_ids(1, 99, 5)
        assert len(on_replica) == 1
