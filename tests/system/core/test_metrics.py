"""/metrics of a running stack sums all processes, whichever of them serves the request."""

from __future__ import annotations

import time

import httpx
import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

FEED_REQUESTS = {"method": "GET", "route": "/api/v1/feed", "status": "2xx"}


def test_metrics_sum_all_web_processes(live_stack: LiveStack) -> None:
    reader = HttpUser(live_stack)
    before = live_stack.metric("instafeed_request_seconds_count", **FEED_REQUESTS)
    for _ in range(40):
        url = f"{live_stack.base_url}/api/v1/feed"
        assert httpx.get(url, headers=reader.headers, trust_env=False, timeout=30).status_code == 200
    counts = {live_stack.metric("instafeed_request_seconds_count", **FEED_REQUESTS) for _ in range(20)}
    assert counts == {before + 40}


@pytest.mark.kills_a_part
def test_counts_of_a_killed_process_are_kept(live_stack: LiveStack) -> None:
    reader = HttpUser(live_stack)
    reader.get("/feed")
    before = live_stack.metric("instafeed_request_seconds_count", **FEED_REQUESTS)
    _, *processes = live_stack.part("web").tree()
    for process in processes:
        process.kill()
    psutil.wait_procs(processes)
    live_stack.connect()
    eventually(lambda: is_ready(live_stack))
    assert live_stack.metric("instafeed_request_seconds_count", **FEED_REQUESTS) == before
    assert live_stack.metric("instafeed_requests_in_progress") == 1, "only the scrape itself"


def is_ready(stack: LiveStack) -> bool:
    try:
        return httpx.get(f"{stack.base_url}/health/live", trust_env=False, timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def wait_for_other_deliveries(stack: LiveStack) -> None:
    """Wait until all fan-outs of earlier tests are done, and counted, which happens after the commit.

    The metric of open fan-outs comes from a probe that may be a second old, so the database is asked.
    """
    with stack.services.primary.connect(stack.services.primary.url()) as connection:

        def all_are_counted() -> bool:
            counted = stack.metric("instafeed_post_visible_seconds_count")
            row = connection.execute("SELECT count(*) FROM feeds_fanout WHERE state NOT IN (2, 3)").fetchone()
            connection.execute("SELECT pg_sleep(0.5)")
            return row == (0,) and stack.metric("instafeed_post_visible_seconds_count") == counted

        eventually(all_are_counted)


def test_post_delivery_is_measured(live_stack: LiveStack) -> None:
    author, follower = HttpUser(live_stack), HttpUser(live_stack)
    follower.follow(author)
    assert follower.feed() == []
    wait_for_other_deliveries(live_stack)
    before = {
        name: live_stack.metric(name)
        for name in (
            *("instafeed_deliveries_total", "instafeed_post_visible_seconds_count"),
            "instafeed_post_visible_seconds_sum",
        )
    }

    def increase(name: str) -> float:
        return live_stack.metric(name) - before[name]

    started = time.monotonic()
    author.create_post("counted")
    eventually(lambda: increase("instafeed_post_visible_seconds_count") and increase("instafeed_deliveries_total"))
    assert increase("instafeed_post_visible_seconds_count") == increase("instafeed_deliveries_total") == 1
    assert 0 < increase("instafeed_post_visible_seconds_sum") <= time.monotonic() - started
    eventually(lambda: live_stack.metric("instafeed_tasks_total", task="feeds.tasks.deliver_posts", outcome="success"))


def parts_up(stack: LiveStack) -> tuple[float, float]:
    """Return whether the broker and the cache are up."""
    return stack.metric("instafeed_up", part="broker"), stack.metric("instafeed_up", part="cache")


def test_scrape_answers_while_the_broker_is_paused(live_stack: LiveStack) -> None:
    eventually(lambda: live_stack.metric("instafeed_up", part="broker") == 1)
    with live_stack.paused("broker"):
        # On a busy machine the probe of the cache may be late, too, in one scrape or another.
        eventually(lambda: parts_up(live_stack) == (0, 1))
    eventually(lambda: live_stack.metric("instafeed_up", part="broker") == 1)
