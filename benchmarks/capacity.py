"""Measure what operations cost on each part of the stack, and what users and posts take in Redis and on disk. Compute
from it what sites of a million, 10 million and 100 million users need (`capacity_model`).

All on one site that `benchmarks.bulk_rows` filled. Pages are measured alone. Likes and new posts are measured beside
as many pages, whose cost is subtracted: on a real site, too, other requests use the processor's caches between them.
Notifications and fan-outs are worked off as backlogs, as busy workers do it. At last the requests of `tier` are sent in
a closed loop, and their rate is compared with what the model says for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from statistics import mean

from django.db.models import Avg

from accounts.models import CelebrityState
from benchmarks import bulk_rows, capacity_plan, disk_usage, http_client, media, open_loop, redis_memory
from benchmarks.capacity_model import HOST, Hardware, Profile, mean_cost, plan, throughput
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import free_cores, steal_percent
from benchmarks.deliveries import Deliveries
from benchmarks.drain import wait_for_fan_outs, wait_for_notifications
from benchmarks.harness import Stack, WebServer, load_average, log
from benchmarks.http_client import HttpConnection
from benchmarks.open_loop import Answers, Request, Schedule
from benchmarks.operation_costs import Cost, CostMeter, divide, figures, subtract
from benchmarks.redis_memory import RedisUse
from benchmarks.results import Result
from benchmarks.traffic import CAPTION, MIX, Traffic
from benchmarks.viewers import count_wrong_pages, make_cold, warm_up
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from media.processing import SIZES
from posts.models import Post
from social.models import NotificationEvent

WORKERS = 2  # processes of the web server, as the embedded stack
CONNECTIONS = 4  # of an open loop at its beginning
SATURATING_CONNECTIONS = 32  # of the closed loop
SAMPLED_BODIES = 40
FULL_MIX = {("create_full" if kind == "create" else kind): share for kind, share in MIX.items()}
# The operations of a request of the mix. A like is notified of; a post is delivered, and mentions a user.
MIX_OPERATIONS = {
    "page": MIX["feed"],
    "hybrid_page": MIX["hybrid"],
    "like": MIX["like"],
    "post": MIX["create"],
    "notification": MIX["like"] + MIX["create"],
    "fan_out": MIX["create"],
}
# The kinds of keys that each user has, besides the home timeline, and that each post has which is read.
USER_KEYS = ("sources", "access", "marks", "limit", "person")
POST_KEYS = ("card", "count")
TIERS = (1_000_000, 10_000_000, 100_000_000)  # users
TARGETS = {"predicted_to_measured": "0.8 to 1.2"}


@dataclass(frozen=True)
class Size:
    users: int
    viewers: int
    rounds: int
    seconds: float  # of a slice
    pages: int  # a second
    likes: int  # a second, beside as many pages
    posts: int  # a second, beside as many pages
    cold: int  # pages of a round
    few_followers: tuple[int, int]  # of an author, at least and at most
    many_followers: tuple[int, int]
    fan_outs: int  # posts of each author in a round
    mixed: int  # requests of the closed loop in a round
    idle_seconds: float


FULL = Size(100_000, 2_000, 3, 8, 80, 40, 20, 200, (10, 30), (200, 600), 10, 4_000, 5)
QUICK = Size(3_000, 60, 1, 1, 40, 20, 10, 20, (5, 20), (30, 300), 1, 100, 1)


class Measurement:
    """The stack with its programs, and what was measured."""

    def __init__(self, stack: Stack, size: Size, site: WebServer, client: ChildProcess, traffic: Traffic) -> None:
        self._size, self._client, self._traffic = size, client, traffic
        self._fan_out, self._notifications = stack.fan_out_worker(), stack.notifications_worker()
        self.meter = CostMeter(stack, site, self._fan_out, self._notifications, size.idle_seconds)
        self._few = Deliveries(size.few_followers, authors=100, posts=size.fan_outs)
        self._many = Deliveries(size.many_followers, authors=20, posts=size.fan_outs)
        self._answers: list[Answers] = []
        self.mixes: list[Answers] = []

    def run_cold(self) -> None:
        """Deliver to followers whose home timelines are cold, and warm them up."""
        self._deliver("first_fan_outs", self._few)  # the worker loads modules
        for _ in range(self._size.rounds):
            self._many.make_cold()
            self._deliver("cold_fan_outs", self._many)
        self._few.warm_up()
        self._many.warm_up()

    def run_round(self) -> None:
        size, traffic = self._size, self._traffic
        slice_ = int(size.pages * size.seconds)
        readers = traffic.push_only[:slice_]
        warm_up(self._client, readers)  # the bare view needs the posts that they show in the cache, also new ones
        bare = [Request("bare", http_client.get(f"/bare/yardstick/{reader.pk}")) for reader in readers]
        self._send("bare", bare, size.pages)
        for name, kind in (("page", "feed"), ("hybrid_page", "hybrid"), ("list", "profile")):
            self._send(name, traffic.requests(slice_, {kind: 1}), size.pages)
        cold = traffic.sample(size.cold)
        make_cold(viewer.pk for viewer in cold)
        self._send("cold_page", [Request("feed", viewer.page()) for viewer in cold], size.pages / 2)
        self._write("like", "like", size.likes)
        self._write("post", "create_full", size.posts)
        for name, deliveries in (("small_fan_outs", self._few), ("large_fan_outs", self._many)):
            self._deliver(name, deliveries)
            deliveries.count()
        self.mixes.append(self._send("mix", traffic.requests(size.mixed, FULL_MIX), 0))
        wait_for_fan_outs()
        wait_for_notifications()

    def costs(self) -> dict[str, Cost]:
        """Return the cost of each operation of `capacity_model`, but for pictures."""
        cost = self.meter.cost
        costs = {name: cost(name) for name in ("page", "hybrid_page", "cold_page", "list", "notification")}
        costs |= {name: subtract(cost(f"{name}_and_page"), cost("page")) for name in ("like", "post")}
        # What a post costs with few followers, with many, and with many whose home timelines are cold.
        small, large, cold = cost("small_fan_outs"), cost("large_fan_outs"), cost("cold_fan_outs")
        few, many = (each.audience / each.posts_a_round for each in (self._few, self._many))
        costs["fan_out"] = divide(subtract(small, large, few / many), 1 - few / many)
        costs["delivery"] = divide(subtract(large, costs["fan_out"]), many)
        costs["cold_delivery"] = divide(subtract(cold, costs["fan_out"]), many)
        return costs

    @property
    def refused(self) -> int:
        """How many requests were answered with 503: the machine was too busy for the rates, and costs seem too low."""
        return sum(each.statuses.count(503) for each in self._answers)

    def checks(self) -> dict[str, int]:
        created = sum(len(each.with_status(201)) for each in self._answers)
        return {
            "errors": sum(each.count_others(200, 201, 503) for each in self._answers),
            "posts_missing": created - Post.objects.filter(caption__startswith=CAPTION).count(),
            "deliveries_missing": self._few.missing + self._many.missing,
        }

    def _send(self, name: str, requests: Sequence[Request], rate: float, *, count: int = 0) -> Answers:
        """Send requests, and add their cost to the sample `name`, as that of `count` operations or of all."""
        schedule = Schedule(requests, rate, connections=CONNECTIONS if rate else SATURATING_CONNECTIONS)
        with self.meter.measure(name, count or len(requests)):
            answers = open_loop.run(self._client, schedule)
        self._answers.append(answers)
        if answers.count_others(200, 201):
            statuses = Counter(zip(answers.names, answers.statuses, strict=True))
            log(f"{name}: " + ", ".join(f"{count} {kind} {status}" for (kind, status), count in statuses.items()))
        return answers

    def _write(self, name: str, kind: str, rate: int) -> None:
        """Send writes and pages in turn while the workers are paused. Then measure the notifications."""
        count = int(rate * self._size.seconds)
        writes, pages = (self._traffic.requests(count, {each: 1}) for each in (kind, "feed"))
        self._fan_out.pause()
        self._notifications.pause()
        both = list(chain.from_iterable(zip(writes, pages, strict=True)))
        self._send(f"{name}_and_page", both, 2 * rate, count=count)
        self._fan_out.resume()
        wait_for_fan_outs()
        with self.meter.measure("notification", NotificationEvent.objects.count()):
            self._notifications.resume()
            wait_for_notifications()

    def _deliver(self, name: str, deliveries: Deliveries) -> None:
        deliveries.create([self._fan_out])
        with self.meter.measure(name, deliveries.posts_a_round):
            deliveries.deliver([self._fan_out])


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{size.users:,} users")
    bulk_rows.insert_rows(size.users, log, celebrity_threshold=None if size is FULL else 1_500)
    sizes = _disk_sizes() | {"audience": _mean_audience()}
    stack.checkpoint()
    site = stack.web(WORKERS)
    with ChildProcess(open_loop.serve, site.port, WORKERS) as client:
        traffic = Traffic(size.viewers, size.viewers)
        log(f"reading the feeds of {size.viewers:,} viewers")
        errors = warm_up(client, traffic.viewers)
        sizes |= _cache_sizes(traffic) | _body_sizes(site.port, traffic)
        measurement = Measurement(stack, size, site, client, traffic)
        with closing(measurement.meter):
            log("deliveries to cold home timelines")
            measurement.run_cold()
            errors += warm_up(client, traffic.viewers)  # some follow the authors whose followers were made cold
            for number in range(size.rounds):
                log(f"round {number + 1} of {size.rounds}")
                measurement.run_round()
        wrong = count_wrong_pages(site.port, traffic.sample(20))
    site.stop()
    log("pictures")
    sizes |= _picture_costs(stack, quick=quick)
    return _result(measurement, sizes, errors, wrong)


def _disk_sizes() -> dict[str, float]:
    parts = {"user": disk_usage.USER, "follow": disk_usage.FOLLOW, "post": disk_usage.POST, "like": disk_usage.LIKE}
    return {f"{name}_disk_bytes": disk_usage.bytes_per_row(each) for name, each in parts.items()}


def _mean_audience() -> float:
    """Return the followers that a post has on average. Celebrities are left out: their posts are not pushed."""
    authors = Post.objects.filter(author__celebrity_state=CelebrityState.ORDINARY)
    mean_count: float = authors.aggregate(mean=Avg("author__follower_count"))["mean"]
    return mean_count


def _cache_sizes(traffic: Traffic) -> dict[str, float]:
    use = RedisUse.measure()
    timelines = [keys.home_timeline(viewer.pk) for viewer in traffic.viewers]
    longest = max(timelines, key=get_client().llen)
    return {
        "user_cache_bytes": use.per_key(*USER_KEYS),
        "entry_cache_bytes": redis_memory.bytes_per_entry(longest),
        "post_cache_bytes": use.per_key(*POST_KEYS),
    }


def _body_sizes(port: int, traffic: Traffic) -> dict[str, float]:
    """Return the bytes of an answer, without compression."""
    client = HttpConnection(port)
    kinds = {"page": "feed", "hybrid_page": "hybrid", "cold_page": "feed", "list": "profile"}
    sizes = {
        f"{name}_sent_bytes": mean(
            len(client.exchange(request.data)[1]) for request in traffic.requests(SAMPLED_BODIES, {kind: 1})
        )
        for name, kind in kinds.items()
    }
    client.close()
    return sizes


def _picture_costs(stack: Stack, *, quick: bool) -> dict[str, float]:
    """Return the CPU time of a processed picture, and the bytes of its variants."""
    measured = media.run(stack, quick=quick).figures
    return {
        "picture_cpu_media_ms": 1000 / measured["pictures_per_s_per_core"],
        "picture_stored_bytes": sum(measured[f"bytes_{variant}"] for variant in SIZES),
    }


def _result(measurement: Measurement, sizes: dict[str, float], errors: int, wrong: int) -> Result:
    costs, samples = measurement.costs(), measurement.meter.samples
    measured: dict[str, float] = {}
    for operation, cost in costs.items():
        measured |= figures(operation, cost)
    measured |= sizes
    rate, predicted, free = _compare(measurement, measured)
    bare = samples["bare"].cost["cpu_web_ms"]
    profiles = [Profile(users=users) for users in TIERS]
    return Result(
        "capacity",
        measured
        | {
            "bare_cpu_web_ms": bare,
            "mix_per_s": rate,
            "mix_predicted_per_s": predicted,
            "mix_free_cores": free,
            "refused": measurement.refused,
            "host_steal_percent": steal_percent(sample.usage for sample in samples.values()),
            "load_average": load_average(),
        },
        ratios={"page_to_bare_cpu": measured["page_cpu_web_ms"] / bare, "predicted_to_measured": predicted / rate},
        checks={**measurement.checks(), "cold_errors": errors, "pages_not_as_in_sql": wrong},
        targets=TARGETS,
        text=capacity_plan.table([plan(measured, profile, Hardware()) for profile in profiles]),
    )


def _compare(measurement: Measurement, measured: dict[str, float]) -> tuple[float, float, float]:
    """Return the requests of the mix a second: measured, and by the model; and the cores that were free for them."""
    answers, usage = measurement.mixes, measurement.meter.samples["mix"].usage
    requests = sum(len(each.statuses) - each.statuses.count(503) for each in answers)
    generator = sum(each.cpu_seconds for each in answers)
    free = free_cores(usage, generator)
    cost = mean_cost(measured, MIX_OPERATIONS) | {"generator": 1000 * generator / requests}
    limit = throughput(cost, {HOST: free, "web": WORKERS, "cache": 1, "fan_out": 1, "notifications": 1, "generator": 1})
    return requests / sum(each.seconds for each in answers), limit.at, free
