"""The sweep: a lost task is dispatched again, and ever less often behind a long queue."""

from __future__ import annotations

import pytest
import redis
from django.utils import timezone

from feeds import fanout_outbox, tasks
from tests.db.feeds.feed_setup import create_posts, get_fan_out, make_overdue
from tests.support.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_overdue_fan_out_is_dispatched_once(redis_broker: redis.Redis) -> None:
    (post_id,) = create_posts(UserFactory())
    redis_broker.flushdb()  # the task is lost
    assert tasks.sweep_fan_outs() == 0, "not overdue yet"
    make_overdue(post_id)
    assert tasks.sweep_fan_outs() == 1
    assert redis_broker.llen("fan_out") == 1
    assert tasks.sweep_fan_outs() == 0


def test_delay_between_dispatches_doubles_up_to_five_minutes() -> None:
    (post_id,) = create_posts(UserFactory())
    delays = []
    for _ in range(9):
        before = timezone.now()
        make_overdue(post_id)
        assert fanout_outbox.queue.claim_overdue(10) == [post_id]
        delays.append(round((get_fan_out(post_id).dispatch_at - before).total_seconds()))
    assert delays == sorted(delays)
    assert delays[0] < 15
    assert delays[-1] == pytest.approx(300, abs=5)
