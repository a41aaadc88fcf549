"""Which reads of notifications go to a replica."""

from __future__ import annotations

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from instafeed.core.db.replicas import session
from social.notifications import selectors
from tests.db.social.notification_setup import announce, consume_all_events, like
from tests.support.factories import UserFactory
from tests.support.replica_reads import wait_for_replica

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "replica1"])


def test_later_pages_and_visible_actors_are_read_from_the_primary() -> None:
    """On a lagging replica a moved entry is still in its old place, and a new block is missing."""
    owner, fan = UserFactory.create_batch(2)
    announce(like(owner, fan))
    consume_all_events()
    (entry,) = selectors.list_entries(owner.pk, None, 5)
    wait_for_replica()
    session.begin_session(is_write=False)
    try:
        with CaptureQueriesContext(connections["replica1"]) as on_replica:
            selectors.list_entries(owner.pk, None, 5)
            assert len(on_replica) == 1
            assert selectors.list_entries(owner.pk, entry.position + 1, 5) == [entry]
            assert selectors.EntryReader(owner.pk).read(entry.position + 1, 5).entries == [entry]
            assert len(on_replica) == 1
    finally:
        session.end_session()
