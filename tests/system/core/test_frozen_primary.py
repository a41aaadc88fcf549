"""A frozen primary: it accepts connections and answers nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

LIKES = 60  # at once; more than all web processes have threads
TIMEOUT = 60  # seconds; without bounds on statements a like waits until PostgreSQL continues

pytestmark = pytest.mark.kills_a_part


def test_frozen_primary_does_not_hang_the_site(live_stack: LiveStack) -> None:
    author, reader = HttpUser(live_stack), HttpUser(live_stack)
    reader.follow(author)
    post_id = author.create_post()
    eventually(lambda: reader.feed() == [post_id])

    def like(_: int) -> int:
        return reader.status_of("POST", f"/posts/{post_id}/like", timeout=TIMEOUT)

    with ThreadPoolExecutor(LIKES) as threads:
        list(threads.map(like, range(LIKES)))  # opens the connections of the pools
        assert reader.feed() == [post_id]  # and warms the page again
        with live_stack.paused("primary"):
            likes = threads.map(like, range(LIKES))
            assert [live_stack.get("/health/live").status_code for _ in range(5)] == [200] * 5
            assert set(likes) == {503}
            # Warm pages need no SQL. A process that has just missed an answer of Redis asks PostgreSQL for a second.
            eventually(lambda: [reader.status_of("GET", "/feed", timeout=TIMEOUT) for _ in range(5)] == [200] * 5)
            assert live_stack.metric("instafeed_breaker_trips_total", part="primary") >= 1
        eventually(lambda: like(0) == 200)
    eventually(lambda: live_stack.get("/health").json()["status"] == "ok")
