"""Measure `POST /api/v1/posts` over HTTP: full posts (a picture, and a caption with a hashtag and a mention) and plain
ones (a caption only).

Each post is delivered to followers with warm home timelines. Its delay is the time from its creation to the end of its
fan-out, by the database's clock. A second phase creates posts one by one and reads a follower's feed until it shows
them. The yardstick is a bare view that stores a post and its picture and does nothing else (benchmarks/urls.py).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from random import Random

from django.db.models import Sum

from accounts import sessions
from accounts.models import User
from benchmarks import cpu, http_client, open_loop, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import Usage
from benchmarks.drain import delivery_delays, wait_for_fan_outs, wait_for_notifications
from benchmarks.harness import Stack, load_average, log, wait_for
from benchmarks.http_client import HttpConnection
from benchmarks.open_loop import Answers, Request, Schedule
from benchmarks.results import Result, percentile
from benchmarks.sql_statements import count_statements
from feeds.models import FanOut
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from posts.models import Hashtag, Post
from social.models import Follow, Notification

WORKERS = 2  # as the embedded stack
HASHTAGS = 50
COUNTED_POSTS = 2  # in this process, to count their SQL statements
FEED_POLL_INTERVAL = 0.005  # seconds
TARGETS = {"plain_sql_statements": "<= 8", "plain_cpu_web_and_worker_ms": "<= 10", "visible_p99_ms": "< 1,000"}

Bodies = Iterator[tuple[User, dict[str, object]]]


@dataclass(frozen=True)
class Size:
    authors: int
    followers: int  # of each author
    viewers: int  # among whom the followers are
    rate: int  # posts/s
    seconds: int
    watched: int  # posts that are created one by one, until a feed shows them
    idle_seconds: float  # in which the cost of idling is measured


FULL = Size(authors=200, followers=50, viewers=400, rate=10, seconds=40, watched=50, idle_seconds=5)
QUICK = Size(authors=10, followers=5, viewers=20, rate=20, seconds=1, watched=3, idle_seconds=0.2)


@dataclass(frozen=True)
class Site:
    """Authors with their access tokens, and the users who follow and are mentioned."""

    authors: list[User]
    tokens: dict[int, str]  # by author
    viewers: list[User]
    rng: Random

    def bodies(self, count: int) -> Bodies:
        """Yield an author and the body of a request, for full posts of the authors in turn."""
        authors = list(islice(cycle(self.authors), count))
        pictures = seeding.create_pictures([author.pk for author in authors])
        for author, media_id in zip(authors, pictures, strict=True):
            mentioned = self.rng.choice(self.viewers).username
            caption = f"{seeding.CAPTION} #tag{self.rng.randrange(HASHTAGS)} with @{mentioned}"
            yield author, {"caption": caption, "media": [str(media_id)]}

    def plain_bodies(self, count: int) -> Bodies:
        return ((author, {"caption": seeding.CAPTION}) for author in islice(cycle(self.authors), count))

    def requests(self, bodies: Bodies) -> list[Request]:
        return [
            Request("create", http_client.request("POST", "/api/v1/posts", self.tokens[author.pk], body))
            for author, body in bodies
        ]

    def bare_requests(self, count: int) -> list[Request]:
        (author,) = seeding.create_users("bare", 1)  # without followers
        paths = [f"/bare/yardstick/post/{author.pk}/{pk}" for pk in seeding.create_pictures([author.pk] * count)]
        return [Request("bare", http_client.request("POST", path, "", {"caption": seeding.CAPTION})) for path in paths]


@dataclass(frozen=True)
class Phase:
    """Posts of one kind at a fixed rate."""

    answers: Answers
    delays: list[float]  # milliseconds from the creation to the end of the fan-out
    usage: Usage

    def figures(self, prefix: str = "") -> dict[str, float]:
        parts = self.usage.figures(len(self.answers.latencies))
        worker = parts["cpu_fan_out_ms"] + parts["cpu_notifications_ms"]
        figures = {
            "create_p50_ms": percentile(self.answers.latencies, 50),
            "create_p99_ms": percentile(self.answers.latencies, 99),
            "visible_p50_ms": percentile(self.delays, 50),
            "visible_p99_ms": percentile(self.delays, 99),
            **parts,
            "cpu_web_and_worker_ms": parts["cpu_web_ms"] + worker,
        }
        return {f"{prefix}{name}": figure for name, figure in figures.items()}


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{size.authors} authors with {size.followers} followers each")
    site = _seed(size)
    server = stack.web(WORKERS)
    workers = {"fan_out": [stack.fan_out_worker()], "notifications": [stack.notifications_worker()]}
    statements = _count_statements(site)
    meter = stack.cpu_meter(web=[server], **workers, idle_seconds=size.idle_seconds)
    posts, phases, bare_usage = size.rate * size.seconds, {}, Usage()
    with ChildProcess(open_loop.serve, server.port, WORKERS) as client:
        log("warm-up")
        warm_up = open_loop.run(client, Schedule(site.requests(site.bodies(size.rate)), size.rate))
        _drain()
        log(f"{size.rate} posts/s for {size.seconds} s: full, plain and bare")
        for prefix, bodies in (("", site.bodies), ("plain_", site.plain_bodies)):
            newest, usage = _newest_post(), Usage()
            with meter.measure(usage):
                answers = open_loop.run(client, Schedule(site.requests(bodies(posts)), size.rate))
                _drain()
            phases[prefix] = Phase(answers, delivery_delays(FanOut.objects.filter(pk__gt=newest)), usage)
        with meter.measure(bare_usage):
            bare = open_loop.run(client, Schedule(site.bare_requests(posts), size.rate))
    log(f"{size.watched} posts one by one")
    watched = _watch(server.port, site, size.watched)
    _drain()
    return _result(size, site, warm_up, phases, statements, bare, bare_usage, watched)


def _seed(size: Size) -> Site:
    rng = Random(17)
    authors = seeding.create_users("author", size.authors)
    viewers = seeding.create_users("viewer", size.viewers)
    seeding.create_follows((viewer, author) for author in authors for viewer in rng.sample(viewers, size.followers))
    Hashtag.objects.bulk_create(Hashtag(name=f"tag{number}") for number in range(HASHTAGS))
    seeding.warm_home_timelines([*authors, *viewers])
    return Site(authors, {author.pk: sessions.start(author).access for author in authors}, viewers, rng)


def _count_statements(site: Site) -> dict[str, int]:
    """Return the SQL statements of the last of some posts by one author; those before it fill the caches."""
    author = site.authors[0]
    alone, token = replace(site, authors=[author]), site.tokens[author.pk]
    counts = {}
    for kind, bodies in (("", alone.bodies), ("plain_", alone.plain_bodies)):
        counts[f"{kind}sql_statements"] = [
            count_statements("/api/v1/posts", token, body) for _, body in bodies(COUNTED_POSTS)
        ][-1]
    return counts


def _drain() -> None:
    wait_for_fan_outs()
    wait_for_notifications()


def _newest_post() -> int:
    return Post.objects.order_by("-pk").values_list("pk", flat=True)[0]


def _watch(port: int, site: Site, count: int) -> list[float]:
    """Create posts one by one. Return the milliseconds from each response until a follower's feed shows the post."""
    client, waited = HttpConnection(port), []
    for author, body in site.bodies(count):
        follower = User.objects.get(pk=Follow.objects.filter(followee=author).values("follower_id")[:1])
        page = http_client.get("/api/v1/feed", sessions.start(follower).access)
        client.exchange(page)
        _, content = client.exchange(http_client.request("POST", "/api/v1/posts", site.tokens[author.pk], body))
        post_id, created = json.loads(content)["id"], time.perf_counter()
        shows = partial(_shows, client, page, post_id)
        wait_for(shows, timeout=30, every=FEED_POLL_INTERVAL, what="the delivery of a post")
        waited.append((time.perf_counter() - created) * 1000)
    client.close()
    return waited


