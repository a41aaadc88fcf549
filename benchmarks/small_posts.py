"""Measure the fan-out of many small posts: on an idle stack, beside a large audience, and as a backlog.

A post is created with `posts.services.create_post`, on schedule, by one of many authors with a few followers each. Its
delay is the time from its commit to the end of its fan-out, when it is in all followers' warm home timelines, by the
database's clock. The yardstick is the CPU time that a bare redis-py loop needs to push as many posts with the same Lua
script, one call for each.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import Any, cast

import redis
from django.conf import settings
from django.db.models import Count, Sum

from benchmarks import seeding
from benchmarks.cpu import cpu_seconds
from benchmarks.drain import delivery_delays
from benchmarks.harness import Stack, Worker, load_average, log, wait_for
from benchmarks.results import Result, percentile
from feeds import fanout_outbox, timeline_store
from feeds.models import FanOut
from instafeed.celery import app
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.db import snowflake
from instafeed.core.jobs import queues
from instafeed.core.jobs.leased import UNFINISHED, JobState
from instafeed.devstack.state import ProcessIdentity
from posts.services import create_post

TARGETS = {
    "visible_p99_ms": "< 1,000",
    "beside_large_p99_ms": "< 1,000",
    "cpu_ms_per_post": "<= 3",
    "backlog_tasks_per_post": "much less than 1",
}


@dataclass(frozen=True)
class Size:
    authors: int
    followers: int  # of each author
    rate: int  # posts/s
    seconds: int
    backlog: int  # posts
    large_audience: int  # followers of one more author, to whom posts are pushed
    large_posts: int


FULL = Size(500, 20, 50, 20, 5_000, large_audience=20_000, large_posts=15)
QUICK = Size(10, 5, 20, 1, 40, large_audience=300, large_posts=2)


@dataclass
class Usage:
    """What a worker used for a number of posts."""

    delays: list[float]  # ms
    cpu: float  # seconds
    tasks: int
    elapsed: float  # seconds


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    rng = Random(12)
    log(f"{size.authors:,} authors with {size.followers} followers each")
    author_ids, viewer_ids = _seed(size, rng)
    worker = stack.fan_out_worker()
    _drain(worker, lambda: create_post(author_ids[0], seeding.CAPTION))  # the first task loads modules

    log(f"{size.rate} posts/s for {size.seconds} s")
    steady = _drain(worker, lambda: _post_on_schedule(author_ids, size.rate, size.rate * size.seconds, rng))
    log(f"the same beside {size.large_posts} posts to {size.large_audience:,} followers")
    large_author = _seed_large_author(size)
    beside = _drain(worker, lambda: _post_beside(large_author, author_ids, size, rng))
    log(f"a backlog of {size.backlog:,} posts")
    backlog = _drain(worker, lambda: _post_while_paused(worker, author_ids, size.backlog, rng))
    yardstick = _push_bare(viewer_ids[: size.followers], size.backlog)
    return _result(size, steady, beside, backlog, yardstick)


def _seed(size: Size, rng: Random) -> tuple[list[int], list[int]]:
    """Create authors and followers with warm, empty home timelines. Return the ids of both."""
    authors = seeding.create_users("author", size.authors)
    viewers = seeding.create_users("viewer", size.authors)
    seeding.create_follows((viewer, author) for author in authors for viewer in rng.sample(viewers, size.followers))
    seeding.warm_home_timelines(viewers)
    return [author.pk for author in authors], [viewer.pk for viewer in viewers]


def _seed_large_author(size: Size) -> int:
    """Create an author with a large audience whose home timelines are cold."""
    (author,) = seeding.create_users("large", 1)
    followers = seeding.create_users("follower", size.large_audience)
    seeding.create_follows((follower, author) for follower in followers)
    return author.pk


def _post_beside(large_author: int, author_ids: list[int], size: Size, rng: Random) -> None:
    for _ in range(size.large_posts):
        create_post(large_author, seeding.CAPTION)
    _post_on_schedule(author_ids, size.rate, size.rate * size.seconds, rng)


def _post_on_schedule(author_ids: list[int], rate: int, count: int, rng: Random) -> None:
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        create_post(rng.choice(author_ids), seeding.CAPTION)


def _post_while_paused(worker: Worker, author_ids: list[int], count: int, rng: Random) -> None:
    worker.pause()
    try:
        for _ in range(count):
            create_post(rng.choice(author_ids), seeding.CAPTION)
    finally:
        worker.resume()


def _drain(worker: Worker, create: Any) -> Usage:
    """Create posts and wait until they are delivered."""
    newest = FanOut.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    root = ProcessIdentity.of(worker.pid)
    cpu, tasks = cpu_seconds(root), _count_tasks()
    create()
    started = time.monotonic()
    wait_for(
        lambda: not FanOut.objects.filter(state__in=UNFINISHED).exists(), timeout=600, every=0.01, what="the delivery"
    )
    elapsed = time.monotonic() - started
    wait_for(lambda: not fanout_outbox.queue.task.is_look_coming(), timeout=60, every=0.05, what="the end of the task")
    new = FanOut.objects.filter(pk__gt=newest, deliveries__gt=0)  # not those of the large audience, which is cold
    return Usage(delivery_delays(new), cpu_seconds(root) - cpu, _count_tasks() - tasks, elapsed)


def _count_tasks() -> int:
    """Return how many tasks the worker has accepted."""
    replies = app.control.inspect(timeout=100, limit=1).stats() or {}
    return sum(reply["total"].get(queues.DELIVER_POSTS, 0) for reply in replies.values())


def _push_bare(viewer_ids: list[int], count: int) -> float:
    """Push `count` posts, each to these viewers, and return the CPU seconds of this process."""
    client = cast(redis.Redis, get_client())
    script = "\n".join((timeline_store.LUA_DIR / name).read_text() for name in timeline_store.PUSH_SCRIPT)
    digest: Any = client.script_load(script)
    names = [keys.home_timeline(viewer_id) for viewer_id in viewer_ids]
    post_ids = snowflake.next_ids(count)
    started = time.process_time()
    for post_id in post_ids:
        arguments = (settings.FEED_LENGTH, timeline_store.trim_slack(), post_id, len(names))
        client.evalsha(digest, len(names), *names, *arguments)
    return time.process_time() - started


def _result(size: Size, steady: Usage, beside: Usage, backlog: Usage, yardstick: float) -> Result:
    posts = size.rate * size.seconds
    small_posts = 2 * posts + size.backlog + 1
    done = FanOut.objects.filter(state=JobState.DONE).aggregate(posts=Count("pk"), deliveries=Sum("deliveries"))
    return Result(
        "small_posts",
        {
            "posts_per_s": size.rate,
            "followers": size.followers,
            "visible_p50_ms": percentile(steady.delays, 50),
            "visible_p99_ms": percentile(steady.delays, 99),
            "cpu_ms_per_post": 1000 * steady.cpu / posts,
            "tasks_per_post": steady.tasks / posts,
            "beside_large_p50_ms": percentile(beside.delays, 50),
            "beside_large_p99_ms": percentile(beside.delays, 99),
            "backlog_posts": size.backlog,
            "backlog_posts_per_s": size.backlog / backlog.elapsed,
            "backlog_cpu_ms_per_post": 1000 * backlog.cpu / size.backlog,
            "backlog_tasks_per_post": backlog.tasks / size.backlog,
            "load_average": load_average(),
        },
        ratios={"backlog_cpu_to_yardstick": backlog.cpu / yardstick},
        checks={
            "posts_unfinished": small_posts + size.large_posts - done["posts"],
            "deliveries_missing": small_posts * size.followers - done["deliveries"],
        },
        targets=TARGETS,
    )
