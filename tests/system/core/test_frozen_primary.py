"""A frozen primary: it accepts connections and answers nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.cache import patient_url
from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

LIKES = 60  # at once; more than all web processes have threads
TIMEOUT = 60  # seconds; without bounds on statements a like waits until PostgreSQL continues

pytestmark = pytest.mark.kills_a_part


@pytest.fixture
def patient_stack(live_stack: LiveStack) -> Iterator[LiveStack]:
    """A web process that Redis does not answer in time reads pages from SQL for a second. Here it waits."""
    with live_stack.restarted("web", REDIS_URL=patient_url(live_stack.environment["REDIS_URL"])):
        yield live_stack


def test_frozen_primary_does_not_hang_the_site(patient_stack: LiveStack) -> None:
    author, reader = HttpUser(patient_stack), HttpUser(patient_stack)
    reader.follow(author)
    post_id = author.create_post()
    eventually(lambda: reader.feed() == [post_id])

    def like(_: int) -> int:
        return reader.status_of("POST", f"/posts/{post_id}/like", timeout=TIMEOUT)

    with ThreadPoolExecutor(LIKES) as threads:
        list(threads.map(like, range(LIKES)))  # opens the connections of the pools
        assert reader.feed() == [post_id]  # and warms the page again
        with patient_stack.paused("primary"):
            likes = threads.map(like, range(LIKES))
            assert [patient_stack.get("/health/live").status_code for _ in range(5)] == [200] * 5
            assert set(likes) == {503}
            assert [reader.status_of("GET", "/feed", timeout=TIMEOUT) for _ in range(5)] == [200] * 5, (
                "warm pages need no SQL"
            )
            assert patient_stack.metric("instafeed_breaker_trips_total", part="primary") >= 1
        eventually(lambda: like(0) == 200)
    eventually(lambda: patient_stack.get("/health").json()["status"] == "ok")
