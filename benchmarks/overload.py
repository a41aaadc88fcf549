"""Measure the site at twice its capacity: how much of it still works, and how fast it is normal again.

Capacity is the rate of a closed loop of warm feed pages. Then an open loop sends twice as many. Both take turns,
because the speed of a shared machine changes within minutes. A request that would wait for a thread for too long is
answered 503 with Retry-After; without that, all of them would be answered, but too late. The yardstick is the same
site at a third of its capacity, before the overload.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from statistics import median

from accounts import sessions
from benchmarks import open_loop, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.harness import Stack, load_average, log
from benchmarks.http_client import HttpConnection, get
from benchmarks.open_loop import Answers, Request, Schedule
from benchmarks.results import Result, percentile

WORKERS = 2  # as the embedded stack
CONNECTIONS = 48  # of the closed loop: twice the threads of both workers
SETTLING_SECONDS = 2.0  # in which the queues of an overload fill
CALM_SHARE = 1 / 3  # of the capacity, before and after
RECOVERY_SECONDS = 5.0
TARGETS = {"goodput": ">= 0.8", "ok_p99_ms": "< 3,000", "after_to_before_p99": "about 1"}


@dataclass(frozen=True)
class Size:
    viewers: int
    rounds: int  # of capacity and overload in turn
    seconds: float  # of each overload
    capacity_seconds: float  # of each closed loop
    calm_seconds: float  # of the phases before and after
    most_requests: int  # of an overload


FULL = Size(viewers=100, rounds=4, seconds=15, capacity_seconds=6, calm_seconds=10, most_requests=10**6)
# Beside other tests, the server may get a fraction of its CPU. So there are fewer requests than the kernel's queue for
# connections holds, and the overload is long enough for answers in it.
QUICK = Size(viewers=8, rounds=1, seconds=8, capacity_seconds=3, calm_seconds=6, most_requests=2_400)


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{size.viewers} viewers with warm feeds")
    requests = _seed(size.viewers)
    site = stack.web(WORKERS)
    _warm_up(site.port, requests)
    with ChildProcess(open_loop.serve, site.port, WORKERS) as client:
        log("warm-up")
        calm = Schedule(requests, _capacity(client, requests, size) * CALM_SHARE, size.calm_seconds)
        before = open_loop.run(client, calm)
        capacities, overloads = [], []
        for _ in range(size.rounds):
            capacities.append(_capacity(client, requests, size))
            rate = _offered(capacities[-1], size)
            log(f"{rate:,.0f} requests/s for {size.seconds:.0f} s")
            overloads.append(open_loop.run(client, Schedule(requests, rate, size.seconds)))
        after = open_loop.run(client, calm)
    return _result(size, capacities, before, overloads, after)


def _offered(capacity: float, size: Size) -> float:
    """Return the requests per second of an overload."""
    return min(2 * capacity, size.most_requests / size.seconds)


def _capacity(client: ChildProcess, requests: list[Request], size: Size) -> float:
    """Return the requests per second of a closed loop."""
    answers = open_loop.run(client, Schedule(requests, 0, size.capacity_seconds, CONNECTIONS))
    return len(answers.with_status(200)) / size.capacity_seconds


def _seed(viewers: int) -> list[Request]:
    authors, readers = seeding.create_users("author", 50), seeding.create_users("reader", viewers)
    seeding.create_follows((reader, author) for reader in readers for author in authors)
    seeding.create_posts(authors, 250, Random(20))
    return [Request("feed", get("/api/v1/feed", sessions.start(reader).access)) for reader in readers]


def _warm_up(port: int, requests: list[Request]) -> None:
    connection = HttpConnection(port)
    for request in requests:
        _, body = connection.exchange(request.data)
        assert json.loads(body)["results"]
    connection.close()


def _rate_within(answers: Answers, start: float, end: float) -> float:
    """Return the number of answers with 200 per second between two times. Later ones come from the queue."""
    rows = zip(answers.due, answers.latencies, answers.statuses, strict=True)
    return sum(status == 200 and start < due + latency / 1000 <= end for due, latency, status in rows) / (end - start)


def _result(size: Size, capacities: list[float], before: Answers, overloads: list[Answers], after: Answers) -> Result:
    before_p99 = percentile(before.with_status(200), 99)
    after_p99 = percentile(after.with_status(200, due_after=RECOVERY_SECONDS), 99)
    ok = [latency for overload in overloads for latency in overload.with_status(200)]
    ok_per_s = median(_rate_within(overload, SETTLING_SECONDS, size.seconds) for overload in overloads)
    refused = [latency for overload in overloads for latency in overload.with_status(503)]
    capacity, seconds = median(capacities), size.rounds * size.seconds
    phases = (before, *overloads, after)
    return Result(
        "overload",
        {
            "capacity_per_s": capacity,
            "lowest_capacity_per_s": min(capacities),
            "highest_capacity_per_s": max(capacities),
            "offered_per_s": _offered(capacity, size),
            "ok_per_s": ok_per_s,
            "refused_per_s": len(refused) / seconds,
            "before_p99_ms": before_p99,
            "ok_p50_ms": percentile(ok, 50),
            "ok_p99_ms": percentile(ok, 99),
            "refused_p99_ms": percentile(refused, 99),
            "after_p99_ms": after_p99,
            "load_average": load_average(),
        },
        ratios={"goodput": ok_per_s / capacity, "after_to_before_p99": after_p99 / before_p99},
        checks={"other_answers": sum(answers.count_others(200, 503) for answers in phases)},
        targets=TARGETS,
    )
