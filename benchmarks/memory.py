"""Measure memory: timelines and warm users in Redis, the programs after load; and the CPU time of an idle stack.

The yardsticks are a plain Redis list and a sorted set with the ids of a full timeline, and a process with Django and
the libraries but without the project.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from statistics import median

import redis
from django.conf import settings
from django.db import connection as database

from accounts import sessions
from accounts.models import User
from benchmarks import http_client, open_loop, process_memory, redis_memory, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.drain import wait_for_fan_outs
from benchmarks.harness import Stack, load_average, log, wait_for
from benchmarks.idle_stack import measure_idle_cpu
from benchmarks.open_loop import Request, Schedule
from benchmarks.process_memory import Memory
from benchmarks.redis_memory import RedisUse
from benchmarks.results import Result
from instafeed.celery import app
from instafeed.core.cache import keys
from instafeed.core.cache.client import get_client
from instafeed.core.jobs.queues import QUEUES
from instafeed.core.jobs.schedule import SCHEDULE
from instafeed.devstack.programs import Beat, workers
from posts.models import Post

WORKERS = 2  # web and Celery processes, as the embedded stack
FIRST_USER_ID = 100_000_000  # as on a large site: small ids would take fewer bytes
WRITERS = 20
CAPTION = "The harbour tonight #sunset"
TARGETS = {
    "timeline_bytes_per_entry": "<= 11",
    "web_rss_mb": "< 120",
    "worker_rss_mb": "< 120",
    "idle_cpu_percent": "< 3",
}


@dataclass(frozen=True)
class Size:
    authors: int
    followees: int  # of each viewer
    posts: int
    viewers: int  # whose memory in Redis is measured, after as many others
    requests: int
    task_rounds: int  # how often each periodic task runs
    settling: float  # seconds before the idle stack is measured
    idle_seconds: float


FULL = Size(1_000, 200, 10_000, 300, requests=6_000, task_rounds=50, settling=20, idle_seconds=60)
QUICK = Size(20, 10, 1_500, 10, requests=100, task_rounds=1, settling=0, idle_seconds=1)


@dataclass(frozen=True)
class People:
    """Users with their access tokens: viewers of full feeds, and some of the authors whom they follow."""

    viewers: list[User]
    writers: list[User]
    tokens: dict[int, str]

    def feed(self, viewer: User) -> Request:
        return Request("feed", http_client.get("/api/v1/feed", self.tokens[viewer.pk]))


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"an idle stack for {size.idle_seconds:.0f} s")
    idle = measure_idle_cpu(stack, settling=size.settling, seconds=size.idle_seconds)
    log(f"{2 * size.viewers} viewers of {size.followees} of {size.authors} authors")
    people = _seed(size)
    site = stack.web(WORKERS)
    layout, environment = stack.services.layout, stack.services.environment
    with ChildProcess(open_loop.serve, site.port, WORKERS) as client:
        first, second = people.viewers[: size.viewers], people.viewers[size.viewers :]
        errors = _request(client, [people.feed(viewer) for viewer in first])  # what all users share is in Redis now
        before = RedisUse.measure()
        errors += _request(client, [people.feed(viewer) for viewer in second])
        users = RedisUse.measure().since(before, size.viewers)
        log(f"{size.requests} requests and {size.task_rounds * len(SCHEDULE)} tasks")
        celery, beat = workers(layout, environment, site.port, WORKERS), Beat(layout, environment)
        for program in (*celery, beat):
            stack.start(program)
        errors += _request(client, list(_mixed_requests(people, size.requests)))
    wait_for_fan_outs()
    _run_tasks(size.task_rounds, environment["CELERY_BROKER_URL"])
    programs = {
        "web": site.tree()[1:],
        "web_master": site.tree()[:1],
        "worker": [process for worker in celery for process in worker.tree()[1:]],
        "worker_master": [process for worker in celery for process in worker.tree()[:1]],
        "beat": beat.tree(),
        "cache": stack.services.cache.tree(),
        "broker": stack.services.broker.tree(),
    }
    memory = {name: process_memory.largest(processes) for name, processes in programs.items()}
    with ChildProcess(process_memory.serve_plain_django) as child:
        memory["plain_django"] = child.receive()
    return _result(size, people, idle, users, memory, errors)


def _seed(size: Size) -> People:
    rng = Random(19)
    with database.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('accounts_user', 'id'), %s)", [FIRST_USER_ID])
    authors = seeding.create_users("author", size.authors)
    viewers = seeding.create_users("viewer", 2 * size.viewers)
    seeding.create_follows((viewer, author) for viewer in viewers for author in rng.sample(authors, size.followees))
    seeding.create_posts(authors, size.posts, rng)
    with database.cursor() as cursor:
        cursor.execute("ANALYZE")
    writers = authors[:WRITERS]
    return People(viewers, writers, {user.pk: sessions.start(user).access for user in [*viewers, *writers]})


def _request(client: ChildProcess, requests: list[Request]) -> int:
    """Send requests in a closed loop. Return how many failed."""
    return open_loop.run(client, Schedule(requests, 0)).count_others(200, 201)


def _mixed_requests(people: People, count: int) -> Iterator[Request]:
    rng = Random(23)
    post_ids = list(Post.objects.order_by("-pk").values_list("pk", flat=True)[:500])
    for number in range(count):
        viewer, writer, post_id = rng.choice(people.viewers), rng.choice(people.writers), rng.choice(post_ids)
        token = people.tokens[viewer.pk]
        match number % 10:
            case 0:
                data = http_client.request("POST", "/api/v1/posts", people.tokens[writer.pk], {"caption": CAPTION})
            case 1:
                data = http_client.post(f"/api/v1/posts/{post_id}/like", token)
            case 2:
                data = http_client.request("POST", f"/api/v1/posts/{post_id}/comments", token, {"text": "so calm"})
            case 3:
                data = http_client.get("/api/v1/notifications", people.tokens[writer.pk])
            case 4:
                data = http_client.get(f"/api/v1/users/{writer.username}/posts", token)
            case 5:
                data = http_client.get("/api/v1/explore", token)
            case _:
                data = people.feed(viewer).data
        yield Request("mixed", data)


def _run_tasks(rounds: int, broker_url: str) -> None:
    """Run each periodic task `rounds` times."""
    for _ in range(rounds):
        for entry in SCHEDULE.values():
            app.send_task(entry["task"])
    with redis.Redis.from_url(broker_url) as broker:
        wait_for(
            lambda: not any(broker.llen(queue) for queue in QUEUES) and not broker.hlen("unacked"),
            timeout=300,
            every=0.1,
            what="running the periodic tasks",
        )


def _result(
    size: Size, people: People, idle: dict[str, float], users: RedisUse, memory: dict[str, Memory], errors: int
) -> Result:
    timelines = [keys.home_timeline(viewer.pk) for viewer in people.viewers]
    per_entry = median(redis_memory.bytes_per_entry(name) for name in timelines)
    plain_list, sorted_set = redis_memory.measure_yardsticks(timelines[0])
    figures = {
        "timeline_bytes_per_entry": per_entry,
        "list_bytes_per_entry": plain_list,
        "sorted_set_bytes_per_entry": sorted_set,
        "user_bytes": users.total,
        **{f"user_{kind}_bytes": size_ for kind, size_ in users.by_kind.items()},
    }
    for name, each in memory.items():
        figures |= each.figures(name)
    figures["idle_cpu_percent"] = sum(idle.values())
    figures |= {f"idle_{name.replace('-', '_')}_percent": percent for name, percent in idle.items()}
    figures["load_average"] = load_average()
    full = settings.FEED_LENGTH + 1  # with the marker
    return Result(
        "memory",
        figures,
        ratios={
            "timeline_to_list": per_entry / plain_list,
            "web_to_plain_django": memory["web"].rss / memory["plain_django"].rss,
        },
        checks={
            "errors": errors,
            "timelines_not_full": sum(get_client().llen(name) < full for name in timelines),
        },
        targets=TARGETS,
    )
