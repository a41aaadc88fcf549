"""The sweep: a lost task is dispatched again, and ever less often behind a long queue."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis

from feeds import fanout_outbox, tasks
from feeds.models import FanOut
from tests.db.feeds.feed_setup import create_posts, make_overdue
from tests.support.database_clock import assert_sets_ahead
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db


def test_overdue_fan_out_is_dispatched_once(redis_broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout_outbox, "RETRY_DELAY", timedelta(hours=1))
    monkeypatch.setattr(fanout_outbox.queue, "retry_delay", timedelta(hours=1))
    (post_id,) = create_posts(UserFactory())
    redis_broker.flushdb()  # the task is lost
    assert tasks.sweep_fan_outs() == 0, "not overdue yet"
    make_overdue(post_id)
    assert tasks.sweep_fan_outs() == 1
    assert redis_broker.llen("fan_out") == 1
    assert tasks.sweep_fan_outs() == 0


def test_delay_between_dispatches_doubles_up_to_five_minutes() -> None:
    (post_id,) = create_posts(UserFactory())
    for seconds in (5, 10, 20, 40, 80, 160, 300, 300):
        make_overdue(post_id)
        with assert_sets_ahead(FanOut.objects.filter(pk=post_id), "dispatch_at", timedelta(seconds=seconds)):
            assert fanout_outbox.queue.claim_overdue(10) == [post_id]
