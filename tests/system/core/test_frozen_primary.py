"""A frozen primary: it accepts connections and answers nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
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

    def call(method: str, path: str) -> int:
        url = f"{live_stack.base_url}{path}"
        return httpx.request(method, url, headers=reader.headers, timeout=TIMEOUT, trust_env=False).status_code

    def like(_: int) -> int:
        return call("POST", f"/api/v1/posts/{post_id}/like")

    with ThreadPoolExecutor(LIKES) as threads:
        list(threads.map(like, range(LIKES)))  # opens the connections of the pools
        assert reader.feed() == [post_id]  # and warms the page again
        with live_stack.paused("primary"):
            likes = threads.map(like, range(LIKES))
            assert [call("GET", "/health/live") for _ in range(5)] == [200] * 5
            assert set(likes) == {503}
            assert [call("GET", "/api/v1/feed") for _ in range(5)] == [200] * 5, "warm pages need no SQL"
            assert live_stack.metric("instafeed_breaker_trips_total", part="primary") >= 1
        eventually(lambda: like(0) == 200)
    eventually(lambda: live_stack.get("/health").json()["status"] == "ok")
