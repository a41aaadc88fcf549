"""/metrics of a running stack: the sum of all its processes, whichever of them answers."""

from __future__ import annotations

import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.flows.api_user import ApiUser, eventually
from tests.live_stack import LiveStack

FEED = {"method": "GET", "route": "/api/v1/feed", "status": "2xx"}


def value(stack: LiveStack, name: str, **labels: str) -> float:
    """Over a connection of its own, which any of the web processes may accept."""
    answer = httpx.get(f"{stack.base_url}/metrics", trust_env=False, timeout=5)
    assert answer.status_code == 200, answer.text
    samples = (sample for family in text_string_to_metric_families(answer.text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items())


def test_requests_to_several_processes_are_summed_whichever_of_them_answers(live_stack: LiveStack) -> None:
    reader = ApiUser(live_stack)
    before = value(live_stack, "instafeed_request_seconds_count", **FEED)
    for _ in range(40):
        url = f"{live_stack.base_url}/api/v1/feed"
        assert httpx.get(url, headers=reader.headers, trust_env=False).status_code == 200
    counts = {value(live_stack, "instafeed_request_seconds_count", **FEED) for _ in range(20)}
    assert counts == {before + 40}


def test_the_counts_of_a_process_that_died_stay(live_stack: LiveStack) -> None:
    reader = ApiUser(live_stack)
    reader.get("/feed")
    before = value(live_stack, "instafeed_request_seconds_count", **FEED)
    for process in live_stack.process("web").children():
        process.kill()
    eventually(lambda: live_stack.process("web").children())
    live_stack.client.close()
    live_stack.client = httpx.Client(base_url=live_stack.base_url, timeout=10, trust_env=False)
    live_stack.get, live_stack.post = live_stack.client.get, live_stack.client.post
    live_stack.patch, live_stack.delete = live_stack.client.patch, live_stack.client.delete
    eventually(lambda: _answers(live_stack), 30)
    assert value(live_stack, "instafeed_request_seconds_count", **FEED) == before
    assert value(live_stack, "instafeed_requests_in_progress") == 1, "the scrape itself"


def _answers(stack: LiveStack) -> bool:
    try:
        return httpx.get(f"{stack.base_url}/health/live", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_post_is_counted_from_its_creation_to_its_followers_feeds(live_stack: LiveStack) -> None:
    author, follower = ApiUser(live_stack), ApiUser(live_stack)
    follower.follow(author)
    assert follower.feed() == []
    # What other tests left under way, of workers that they froze, is over.
    eventually(lambda: value(live_stack, "instafeed_fan_outs_open") == 0)
    before = {
        name: value(live_stack, name) for name in ("instafeed_deliveries_total", "instafeed_post_visible_seconds_count")
    }
    seconds = value(live_stack, "instafeed_post_visible_seconds_sum")
    author.write("counted")
    eventually(
        lambda: (
            value(live_stack, "instafeed_post_visible_seconds_count") > before["instafeed_post_visible_seconds_count"]
        )
    )
    assert value(live_stack, "instafeed_deliveries_total") == before["instafeed_deliveries_total"] + 1
    assert 0 < value(live_stack, "instafeed_post_visible_seconds_sum") - seconds < 5
    assert value(live_stack, "instafeed_tasks_total", task="feeds.tasks.deliver_post", outcome="success") >= 1


def test_a_frozen_broker_leaves_the_scrape_quick(live_stack: LiveStack) -> None:
    assert value(live_stack, "instafeed_up", part="broker") == 1
    live_stack.freeze("broker")
    try:
        time.sleep(1.1)  # until the last report is no longer fresh
        for _ in range(5):
            began = time.monotonic()
            assert value(live_stack, "instafeed_up", part="broker") == 0
            assert time.monotonic() - began < 2
        assert value(live_stack, "instafeed_up", part="cache") == 1
    finally:
        live_stack.thaw("broker")
    eventually(lambda: value(live_stack, "instafeed_up", part="broker") == 1)
