"""A running worker renews the keys that say which queues have a worker."""

from __future__ import annotations

import pytest

from instafeed.core.cache import keys
from instafeed.core.jobs import heartbeat
from instafeed.core.jobs.queues import QUEUES
from tests.support.eventually import eventually
from tests.support.live_stack import LiveStack


@pytest.mark.parametrize("queue", QUEUES)
def test_worker_renews_the_key_of_its_queue(queue: str, live_stack: LiveStack) -> None:
    with live_stack.services.cache.client() as cache:
        eventually(lambda: heartbeat.queues_with_workers(cache)[queue])
        left = cache.pttl(keys.worker(queue))
        eventually(lambda: cache.pttl(keys.worker(queue)) > left)
