"""Measure what a feed page and a delivery cost with 10,000, 100,000 and 1,000,000 users.

The sites have the same shape (`benchmarks.bulk_rows`): as many followees and posts for each user. The viewers follow
30 to 60 accounts and no celebrity, and their feeds are warm. Authors with a few hundred followers create posts, whose
fan-out is measured while one worker process works off the backlog. If the costs depended on the number of users, the
ratios would grow with it. The sizes follow one after the other, so a bare Django view is measured beside each: the
speed of the machine changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from benchmarks import bulk_rows, http_client, open_loop
from benchmarks.charts import Chart, Curve
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import LEAST_COST, CpuMeter, Usage
from benchmarks.deliveries import Deliveries
from benchmarks.harness import Stack, load_average, log
from benchmarks.open_loop import Answers, Request, Schedule
from benchmarks.results import Result, percentile
from benchmarks.viewers import Viewer, choose_viewers, count_wrong_pages, warm_up

WORKERS = 2  # as the embedded stack
TARGETS = {"page_p50": "<= 1.3", "page_cpu": "<= 1.3", "delivery": "<= 1.3", "delivery_cpu": "<= 1.3"}


@dataclass(frozen=True)
class Size:
    users: tuple[int, ...]
    viewers: int
    followees: tuple[int, int]  # of a viewer, at least and at most
    authors: int
    followers: tuple[int, int]  # of an author
    rate: int  # requests/s
    seconds: float  # of a slice of pages, and of the yardstick
    idle_seconds: float  # for the CPU that is used while nothing happens
    rounds: int
    posts: int  # of each author in a round


FULL = Size((10_000, 100_000, 1_000_000), 200, (30, 60), 20, (200, 600), 50, 8, 5, 6, 10)
QUICK = Size((1_000, 2_000), 10, (10, 100), 3, (30, 200), 20, 1, 1, 2, 60)


@dataclass(frozen=True)
class Costs:
    """What was measured with one number of users."""

    users: int
    page_p50: float  # ms
    yardstick_p50: float  # ms
    page_cpu: float  # ms of the web server for a page
    yardstick_cpu: float  # ms
    delivery: float  # microseconds
    delivery_cpu: float  # microseconds of the worker, Redis and PostgreSQL
    wrong_pages: int
    errors: int
    undelivered: int

    def figures(self) -> dict[str, float]:
        values = {
            "page_p50_ms": self.page_p50,
            "yardstick_p50_ms": self.yardstick_p50,
            "page_cpu_ms": self.page_cpu,
            "yardstick_cpu_ms": self.yardstick_cpu,
            "delivery_us": self.delivery,
            "delivery_cpu_us": self.delivery_cpu,
        }
        return {f"with_{self.users}_{name}": value for name, value in values.items()}


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    costs = []
    for number, users in enumerate(size.users):
        if number:
            stack.empty()
        log(f"{users:,} users")
        bulk_rows.insert_rows(users, log)
        stack.checkpoint()
        costs.append(_measure(stack, size, users))
        log(", ".join(f"{name} {value:.3g}" for name, value in costs[-1].figures().items()))
    return _result(costs)


def _measure(stack: Stack, size: Size, users: int) -> Costs:
    site, worker = stack.web(WORKERS), stack.fan_out_worker()
    viewers = choose_viewers(size.viewers, hybrid=False, followees=size.followees)
    with ChildProcess(open_loop.serve, site.port, WORKERS) as client:
        errors = warm_up(client, viewers)
        wrong = count_wrong_pages(site.port, viewers[:20])
        meter = stack.cpu_meter(idle_seconds=size.idle_seconds, web=[site])
        pages, bare = Usage(), Usage()
        page_answers, bare_answers = [], []
        for _ in range(size.rounds):
            page_answers.append(_read(client, [viewer.page() for viewer in viewers], size, meter, pages))
            bare_answers.append(_read(client, [_bare_page(viewer) for viewer in viewers], size, meter, bare))
    deliveries = Deliveries(size.followers, size.authors, size.posts)
    deliveries.warm_up()
    meter = stack.cpu_meter(idle_seconds=size.idle_seconds, worker=[worker])
    deliveries.run([worker], meter)  # the worker loads modules
    backlogs = [deliveries.run([worker], meter).per_delivery() for _ in range(size.rounds)]
    for child in (worker, site):
        child.stop()
    page_count, bare_count = (sum(len(each.statuses) for each in answers) for answers in (page_answers, bare_answers))
    return Costs(
        users,
        page_p50=_median_latency(page_answers),
        yardstick_p50=_median_latency(bare_answers),
        page_cpu=pages.figures(page_count)["cpu_web_ms"],
        yardstick_cpu=bare.figures(bare_count)["cpu_web_ms"],
        delivery=1e6 * median(elapsed for elapsed, _ in backlogs),
        delivery_cpu=1000 * max(LEAST_COST, 1000 * median(cpu for _, cpu in backlogs)),
        wrong_pages=wrong,
        errors=errors + sum(answers.count_others(200) for answers in (*page_answers, *bare_answers)),
        undelivered=deliveries.missing,
    )


def _bare_page(viewer: Viewer) -> bytes:
    return http_client.get(f"/bare/yardstick/{viewer.pk}")


def _read(client: ChildProcess, requests: list[bytes], size: Size, meter: CpuMeter, usage: Usage) -> Answers:
    with meter.measure(usage):
        return open_loop.run(client, Schedule([Request("page", each) for each in requests], size.rate, size.seconds))


def _median_latency(rounds: list[Answers]) -> float:
    return percentile([latency for answers in rounds for latency in answers.latencies], 50)


def _result(costs: list[Costs]) -> Result:
    smallest, largest = costs[0], costs[-1]
    figures: dict[str, float] = {}
    for each in costs:
        figures |= each.figures()
    figures["load_average"] = load_average()
    return Result(
        "growth",
        figures,
        ratios={
            "page_p50": largest.page_p50 / smallest.page_p50,
            "page_cpu": largest.page_cpu / smallest.page_cpu,
            "delivery": largest.delivery / smallest.delivery,
            "delivery_cpu": largest.delivery_cpu / smallest.delivery_cpu,
            "yardstick_p50": largest.yardstick_p50 / smallest.yardstick_p50,
        },
        checks={
            "errors": sum(each.errors for each in costs),
            "pages_not_as_in_sql": sum(each.wrong_pages for each in costs),
            "deliveries_missing": sum(each.undelivered for each in costs),
        },
        targets=TARGETS,
        chart=_chart(costs),
    )


def _chart(costs: list[Costs]) -> Chart:
    smallest = costs[0]
    curves = [
        Curve("feed page, median", [(each.users, each.page_p50 / smallest.page_p50) for each in costs]),
        Curve("CPU of a feed page", [(each.users, each.page_cpu / smallest.page_cpu) for each in costs]),
        Curve("delivery", [(each.users, each.delivery / smallest.delivery) for each in costs]),
        Curve("CPU of a delivery", [(each.users, each.delivery_cpu / smallest.delivery_cpu) for each in costs]),
        Curve("bare view, median", [(each.users, each.yardstick_p50 / smallest.yardstick_p50) for each in costs]),
    ]
    label = f"relative to {smallest.users:,} users"
    return Chart("users", label, curves, is_x_logarithmic=True, is_y_logarithmic=False)
