"""Measure the site at twice its capacity: how much of it still works, and how fast it is normal again.

Capacity is the rate of a closed loop of warm feed pages. Then an open loop sends twice as many for half a minute. A
request that would wait for a thread for too long is answered 503 with Retry-After; without that, all of them would be
answered, but too late. The yardstick is the same site at a third of its capacity, before the overload.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from accounts import sessions
from benchmarks import crowd, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.crowd import Answers, Load
from benchmarks.harness import Stack, load_average, log
from benchmarks.http_load import HttpConnection, get
from benchmarks.results import Result, percentile

WORKERS = 2  # as the embedded stack
CONNECTIONS = 24  # of the closed loop: as many as the threads of both workers
CALM_SHARE = 1 / 3  # of the capacity, before and after
RECOVERY_SECONDS = 5.0
TARGETS = {"goodput": ">= 0.8", "ok_p99_ms": "< 3,000", "after_to_before_p99": "about 1"}


@dataclass(frozen=True)
class Size:
    viewers: int
    seconds: float  # of the overload
    calm_seconds: float  # of the phases before and after


FULL = Size(viewers=100, seconds=30, calm_seconds=10)
QUICK = Size(viewers=8, seconds=3, calm_seconds=6)


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{size.viewers} viewers with warm feeds")
    requests = _seed(size.viewers)
    site = stack.web(WORKERS)
    _warm_up(site.port, requests)
    with ChildProcess(crowd.serve, site.port) as client:
        log("capacity")
        closed = _run(client, Load(requests, size.calm_seconds, connections=CONNECTIONS))
        capacity = len(closed.with_status(200)) / size.calm_seconds
        calm = Load(requests, size.calm_seconds, capacity * CALM_SHARE)
        before = _run(client, calm)
        log(f"{2 * capacity:,.0f} requests/s for {size.seconds:.0f} s")
        overload = _run(client, Load(requests, size.seconds, 2 * capacity))
        after = _run(client, calm)
    return _result(size, capacity, before, overload, after)


def _seed(viewers: int) -> list[bytes]:
    authors, readers = seeding.create_users("author", 50), seeding.create_users("reader", viewers)
    seeding.create_follows((reader, author) for reader in readers for author in authors)
    seeding.create_posts(authors, 250, Random(20))
    return [get("/api/v1/feed", sessions.start(reader).access) for reader in readers]


def _warm_up(port: int, requests: list[bytes]) -> None:
    connection = HttpConnection(port)
    for request in requests:
        _, body = connection.exchange(request)
        assert json.loads(body)["results"]
    connection.close()


def _run(client: ChildProcess, load: Load) -> Answers:
    client.send(load)
    answers: Answers = client.receive(timeout=load.seconds + 120)
    return answers


def _result(size: Size, capacity: float, before: Answers, overload: Answers, after: Answers) -> Result:
    before_p99 = percentile(before.with_status(200), 99)
    after_p99 = percentile(after.with_status(200, due_after=RECOVERY_SECONDS), 99)
    ok, refused = overload.with_status(200), overload.with_status(503)
    statuses = [*before.statuses, *overload.statuses, *after.statuses]
    return Result(
        "overload",
        {
            "capacity_per_s": capacity,
            "offered_per_s": 2 * capacity,
            "ok_per_s": len(ok) / size.seconds,
            "refused_per_s": len(refused) / size.seconds,
            "before_p99_ms": before_p99,
            "ok_p50_ms": percentile(ok, 50),
            "ok_p99_ms": percentile(ok, 99),
            "refused_p99_ms": percentile(refused, 99),
            "after_p99_ms": after_p99,
            "load_average": load_average(),
        },
        ratios={"goodput": len(ok) / size.seconds / capacity, "after_to_before_p99": after_p99 / before_p99},
        checks={"other_answers": sum(status not in (200, 503) for status in statuses)},
        targets=TARGETS,
    )
