"""Measure `GET /api/v1/feed` over HTTP, against gunicorn as the stack runs it: warm, hybrid, cold and deep pages.

The yardstick is a bare Django view in the same gunicorn with one LRANGE and one MGET (benchmarks/urls.py). Slices of
all scenarios alternate, so that noise affects all alike, and ratios are medians over the rounds. Every response is
checked for its status and number of posts; those of some viewers are compared with SQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from statistics import median

from django.db import connection as database

from accounts import sessions
from accounts.models import User
from benchmarks import cpu, http_client, open_loop, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import CpuMeter, Usage
from benchmarks.harness import Stack, load_average, log
from benchmarks.http_client import HttpConnection
from benchmarks.open_loop import Answers, Request, Schedule
from benchmarks.results import Result, percentile
from benchmarks.viewers import make_cold
from feeds.api.views import FEED_CURSOR
from instafeed.core.api.pagination.cursors import DEFAULT_LIMIT, encode_cursor
from instafeed.core.db.snowflake import MAX_ID

WORKERS = 2  # as the embedded stack
CONNECTIONS = 4  # of the closed loop, two to each worker
POST_MARKER = b'"caption":'  # once in every post
TARGETS = {"push_only_to_bare": ">= 0.65", "hybrid_to_bare": ">= 0.55"}


@dataclass(frozen=True)
class Size:
    viewers: int  # of each kind
    authors: int
    followees: int  # of each viewer among these authors
    celebrities: int
    posts: int  # by ordinary authors; a viewer's share must reach far below the home timeline
    celebrity_posts: int
    depth: int  # how many posts a deep page is below the top
    sample: int  # viewers whose pages are compared with SQL
    rounds: int
    seconds: float  # of a slice
    idle_seconds: float  # in which the cost of idling is measured


FULL = Size(100, 500, 200, 20, 4_000, 800, 700, 10, 6, 3.0, 5.0)
QUICK = Size(8, 250, 200, 20, 1_200, 200, 600, 3, 2, 0.4, 0.2)


@dataclass(frozen=True)
class Viewer:
    """A user with an access token and a cursor far below the timelines in Redis."""

    pk: int
    token: str
    deep: int

    def page(self, before: int | None = None) -> bytes:
        """Return the request for a page."""
        cursor = f"?cursor={encode_cursor(FEED_CURSOR, before)}" if before else ""
        return http_client.get(f"/api/v1/feed{cursor}", self.token)


@dataclass
class Scenario:
    """Requests that are repeated during a slice, or, with `prepare`, sent once each in every round."""

    requests: list[bytes]
    prepare: Callable[[], None] | None = None
    rounds: list[Answers] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    @property
    def rate(self) -> float:
        return median(answers.rate for answers in self.rounds)

    @property
    def count(self) -> int:
        """How many requests were answered."""
        return sum(len(answers.statuses) for answers in self.rounds)

    def latency(self, percent: float) -> float:
        return percentile([latency for answers in self.rounds for latency in answers.latencies], percent)

    def run(self, client: ChildProcess, meter: CpuMeter, seconds: float) -> None:
        if self.prepare is not None:
            self.prepare()
        requests = [Request("page", data) for data in self.requests]
        schedule = Schedule(requests, 0, 0 if self.prepare else seconds, CONNECTIONS, POST_MARKER)
        with meter.measure(self.usage):
            self.rounds.append(open_loop.run(client, schedule))


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{2 * size.viewers} viewers of {size.followees} authors each, half of them of {size.celebrities} celebrities")
    push_only, hybrid = _seed(size)
    site = stack.web(WORKERS)
    scenarios = _scenarios(push_only, hybrid)
    log("warming up")
    wrong = _count_wrong(site.port, [*push_only, *hybrid])
    meter = stack.cpu_meter(web=[site], idle_seconds=size.idle_seconds)
    log(f"{size.rounds} rounds of {len(scenarios)} slices")
    with ChildProcess(open_loop.serve, site.port, WORKERS) as client:
        for _ in range(size.rounds):
            for scenario in scenarios.values():
                scenario.run(client, meter, size.seconds)
    wrong += _count_wrong(site.port, [*push_only[: size.sample], *hybrid[: size.sample]])
    make_cold(viewer.pk for viewer in push_only[: size.sample])
    wrong += _count_wrong(site.port, push_only[: size.sample])
    return _result(size, scenarios, wrong)


def _seed(size: Size) -> tuple[list[Viewer], list[Viewer]]:
    """Create viewers who follow ordinary authors only, and as many who follow celebrities as well."""
    rng = Random(20)
    authors = seeding.create_users("author", size.authors)
    celebrities = seeding.create_users("celebrity", size.celebrities, celebrity=True)
    push_only, hybrid = seeding.create_users("reader", size.viewers), seeding.create_users("fan", size.viewers)
    seeding.create_follows(_edges(size, rng, authors, celebrities, push_only, hybrid))
    seeding.create_posts(authors, size.posts, rng)
    # Fewer posts over as many days, so that every page of a hybrid feed has posts of both.
    seeding.create_posts(
        celebrities, size.celebrity_posts, rng, every=seeding.POST_INTERVAL * size.posts / size.celebrity_posts
    )
    with database.cursor() as cursor:
        cursor.execute("ANALYZE")
    return [_viewer(user, size) for user in push_only], [_viewer(user, size) for user in hybrid]


def _edges(
    size: Size,
    rng: Random,
    authors: list[User],
    celebrities: list[User],
    push_only: list[User],
    hybrid: list[User],
) -> Iterator[tuple[User, User]]:
    for reader, fan in zip(push_only, hybrid, strict=True):
        for author in rng.sample(authors, size.followees):
            yield reader, author
            yield fan, author
        for celebrity in celebrities:
            yield fan, celebrity


def _viewer(user: User, size: Size) -> Viewer:
    return Viewer(user.pk, sessions.start(user).access, seeding.expected_post_ids(user.pk, MAX_ID, size.depth)[-1])


def _scenarios(push_only: list[Viewer], hybrid: list[Viewer]) -> dict[str, Scenario]:
    """Return the scenarios by name, in the order of a round."""
    readers = [viewer.pk for viewer in push_only]
    return {
        "yardstick": Scenario([http_client.get(f"/yardstick/{viewer.pk}") for viewer in push_only]),
        "push_only": Scenario([viewer.page() for viewer in push_only]),
        "hybrid": Scenario([viewer.page() for viewer in hybrid]),
        "bare": Scenario([http_client.get(f"/bare/yardstick/{viewer.pk}") for viewer in push_only]),
        "deep": Scenario([viewer.page(viewer.deep) for viewer in push_only]),
        "cold": Scenario([viewer.page() for viewer in push_only], prepare=lambda: make_cold(readers)),
    }


def _count_wrong(port: int, viewers: Sequence[Viewer]) -> int:
    """Count first and deep pages that differ from SQL or are out of order."""
    wrong = 0
    client = HttpConnection(port)
    for viewer in viewers:
        for before in (None, viewer.deep):
            status, body = client.exchange(viewer.page(before))
            shown = [int(post["id"]) for post in json.loads(body)["results"]] if status == 200 else []
            in_order = all(newer > older for newer, older in pairwise(shown))
            wrong += not (in_order and shown == seeding.expected_post_ids(viewer.pk, before or MAX_ID, DEFAULT_LIMIT))
    client.close()
    return wrong


def _result(size: Size, scenarios: dict[str, Scenario], wrong: int) -> Result:
    figures: dict[str, float] = {"viewers": 2 * size.viewers, "rounds": size.rounds}
    for name, scenario in scenarios.items():
        figures[f"{name}_requests_per_s"] = scenario.rate
        figures[f"{name}_p50_ms"] = scenario.latency(50)
        figures[f"{name}_p99_ms"] = scenario.latency(99)
        figures |= scenario.usage.figures(scenario.count, f"{name}_")
    answers = [answers for scenario in scenarios.values() for answers in scenario.rounds]
    markers = [count for each in answers for count in each.markers]
    figures["client_cpu_ms"] = 1000 * sum(each.cpu_seconds for each in answers) / len(markers)
    figures["host_steal_percent"] = cpu.steal_percent(scenario.usage for scenario in scenarios.values())
    figures["load_average"] = load_average()
    return Result(
        "feed_read",
        figures,
        ratios={
            "push_only": _ratio(scenarios["push_only"], scenarios["yardstick"]),
            "hybrid": _ratio(scenarios["hybrid"], scenarios["yardstick"]),
            "push_only_to_bare": _ratio(scenarios["push_only"], scenarios["bare"]),
            "hybrid_to_bare": _ratio(scenarios["hybrid"], scenarios["bare"]),
        },
        checks={
            "errors": sum(each.count_others(200) for each in answers),
            "short_pages": sum(count != DEFAULT_LIMIT for count in markers),
            "pages_not_as_in_sql": wrong,
        },
        targets=TARGETS,
    )


def _ratio(measured: Scenario, yardstick: Scenario) -> float:
    pairs = zip(measured.rounds, yardstick.rounds, strict=True)
    return median(ours.rate / theirs.rate for ours, theirs in pairs)
