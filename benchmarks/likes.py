"""Measure `POST /api/v1/posts/{id}/like` over HTTP: many likes of one post against likes spread over many posts.

Each like is by another user and is sent in an open loop. If all likes of a post waited for one row lock, the two
would differ. Before that, 1,000 users like one post at the same time. At the end Redis is flushed, and the counts
must still equal the rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from statistics import median
from uuid import uuid4

from django.db.models import Sum
from django.utils import timezone

from accounts import tokens
from accounts.models import Session, User
from benchmarks import cpu, http_client, open_loop, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import Usage
from benchmarks.drain import wait_for_notifications
from benchmarks.harness import Stack, load_average, log
from benchmarks.http_client import HttpConnection
from benchmarks.open_loop import Answers, Request, Schedule
from benchmarks.results import Result, percentile
from benchmarks.sql_statements import count_statements
from instafeed.core.cache.client import get_client as redis
from posts.models import Like
from social.models import Notification

WORKERS = 2  # as the embedded stack
COUNTED_LIKES = 2  # in this process, to count their SQL statements
TARGETS = {"one_post_p99_ms": "< 30", "one_post_p99": "<= 1.5", "sql_statements": "<= 4"}


@dataclass(frozen=True)
class Size:
    burst: int  # users who like one post at the same time
    rate: int  # likes/s
    seconds: int  # of a slice
    rounds: int
    idle_seconds: float  # in which the cost of idling is measured


FULL = Size(1_000, 100, 5, 4, 5.0)
QUICK = Size(50, 50, 1, 1, 0.2)


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    slice_ = size.rate * size.seconds
    log(f"{max(size.burst, slice_):,} users")
    likers = [_token(user) for user in seeding.create_users("liker", max(size.burst, slice_))]
    authors = seeding.create_users("author", 20)
    posts = seeding.create_posts(authors, slice_ * size.rounds + size.rounds + 1, Random(20))
    burst_post, hot, cold = posts[0], posts[1 : size.rounds + 1], posts[size.rounds + 1 :]
    site, worker = stack.web(WORKERS), stack.notifications_worker()
    statements = _count_statements(posts[:COUNTED_LIKES])
    meter, usage = stack.cpu_meter(web=[site], worker=[worker], idle_seconds=size.idle_seconds), Usage()
    with ChildProcess(open_loop.serve, site.port, WORKERS) as client:
        log(f"{size.burst:,} users like one post at the same time")
        burst = open_loop.run(client, Schedule([_like(burst_post, token) for token in likers[: size.burst]], 0))
        wait_for_notifications()
        one, many = [], []
        for number in range(size.rounds):
            log(f"round {number + 1} of {size.rounds}: {size.rate} likes/s for {size.seconds} s, twice")
            spread = cold[number * slice_ : (number + 1) * slice_]
            likes = [_like(post, token) for post, token in zip(spread, likers[:slice_], strict=True)]
            with meter.measure(usage):
                many.append(open_loop.run(client, Schedule(likes, size.rate)))
                wait_for_notifications()
            likes = [_like(hot[number], token) for token in likers[:slice_]]
            with meter.measure(usage):
                one.append(open_loop.run(client, Schedule(likes, size.rate)))
                wait_for_notifications()
    wrong = _count_wrong(site.port, posts)
    redis().flushdb()
    wrong_after_flush = _count_wrong(site.port, posts)
    return _result(size, burst, one, many, usage, statements, wrong, wrong_after_flush)


def _count_statements(post_ids: Sequence[int]) -> int:
    """Return the SQL statements of the last like of these posts; those before it fill the caches."""
    (user,) = seeding.create_users("counted", 1)
    token = _token(user)
    return [count_statements(f"/api/v1/posts/{post_id}/like", token) for post_id in post_ids][-1]


def _token(user: User) -> str:
    session = Session.objects.create(user=user, refresh_jti=uuid4().hex, expires_at=timezone.now() + timedelta(hours=1))
    return tokens.issue(user.pk, session.pk, session.refresh_jti).access


def _like(post_id: int, token: str) -> Request:
    return Request("like", http_client.post(f"/api/v1/posts/{post_id}/like", token))


def _count_wrong(port: int, post_ids: Sequence[int]) -> int:
    """Count posts whose like_count differs from the number of their likes."""
    client = HttpConnection(port)
    wrong = 0
    for post_id in post_ids:
        _, body = client.exchange(http_client.get(f"/api/v1/posts/{post_id}"))
        wrong += json.loads(body).get("like_count") != Like.objects.filter(post_id=post_id).count()
    client.close()
    return wrong


def _result(
    size: Size,
    burst: Answers,
    one: list[Answers],
    many: list[Answers],
    usage: Usage,
    statements: int,
    wrong: int,
    wrong_after_flush: int,
) -> Result:
    likes = 2 * size.rate * size.seconds * size.rounds
    stored = Like.objects.count()
    notified = Notification.objects.aggregate(total=Sum("actor_count"))["total"] or 0
    figures: dict[str, float] = {
        "burst_likes": size.burst,
        "burst_likes_per_s": burst.rate,
        "likes_per_s": size.rate,
        "rounds": size.rounds,
    }
    for name, rounds in (("one_post", one), ("many_posts", many)):
        for percent in (50, 99):
            figures[f"{name}_p{percent}_ms"] = percentile(
                [latency for answers in rounds for latency in answers.latencies], percent
            )
    figures |= usage.figures(likes) | {"sql_statements": statements}
    figures["client_cpu_ms"] = 1000 * sum(answers.cpu_seconds for answers in (*one, *many)) / likes
    figures["host_steal_percent"] = cpu.steal_percent([usage])
    figures["load_average"] = load_average()
    pairs = list(zip(one, many, strict=True))
    return Result(
        "likes",
        figures,
        ratios={
            f"one_post_p{percent}": median(
                percentile(ours.latencies, percent) / percentile(theirs.latencies, percent) for ours, theirs in pairs
            )
            for percent in (50, 99)
        },
        checks={
            "errors": sum(answers.count_others(200) for answers in (burst, *one, *many)),
            "likes_missing": size.burst + likes + COUNTED_LIKES - stored,
            "likes_without_notification": stored - notified,
            "counts_wrong": wrong,
            "counts_wrong_after_flush": wrong_after_flush,
        },
        targets=TARGETS,
    )
