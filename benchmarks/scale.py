"""Measure what more servers and processes do: Redis servers, replicas, workers.

For each: what an operation costs, which share the busiest server has, how many operations a second this machine can
do, and how many the model says (`capacity_model`) by what they cost where nothing waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from random import Random

from accounts import sessions
from accounts.models import User
from benchmarks import cache_scaling, http_client, replica_scaling, seeding, worker_scaling
from benchmarks.cache_process import PAGE, Work
from benchmarks.harness import Stack, load_average, log
from benchmarks.results import Result
from instafeed.core.db.snowflake import MAX_ID

PREDICTION = "0.8 to 1.2"
TARGETS = {
    "page_cpu_4": "<= 1.2",
    "delivery_cpu_4": "<= 1.2",
    "list_cpu_2": "<= 1.2",
    "fan_out_cpu_2": "<= 1.2",
    "page_busiest_share_4": "<= 0.3",
    "delivery_busiest_share_4": "<= 0.3",
    "list_busiest_share_2": "<= 0.6",
}


@dataclass(frozen=True)
class Size:
    viewers: int
    authors: int
    followees: int  # of each viewer
    posts: int
    pages: int  # of each viewer
    pushes: int  # posts that are pushed to all viewers
    caches: cache_scaling.Size
    replicas: replica_scaling.Size
    workers: worker_scaling.Size


FULL = Size(
    viewers=4_000,
    authors=400,
    followees=100,
    posts=8_000,
    pages=3,
    pushes=100,
    caches=cache_scaling.Size(clusters=(1, 2, 4), processes=4),
    replicas=replica_scaling.Size(rate=100, requests=2_000, idle_seconds=5),
    workers=worker_scaling.Size(authors=20, posts=25, rounds=4, idle_seconds=5),
)
QUICK = Size(
    viewers=20,
    authors=10,
    followees=5,
    posts=200,
    pages=1,
    pushes=2,
    caches=cache_scaling.Size(clusters=(2,), processes=2),
    replicas=replica_scaling.Size(rate=40, requests=20, idle_seconds=0.2),
    workers=worker_scaling.Size(authors=10, posts=40, rounds=1, idle_seconds=0.2),
)


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{size.viewers} viewers of {size.followees} of {size.authors} authors")
    authors, viewers, work = _seed(size)
    parts = [
        cache_scaling.run(stack, size.caches, work),
        worker_scaling.run(stack, size.workers),
        replica_scaling.run(stack, size.replicas, _profile_pages(authors, viewers[:100])),
    ]
    result = Result("scale")
    for part in parts:
        result.figures |= part.figures
        result.ratios |= part.ratios
        result.checks |= part.checks
    result.figures["load_average"] = load_average()
    result.targets = TARGETS | {name: PREDICTION for name in result.ratios if "_predicted_" in name}
    return result


def _seed(size: Size) -> tuple[list[User], list[User], Work]:
    """Return authors, viewers, and what is done on each cache."""
    rng = Random(31)
    authors = seeding.create_users("author", size.authors)
    viewers = seeding.create_users("viewer", size.viewers)
    seeding.create_follows((viewer, author) for viewer in viewers for author in rng.sample(authors, size.followees))
    seeding.create_posts(authors, size.posts, rng)
    expected = {viewer.pk: seeding.expected_post_ids(viewer.pk, MAX_ID, PAGE) for viewer in viewers[:20]}
    return authors, viewers, Work([viewer.pk for viewer in viewers], expected, size.pages, size.pushes)


def _profile_pages(authors: list[User], viewers: list[User]) -> list[bytes]:
    """Return requests for the posts of each author, by these viewers in turn."""
    tokens = cycle([sessions.start(viewer).access for viewer in viewers])
    return [
        http_client.get(f"/api/v1/users/{author.username}/posts", token)
        for author, token in zip(authors, tokens, strict=False)
    ]
