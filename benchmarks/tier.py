"""Measure a site of a million users at rising rates: warm feeds, likes and new posts in one open loop.

90 % of the requests read the first page of a random active user's feed, half of them of users who follow celebrities
(`hybrid`) and half of users who do not (`feed`). 9 % like a recent post, each by another user, and 1 % create a post.
The rate rises until the site cannot follow any more. The yardstick is a bare Django view in the same gunicorn, one
LRANGE and one MGET without middleware, at the same rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from benchmarks import bulk_rows, http_client, open_loop
from benchmarks.charts import Chart, Curve
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import CpuMeter, Usage, steal_percent
from benchmarks.drain import delivery_delays, wait_for_fan_outs, wait_for_notifications
from benchmarks.harness import Stack, load_average, log
from benchmarks.open_loop import Answers, Request, Schedule
from benchmarks.results import Result, percentile
from benchmarks.traffic import CAPTION, MIX, Traffic
from benchmarks.viewers import count_wrong_pages, warm_up
from feeds import timeline_store
from feeds.models import FanOut
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.jobs.leased import JobState
from posts.models import Like, Post

WORKERS = 2  # as the embedded stack
SETTLING_SECONDS = 2.0  # of each rate, which do not count
MAX_P99 = 1_000.0  # ms; a site that is slower does not sustain the rate
KINDS = ("feed", "hybrid", "like", "create")
TARGET_RATE = 300
TARGETS = {"feed": 30, "hybrid": 100, "like": 30, "create": 50}  # p99 in ms at the target rate

_DELIVERIES_SQL = """
SELECT post.id, follower_id FROM posts_post AS post
JOIN accounts_user AS author ON author.id = author_id AND author.celebrity_state = 0
JOIN social_follow ON followee_id = author_id AND follower_id = ANY(%s)
WHERE post.id = ANY(%s)
"""


@dataclass(frozen=True)
class Size:
    users: int
    viewers: int
    rates: tuple[int, ...]  # requests/s
    seconds: float  # of each rate
    yardstick_seconds: float
    idle_seconds: float  # for the CPU that is used while nothing happens
    likable: int  # newest posts
    sample: int  # viewers whose pages are compared with SQL after each rate
    celebrity_threshold: int | None = None  # followers; that of the settings needs a large site


FULL = Size(1_000_000, 20_000, (100, 200, 300, 400, 500, 600, 800), 30, 8, 5, 20_000, 50)
QUICK = Size(3_000, 60, (40,), 4, 2, 1, 500, 10, celebrity_threshold=1_500)


@dataclass
class Step:
    """What happened at one rate."""

    rate: int
    answers: Answers
    yardstick: Answers
    usage: Usage
    visible: list[float] = field(default_factory=list)  # ms from a post's commit to the end of its fan-out

    def latency(self, kind: str, percent: float) -> float:
        ok = 201 if kind == "create" else 200
        return percentile(self.answers.with_status(ok, name=kind, due_after=SETTLING_SECONDS), percent)

    @property
    def refused(self) -> int:
        return self.answers.statuses.count(503)

    @property
    def is_sustained(self) -> bool:
        slowest = max(self.latency(kind, 99) for kind in KINDS)
        return not self.refused and self.answers.rate > 0.95 * self.rate and slowest < MAX_P99

    def figures(self) -> dict[str, float]:
        """Return the figures of this rate; CPU in cores."""
        cores = {part: seconds / self.usage.elapsed for part, seconds in self.usage.seconds.items()}
        cores["generator"] = self.answers.cpu_seconds / self.usage.elapsed
        cores["other"] = self.usage.busy / self.usage.elapsed - sum(cores.values())
        figures: dict[str, float] = {"achieved_per_s": self.answers.rate, "refused": self.refused}
        for kind in KINDS:
            figures |= {f"{kind}_p{percent}_ms": self.latency(kind, percent) for percent in (50, 99)}
        figures |= {f"yardstick_p{percent}_ms": percentile(self.yardstick.latencies, percent) for percent in (50, 99)}
        figures["visible_p99_ms"] = percentile(self.visible, 99)
        figures |= {f"{part}_cores": max(0.0, value) for part, value in cores.items()}
        figures["host_steal_percent"] = steal_percent([self.usage])
        return {f"at_{self.rate}_{name}": value for name, value in figures.items()}


@dataclass
class Wrong:
    """Counts of errors, over all rates."""

    other_answers: int = 0
    pages_not_as_in_sql: int = 0
    likes_missing: int = 0
    posts_missing: int = 0
    posts_undelivered: int = 0


class Tier:
    """The site under load."""

    def __init__(self, size: Size, client: ChildProcess, port: int) -> None:
        self._size, self._client, self._port = size, client, port
        self._traffic = Traffic(size.viewers, size.likable)
        self.wrong = Wrong()

    def warm_up(self) -> None:
        self.wrong.other_answers += warm_up(self._client, self._traffic.viewers)

    def run(self, rate: int, meter: CpuMeter) -> Step:
        """Run one rate, and check what it has written."""
        liked_before = len(self._traffic.likes)
        requests = self._traffic.requests(int(rate * self._size.seconds), MIX)
        readers = self._traffic.push_only[:200]
        bare = [Request("bare", http_client.get(f"/bare/yardstick/{viewer.pk}")) for viewer in readers]
        yardstick = open_loop.run(self._client, Schedule(bare, rate, self._size.yardstick_seconds))
        usage, began = Usage(), timezone.now()
        with meter.measure(usage):
            answers = open_loop.run(self._client, Schedule(requests, rate))
        wait_for_fan_outs()
        wait_for_notifications()
        step = Step(rate, answers, yardstick, usage, delivery_delays(FanOut.objects.filter(created_at__gte=began)))
        self._check(step, self._traffic.likes[liked_before:], began)
        return step

    def _check(self, step: Step, likes: Sequence[tuple[int, int]], began: datetime) -> None:
        answers, wrong = step.answers, self.wrong
        wrong.other_answers += answers.count_others(200, 201, 503)
        stored = _count_stored(likes)
        wrong.likes_missing += max(0, len(answers.with_status(200, name="like")) - stored)
        posts = list(Post.objects.filter(caption=CAPTION, created_at__gte=began).values_list("pk", flat=True))
        wrong.posts_missing += max(0, len(answers.with_status(201, name="create")) - len(posts))
        wrong.posts_undelivered += FanOut.objects.filter(pk__in=posts).exclude(state=JobState.DONE).count()
        wrong.posts_undelivered += self._count_missing_in_timelines(posts)
        wrong.pages_not_as_in_sql += count_wrong_pages(self._port, self._traffic.sample(self._size.sample))

    def _count_missing_in_timelines(self, post_ids: list[int]) -> int:
        """Count deliveries that are missing in the warm home timelines of the viewers."""
        with connection.cursor() as cursor:
            cursor.execute(_DELIVERIES_SQL, [[viewer.pk for viewer in self._traffic.viewers], post_ids])
            rows = cursor.fetchall()
        missing = 0
        for post_id, viewer_id in rows:
            timeline = timeline_store.peek(keys.home_timeline(viewer_id))
            missing += timeline is not None and post_id > timeline.floor and post_id not in timeline.ids
        return missing


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{size.users:,} users")
    bulk_rows.insert_rows(size.users, log, celebrity_threshold=size.celebrity_threshold)
    stack.checkpoint()
    site = stack.web(WORKERS)
    fan_out, notifications = stack.fan_out_worker(), stack.notifications_worker()
    with ChildProcess(open_loop.serve, site.port, WORKERS) as client:
        tier = Tier(size, client, site.port)
        log(f"reading the feeds of {size.viewers:,} viewers")
        tier.warm_up()
        meter = stack.cpu_meter(
            idle_seconds=size.idle_seconds, web=[site], fan_out=[fan_out], notifications=[notifications]
        )
        steps: list[Step] = []
        for rate in size.rates:
            steps.append(tier.run(rate, meter))
            log(", ".join(f"{name} {value:,.3g}" for name, value in steps[-1].figures().items()))
            if not steps[-1].is_sustained:
                break
    return _result(size, steps, tier.wrong)


def _count_stored(likes: Sequence[tuple[int, int]]) -> int:
    found = 0
    for start in range(0, len(likes), 500):
        pairs = Q()
        for user_id, post_id in likes[start : start + 500]:
            pairs |= Q(user_id=user_id, post_id=post_id)
        found += Like.objects.filter(pairs).count() if pairs else 0
    return found


def _result(size: Size, steps: Sequence[Step], wrong: Wrong) -> Result:
    sustained = [step for step in steps if step.is_sustained] or list(steps[:1])
    at_target = next((step for step in steps if step.rate == TARGET_RATE), sustained[-1])
    memory = get_client().info("memory")
    stats = get_client().info("stats")
    figures: dict[str, float] = {
        "users": size.users,
        "viewers": size.viewers,
        "sustained_per_s": max(step.rate for step in sustained),
        "cache_mb": memory["used_memory"] / 2**20,
        "cache_evicted_keys": stats["evicted_keys"],
    }
    for step in steps:
        figures |= step.figures()
    figures["load_average"] = load_average()
    yardstick = percentile(at_target.yardstick.latencies, 50)
    return Result(
        "tier",
        figures,
        ratios={f"{kind}_p50": at_target.latency(kind, 50) / yardstick for kind in ("feed", "hybrid")},
        checks=vars(wrong),
        targets={f"at_{TARGET_RATE}_{kind}_p99_ms": f"< {target}" for kind, target in TARGETS.items()},
        chart=_chart(steps),
    )


def _chart(steps: Sequence[Step]) -> Chart:
    curves = []
    for kind in KINDS:
        for name, percent in (("median", 50), ("p99", 99)):
            points = [(step.rate, step.latency(kind, percent)) for step in steps]
            curves.append(Curve(f"{kind}, {name}", points, is_dashed=percent == 99))
    return Chart("requests/s", "latency, ms", curves)
