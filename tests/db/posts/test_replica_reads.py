"""Which reads of posts go to a replica."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instafeed.core.db.replicas import session
from instafeed.core.db.snowflake import first_id_at
from posts import hashtag_index, services
from tests.support.factories import UserFactory
from tests.support.replica_reads import wait_for_replica

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica1"])


def test_later_hashtag_pages_use_a_replica_only_if_it_is_current() -> None:
    newest = services.create_post(UserFactory().pk, "#sea").pk
    old = first_id_at(timezone.now() - timedelta(days=1))
    reads: list[tuple[Any, ...]] = [
        (2, hashtag_index.list_post_ids, ("sea", None, 5)),  # two queries
        (2, hashtag_index.list_post_ids, ("sea", newest, 5)),
        (4, hashtag_index.list_post_ids, ("sea", old, 5)),
        (5, hashtag_index.find_by_prefix, ("s", None, 5)),
        (5, hashtag_index.find_by_prefix, ("s", hashtag_index.HashtagRef("s"), 5)),
        (5, hashtag_index.render_visible_hashtags, (1, [hashtag_index.HashtagRef("sea", 1)])),
    ]
    wait_for_replica()
    session.begin_session(is_write=False)
    try:
        with CaptureQueriesContext(connections["replica1"]) as on_replica:
            for so_far, read, arguments in reads:
                read(*arguments)
                assert len(on_replica) == so_far, (read, arguments)
    finally:
        session.end_session()
