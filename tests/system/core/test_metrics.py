"""/metrics of a running stack sums all processes, whichever of them serves the request."""

from __future__ import annotations

import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import eventually
from tests.support.http_user import HttpUser
from tests.support.live_stack import LiveStack

FEED_REQUESTS = {"method": "GET", "route": "/api/v1/feed", "status": "2xx"}


def metric_value(stack: LiveStack, name: str, **labels: str) -> float:
    """Sum the samples with these labels. Uses a new connection, which any web process may accept."""
    response = httpx.get(f"{stack.base_url}/metrics", trust_env=False, timeout=5)
    assert response.status_code == 200, response.text
    samples = (sample for family in text_string_to_metric_families(response.text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


def test_metrics_sum_all_web_processes(live_stack: LiveStack) -> None:
    reader = HttpUser(live_stack)
    before = metric_value(live_stack, "instafeed_request_seconds_count", **FEED_REQUESTS)
    for _ in range(40):
        url = f"{live_stack.base_url}/api/v1/feed"
        assert httpx.get(url, headers=reader.headers, trust_env=False).status_code == 200
    counts = {metric_value(live_stack, "instafeed_request_seconds_count", **FEED_REQUESTS) for _ in range(20)}
    assert counts == {before + 40}


def test_counts_of_a_killed_process_are_kept(live_stack: LiveStack) -> None:
    reader = HttpUser(live_stack)
    reader.get("/feed")
    before = metric_value(live_stack, "instafeed_request_seconds_count", **FEED_REQUESTS)
    for process in live_stack.process("web").children():
        process.kill()
    eventually(lambda: live_stack.process("web").children())
    live_stack.client.close()
    live_stack.client = httpx.Client(base_url=live_stack.base_url, timeout=10, trust_env=False)
    live_stack.get, live_stack.post = live_stack.client.get, live_stack.client.post
    live_stack.patch, live_stack.delete = live_stack.client.patch, live_stack.client.delete
    eventually(lambda: is_ready(live_stack))
    assert metric_value(live_stack, "instafeed_request_seconds_count", **FEED_REQUESTS) == before
    assert metric_value(live_stack, "instafeed_requests_in_progress") == 1, "only the scrape itself"


def is_ready(stack: LiveStack) -> bool:
    try:
        return httpx.get(f"{stack.base_url}/health/live", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_post_delivery_is_measured(live_stack: LiveStack) -> None:
    author, follower = HttpUser(live_stack), HttpUser(live_stack)
    follower.follow(author)
    assert follower.feed() == []
    # Wait for fan-outs that other tests delayed by freezing workers.
    eventually(lambda: metric_value(live_stack, "instafeed_fan_outs_open") == 0)
    before = {
        name: metric_value(live_stack, name)
        for name in ("instafeed_deliveries_total", "instafeed_post_visible_seconds_count")
    }
    seconds = metric_value(live_stack, "instafeed_post_visible_seconds_sum")
    author.create_post("counted")
    eventually(
        lambda: (
            metric_value(live_stack, "instafeed_post_visible_seconds_count")
            > before["instafeed_post_visible_seconds_count"]
        )
    )
    assert metric_value(live_stack, "instafeed_deliveries_total") == before["instafeed_deliveries_total"] + 1
    assert 0 < metric_value(live_stack, "instafeed_post_visible_seconds_sum") - seconds < 5
    assert metric_value(live_stack, "instafeed_tasks_total", task="feeds.tasks.deliver_post", outcome="success") >= 1


def test_scrape_is_fast_while_the_broker_is_frozen(live_stack: LiveStack) -> None:
    assert metric_value(live_stack, "instafeed_up", part="broker") == 1
    live_stack.freeze("broker")
    try:
        time.sleep(1.1)  # until the cached health report expires
        for _ in range(5):
            started = time.monotonic()
            assert metric_value(live_stack, "instafeed_up", part="broker") == 0
            assert time.monotonic() - started < 2
        assert metric_value(live_stack, "instafeed_up", part="cache") == 1
    finally:
        live_stack.thaw("broker")
    eventually(lambda: metric_value(live_stack, "instafeed_up", part="broker") == 1)
