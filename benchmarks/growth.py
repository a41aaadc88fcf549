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

from django.db import connection
from django.db.models import Sum

from accounts.models import User
from benchmarks import bulk_rows, http_load, open_loop, seeding
from benchmarks.charts import Chart, Curve
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import CpuMeter, Usage
from benchmarks.harness import Stack, Worker, load_average, log, wait_for
from benchmarks.open_loop import Answers, Request, Schedule
from benchmarks.results import Result, percentile
from benchmarks.viewers import Viewer, choose_viewers, count_wrong_pages, warm_up
from feeds import backfill
from feeds.models import FanOut
from instafeed.core.jobs.leased import UNFINISHED
from posts.services import create_post
from social.models import Follow

WORKERS = 2  # as the embedded stack
TARGETS = {"page_p50": "<= 1.3", "page_cpu": "<= 1.3", "delivery": "<= 1.3", "delivery_cpu": "<= 1.3"}
_AUTHORS_SQL = """
SELECT id FROM accounts_user
WHERE is_active AND celebrity_state = 0 AND follower_count BETWEEN %s AND %s
ORDER BY hashint8extended(id, 8) LIMIT %s
"""


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
    deliveries = Deliveries(size)
    deliveries.warm_up()
    meter = stack.cpu_meter(idle_seconds=size.idle_seconds, worker=[worker])
    for _ in range(size.rounds + 1):
        deliveries.run(worker, meter)
    for child in (worker, site):
        child.stop()
    page_count, bare_count = (sum(len(each.statuses) for each in answers) for answers in (page_answers, bare_answers))
    return Costs(
        users,
        page_p50=_median_latency(page_answers),
        yardstick_p50=_median_latency(bare_answers),
        page_cpu=pages.figures(page_count)["cpu_web_ms"],
        yardstick_cpu=bare.figures(bare_count)["cpu_web_ms"],
        delivery=deliveries.microseconds,
        delivery_cpu=deliveries.cpu_microseconds,
        wrong_pages=wrong,
        errors=errors + sum(answers.count_others(200) for answers in (*page_answers, *bare_answers)),
        undelivered=deliveries.missing,
    )


def _bare_page(viewer: Viewer) -> bytes:
    return http_load.get(f"/bare/yardstick/{viewer.pk}")


def _read(client: ChildProcess, requests: list[bytes], size: Size, meter: CpuMeter, usage: Usage) -> Answers:
    with meter.measure(usage):
        return open_loop.run(client, Schedule([Request("page", each) for each in requests], size.rate, size.seconds))


def _median_latency(rounds: list[Answers]) -> float:
    return percentile([latency for answers in rounds for latency in answers.latencies], 50)


class Deliveries:
    """Posts of authors whose followers have warm home timelines, worked off as a backlog."""

    def __init__(self, size: Size) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_AUTHORS_SQL, [*size.followers, size.authors])
            self._authors = [row[0] for row in cursor.fetchall()]
        followers = Follow.objects.filter(followee_id__in=self._authors, follower__is_active=True)
        self._followers = followers.values("follower_id")
        self._posts = size.posts
        self._expected = followers.count() * size.posts
        self._rounds: list[tuple[float, float]] = []  # elapsed and CPU seconds for a delivery
        self.missing = 0

    def warm_up(self) -> None:
        viewers = User.objects.filter(pk__in=self._followers)
        log(f"warming up {viewers.count():,} followers of {len(self._authors)} authors")
        for _ in backfill.replace_home_timelines(viewers, after=0, batch_size=500):
            pass

    def run(self, worker: Worker, meter: CpuMeter) -> None:
        newest = FanOut.objects.order_by("-pk").values_list("pk", flat=True)[0]
        worker.pause()
        for author_id in self._authors * self._posts:
            create_post(author_id, seeding.CAPTION)
        usage = Usage()
        unfinished = FanOut.objects.filter(state__in=UNFINISHED)
        with meter.measure(usage):
            worker.resume()
            wait_for(lambda: not unfinished.exists(), timeout=120, every=0.005, what="a fan-out")
        count = FanOut.objects.filter(pk__gt=newest).aggregate(sum=Sum("deliveries"))["sum"]
        self.missing += max(0, self._expected - count)
        self._rounds.append((usage.elapsed / count, sum(usage.seconds.values()) / count))

    @property
    def microseconds(self) -> float:
        return 1e6 * median(elapsed for elapsed, _ in self._measured)

    @property
    def cpu_microseconds(self) -> float:
        return 1e6 * median(cpu for _, cpu in self._measured)

    @property
    def _measured(self) -> list[tuple[float, float]]:
        return self._rounds[1:]  # in the first one the worker loads modules


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