def _shows(client: HttpConnection, page: bytes, post_id: str) -> bool:
    _, content = client.exchange(page)
    return json.loads(content)["results"][0]["id"] == post_id


def _count_wrong_deliveries() -> tuple[int, int]:
    """Return how many followers' home timelines lack a post, and how many contain one twice."""
    followers: dict[int, list[int]] = {}
    for follower_id, followee_id in Follow.objects.values_list("follower_id", "followee_id"):
        followers.setdefault(followee_id, []).append(follower_id)
    expected: dict[int, list[int]] = {}
    for post_id, author_id in Post.objects.values_list("pk", "author_id"):
        for follower_id in followers.get(author_id, []):
            expected.setdefault(follower_id, []).append(post_id)
    missing = duplicated = 0
    for follower_id, post_ids in expected.items():
        counts = Counter(int(each) for each in get_client().lrange(keys.home_timeline(follower_id), 0, -1))
        missing += sum(counts[post_id] == 0 for post_id in post_ids)
        duplicated += sum(counts[post_id] > 1 for post_id in post_ids)
    return missing, duplicated


def _result(
    size: Size,
    site: Site,
    warm_up: Answers,
    phases: Mapping[str, Phase],
    statements: Mapping[str, int],
    bare: Answers,
    bare_usage: Usage,
    watched: list[float],
) -> Result:
    posts = size.rate * size.seconds
    full = COUNTED_POSTS + size.rate + posts + size.watched
    plain = COUNTED_POSTS + posts
    missing, duplicated = _count_wrong_deliveries()
    by_authors = Post.objects.filter(author__in=site.authors).count()
    mentions = Notification.objects.filter(kind="mention").aggregate(total=Sum("actor_count"))["total"] or 0
    answers = [phase.answers for phase in phases.values()]
    figures: dict[str, float] = {"posts_per_s": size.rate, "followers": size.followers, **statements}
    for prefix, phase in phases.items():
        figures |= phase.figures(prefix)
    return Result(
        "posts",
        figures
        | {
            "in_feed_p50_ms": percentile(watched, 50),
            "in_feed_worst_ms": max(watched),
            "bare_p50_ms": percentile(bare.latencies, 50),
            "bare_p99_ms": percentile(bare.latencies, 99),
            **bare_usage.figures(posts, "bare_"),
            "client_cpu_ms": 1000 * sum(each.cpu_seconds for each in answers) / (len(answers) * posts),
            "host_steal_percent": cpu.steal_percent([phase.usage for phase in phases.values()]),
            "load_average": load_average(),
        },
        ratios={
            f"{prefix}p50_to_bare": figures[f"{prefix}create_p50_ms"] / percentile(bare.latencies, 50)
            for prefix in phases
        },
        checks={
            "errors": sum(each.count_others(201) for each in [warm_up, *answers]) + bare.count_others(200),
            "posts_missing": full + plain - by_authors,
            "posts_not_delivered": missing,
            "posts_delivered_twice": duplicated,
            "mentions_without_notification": full - mentions,
        },
        targets=TARGETS,
    )
