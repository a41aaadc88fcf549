"""Measure deliveries per second, from the commit of a post to the last warm feed: 9,999 followers, one Celery worker.

A round creates one post with `posts.services.create_post` and measures the time from its commit until the last
follower's feed holds it. The yardstick alternates with it: a bare redis-py loop that runs the same Lua script with
batches of the same size on prepared key names. Another process sends PINGs to Redis meanwhile, because fan-out must
not stall its readers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any, cast

import redis
from django.conf import settings
from django.db import transaction

from accounts.models import User
from benchmarks import pinger, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.harness import Stack, load_average, log, wait_for
from benchmarks.pinger import Pinger
from benchmarks.results import Result, percentile
from feeds import timeline_store
from feeds.models import FanOut
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.db import snowflake
from instafeed.core.jobs.leased import JobState
from posts.services import create_post

WARM_UP_ROUNDS = 2  # their results are discarded
POLL_INTERVAL = 0.001  # seconds between two checks of the last feed
IDLE_SECONDS = 0.1  # seconds of PINGs on an idle Redis before each round
TARGETS = {
    "deliveries_per_s": ">= 50,000",
    "to_yardstick": ">= 0.5",
    "stall_max_ms": "<= 10",
}


@dataclass
class Round:
    """The seconds that one post and the yardstick after it took."""

    post_id: int
    delivery: float
    yardstick: float
    is_row_wrong: bool


@dataclass
class FanOutBench:
    """An author, the keys of the followers' home timelines in the order of delivery, and Redis connections."""

    author: User
    names: list[str]
    client: redis.Redis
    pinger: Pinger
    pushed: list[int] = field(default_factory=list)  # post ids that every feed must hold in the end

    def __post_init__(self) -> None:
        source = "\n".join((timeline_store.LUA_DIR / name).read_text() for name in timeline_store.PUSH_SCRIPT)
        self._digest: Any = self.client.script_load(source)
        self._batches = _batched(self.names, settings.FAN_OUT_BATCH_SIZE)
        self._arguments = [settings.FEED_LENGTH, timeline_store.trim_slack()]

    def round(self) -> Round:
        with self.pinger.during("idle"):
            time.sleep(IDLE_SECONDS)
        with self.pinger.during("yardstick"):
            yardstick = self._push_bare(snowflake.next_ids(1)[0])
        with self.pinger.during("fan_out"):
            post_id, delivery = self._deliver()
            row = wait_for(lambda: _finished(post_id), timeout=10, every=POLL_INTERVAL, what="finishing a fan-out")
        wrong = row.state != JobState.DONE or row.deliveries != len(self.names)
        return Round(post_id, delivery, yardstick, wrong)

    def _deliver(self) -> tuple[int, float]:
        """Create a post. Return its id and the seconds from its commit to the last follower's feed."""
        committed: list[float] = []
        with transaction.atomic():
            # Registered before the hooks of create_post, which therefore run later.
            transaction.on_commit(lambda: committed.append(time.perf_counter()))
            post_id = create_post(self.author.pk, seeding.CAPTION).pk
        newest = str(post_id).encode()
        wait_for(
            lambda: self.client.lindex(self.names[-1], 0) == newest, timeout=60, every=POLL_INTERVAL, what="a delivery"
        )
        self.pushed.append(post_id)
        return post_id, time.perf_counter() - committed[0]

    def _push_bare(self, post_id: int) -> float:
        started = time.perf_counter()
        for batch in self._batches:
            self.client.evalsha(self._digest, len(batch), *batch, *self._arguments, post_id, len(batch))
        elapsed = time.perf_counter() - started
        self.pushed.append(post_id)
        return elapsed

    def count_wrong(self) -> tuple[int, int]:
        """Return how many posts are missing in all feeds together, and how many are held more than once."""
        missing = duplicated = 0
        window = len(self.pushed) + 10
        for names in _batched(self.names, 500):
            pipe = self.client.pipeline(transaction=False)
            for name in names:
                pipe.lrange(name, 0, window)
            for head in pipe.execute():
                held = [int(element) for element in head]
                counts = [held.count(post_id) for post_id in self.pushed]
                missing += counts.count(0)
                duplicated += sum(count > 1 for count in counts)
        return missing, duplicated

    def count_unread(self, sample: int) -> int:
        """Return how many posts a reader does not find exactly once, in every `sample`-th feed."""
        wrong = 0
        for name in self.names[::sample]:
            timeline = timeline_store.peek(name)
            seen = timeline.ids if timeline else []
            wrong += sum(seen.count(post_id) != 1 for post_id in self.pushed)
            wrong += any(newer <= older for newer, older in pairwise(seen))
        return wrong


def run(stack: Stack, *, quick: bool) -> Result:
    followers, rounds = (300, 2) if quick else (9_999, 15)
    log(f"an author with {followers:,} followers")
    author, names = _seed(followers)
    log("filling the followers' feeds")
    _fill(cast(redis.Redis, get_client()), names)
    stack.fan_out_worker()
    cache_url = stack.services.environment["REDIS_URL"]
    with redis.Redis.from_url(cache_url) as client, ChildProcess(pinger.serve, cache_url) as child:
        bench = FanOutBench(author, names, client, Pinger(child))
        for _ in range(WARM_UP_ROUNDS):
            bench.round()
        bench.pinger.round_trips.clear()
        _reset_slow_log(client)
        log(f"{rounds} rounds")
        results = [bench.round() for _ in range(rounds)]
        return _result(bench, results)


def _seed(count: int) -> tuple[User, list[str]]:
    """Create the author and followers. Return the author and the followers' keys in the order of delivery."""
    (author,) = seeding.create_users("author", 1)
    followers = seeding.create_users("follower", count)
    seeding.create_follows((follower, author) for follower in followers)
    return author, [keys.home_timeline(pk) for pk in sorted(follower.pk for follower in followers)]


def _fill(client: redis.Redis, names: list[str]) -> None:
    """Fill the feeds as in the steady state, where their lengths differ.

    If all had the same length, no feed would be trimmed for fifty posts, and then all would be by one post.
    """
    slack = timeline_store.trim_slack() + 1
    old = snowflake.next_ids(settings.FEED_LENGTH + slack)
    patterns = [f"{keys.PREFIX}feed:pattern:{number}" for number in range(min(slack, len(names)))]
    for number, pattern in enumerate(patterns):
        seeding.store_timeline(pattern, timeline_store.Timeline(old[settings.FEED_LENGTH - 1 :: -1], floor=1))
        if number:
            client.lpush(pattern, *old[settings.FEED_LENGTH : settings.FEED_LENGTH + number])
    for part in _batched(list(enumerate(names)), 500):
        pipe = client.pipeline(transaction=False)
        for number, name in part:
            pipe.copy(patterns[number % len(patterns)], name)
        pipe.execute()
    client.delete(*patterns)


def _finished(post_id: int) -> FanOut | None:
    return FanOut.objects.filter(pk=post_id, state__in=[JobState.DONE, JobState.DEAD]).first()


def _reset_slow_log(client: redis.Redis) -> None:
    client.config_set("slowlog-log-slower-than", 1_000)  # microseconds
    client.config_set("slowlog-max-len", 10_000)
    client.slowlog_reset()


def _result(bench: FanOutBench, rounds: list[Round]) -> Result:
    followers = len(bench.names)
    round_trips = bench.pinger.round_trips
    commands: list[dict[str, Any]] = bench.client.slowlog_get(10_000)
    missing, duplicated = bench.count_wrong()
    figures = {
        "followers": followers,
        "rounds": len(rounds),
        "deliveries_per_s": median(followers / round_.delivery for round_ in rounds),
        "yardstick_deliveries_per_s": median(followers / round_.yardstick for round_ in rounds),
        "commit_to_last_feed_ms": 1000 * median(round_.delivery for round_ in rounds),
        "commit_to_last_feed_worst_ms": 1000 * max(round_.delivery for round_ in rounds),
        "stall_max_ms": percentile(round_trips["fan_out"], 100),
        "stall_p99_ms": percentile(round_trips["fan_out"], 99),
        "yardstick_stall_max_ms": percentile(round_trips["yardstick"], 100),
        "yardstick_stall_p99_ms": percentile(round_trips["yardstick"], 99),
        "idle_stall_max_ms": percentile(round_trips["idle"], 100),
        "idle_stall_p99_ms": percentile(round_trips["idle"], 99),
        "slowest_command_ms": max((command["duration"] / 1000 for command in commands), default=0.0),
        "load_average": load_average(),
    }
    return Result(
        "fan_out",
        figures,
        ratios={"to_yardstick": median(round_.yardstick / round_.delivery for round_ in rounds)},
        checks={
            "outbox_rows_wrong": sum(round_.is_row_wrong for round_ in rounds),
            "posts_missing": missing,
            "posts_duplicated": duplicated,
            "posts_not_read_once": bench.count_unread(sample=50),
        },
        targets=TARGETS,
    )


def _batched(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
