"""Measure pages whose posts are pulled from PostgreSQL when they are read, and the same pages made by others.

Over HTTP, one request at a time: cold pages, whose home timeline and visible authors are gone from Redis, and pages
whose celebrities' timelines are gone. In one process, without a web server: the first page and one far below it, made
by the project, by plain pull in the ORM, and by django-activity-stream (benchmarks/rivals). Then the site grows: many
more authors and posts, but the same viewers and followees. Every page is compared with SQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from random import Random

from accounts import sessions
from accounts.models import User
from benchmarks import cpu, pull_rows, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import CpuMeter, Usage
from benchmarks.harness import Stack, WebServer, load_average, log
from benchmarks.http_client import HOST
from benchmarks.page_makers import (
    HttpMaker,
    Maker,
    ProcessMaker,
    Tally,
    Viewer,
    project_page,
    rival_page,
)
from benchmarks.page_process import serve
from benchmarks.results import BenchmarkError, Result
from feeds import timeline_store, visible_authors
from instafeed.core.api.pagination.cursors import DEFAULT_LIMIT
from instafeed.core.cache import keys
from instafeed.core.db.snowflake import MAX_ID

WORKERS = 2  # as the embedded stack
RIVALS = ("orm", "activity_stream")
TARGETS = {"cold_http_p99_ms": "< 100", "celebrities_http_p99_ms": "< 20"}


@dataclass(frozen=True)
class Size:
    authors: int
    celebrities: int  # all viewers follow all of them
    fewest_posts: int  # of an author
    most_posts: int
    readers: int  # viewers with many followees, for cold pages
    reader_followees: int  # besides the celebrities
    fans: int  # viewers with fewer followees, for all other pages
    fan_followees: int  # besides the celebrities
    depth: int  # how many posts a deep page is below the top
    rounds: int
    growth: int  # times as many authors and posts
    idle_seconds: float  # in which the CPU time of the idle servers is measured


FULL = Size(1_200, 20, 50, 500, 40, 1_000, 40, 180, 700, 8, 10, cpu.IDLE_SECONDS)
QUICK = Size(60, 4, 50, 100, 3, 50, 3, 16, 700, 1, 2, 0.5)


@dataclass(frozen=True)
class Kind:
    """A kind of page: whose, which, and what is deleted from Redis before each request."""

    viewers: Sequence[Viewer]
    is_deep: bool = False
    evict: Callable[[Viewer], None] = lambda viewer: None

    def expected(self, viewer: Viewer) -> list[int]:
        return viewer.deep if self.is_deep else viewer.first


@dataclass
class Checks:
    errors: int = 0
    pages_not_as_in_sql: int = 0
    pages_unlike_the_projects: int = 0  # other content of the same posts


def run(stack: Stack, *, quick: bool) -> Result:
    if find_spec("actstream") is None:
        raise BenchmarkError("django-activity-stream is missing: .venv/bin/pip install -c constraints.txt '.[bench]'")
    size = QUICK if quick else FULL
    checks = Checks()
    figures: dict[str, float] = {}
    ratios: dict[str, float] = {}
    usages: list[Usage] = []
    site = stack.web(WORKERS)
    with _makers(site) as makers:
        meter = stack.cpu_meter(web=[site], idle_seconds=size.idle_seconds)
        kinds = _seed(size)
        for suffix in ("", "_grown"):
            if suffix:
                log(f"{size.growth} times as many authors and posts")
                _grow(size)
            tallies = _measure(meter, size, makers, kinds, checks)
            for name, tally in tallies.items():
                figures |= tally.figures(f"{name}{suffix}_")
            ratios |= {f"{name}{suffix}": ratio for name, ratio in _ratios(tallies).items()}
            usages += [tally.usage for tally in tallies.values()]
    figures |= {"host_steal_percent": cpu.steal_percent(usages), "load_average": load_average()}
    return Result("pull", figures, ratios, checks=vars(checks), targets=TARGETS)


@contextmanager
def _makers(site: WebServer) -> Iterator[dict[str, Maker]]:
    """Yield the makers by name, in the order of a round. The project over HTTP is `http`, in a process `project`."""
    with ExitStack() as processes:
        url = f"http://{HOST}:{site.port}"  # as the web server's
        project = processes.enter_context(ChildProcess(serve, "instafeed.settings", url, ""))
        rivals = processes.enter_context(ChildProcess(serve, "benchmarks.rivals.settings", url, "actstream"))
        for process in (project, rivals):
            process.receive()
        yield {
            "http": HttpMaker(site.port),
            "project": ProcessMaker(project, project_page),
            **{name: ProcessMaker(rivals, rival_page(name)) for name in RIVALS},
        }


def _seed(size: Size) -> dict[str, Kind]:
    """Create users, follows and posts. Return the kinds of pages by name."""
    rng = Random(31)
    log(f"{size.authors + size.celebrities:,} authors with {size.fewest_posts} to {size.most_posts} posts each")
    authors = seeding.create_users("author", size.authors)
    celebrities = seeding.create_users("celebrity", size.celebrities, celebrity=True)
    readers, fans = seeding.create_users("reader", size.readers), seeding.create_users("fan", size.fans)
    seeding.create_follows(_edges(rng, readers, authors, size.reader_followees, celebrities))
    seeding.create_follows(_edges(rng, fans, authors, size.fan_followees, celebrities))
    batch = pull_rows.create_posts([*authors, *celebrities], size.fewest_posts, size.most_posts)
    pull_rows.create_pictures()
    pull_rows.create_actions(batch)
    pull_rows.create_action_follows()
    pull_rows.update_statistics()
    celebrity_keys = [key for celebrity in celebrities for key in keys.author_timelines(celebrity.pk)]
    fan_viewers = [_viewer(user, size.depth) for user in fans]
    return {
        "first": Kind(fan_viewers),
        "deep": Kind(fan_viewers, is_deep=True),
        "celebrities": Kind(fan_viewers, evict=lambda viewer: timeline_store.evict(celebrity_keys)),
        # What a follow or an unfollow deletes: the home timeline and the visible authors.
        "cold": Kind(
            [_viewer(user, size.depth) for user in readers],
            evict=lambda viewer: timeline_store.evict(visible_authors.home_timeline_keys([viewer.pk])),
        ),
    }


def _edges(
    rng: Random, viewers: list[User], authors: list[User], followees: int, celebrities: list[User]
) -> Iterator[tuple[User, User]]:
    for viewer in viewers:
        for author in (*rng.sample(authors, followees), *celebrities):
            yield viewer, author


def _viewer(user: User, depth: int) -> Viewer:
    cursor = seeding.expected_post_ids(user.pk, MAX_ID, depth)[-1]
    first, deep = (seeding.expected_post_ids(user.pk, before, DEFAULT_LIMIT) for before in (MAX_ID, cursor))
    return Viewer(user.pk, sessions.start(user).access, first, deep, cursor)


def _grow(size: Size) -> None:
    """Add authors with posts whom no viewer follows."""
    strangers = seeding.create_users("stranger", (size.growth - 1) * (size.authors + size.celebrities))
    batch = pull_rows.create_posts(strangers, size.fewest_posts, size.most_posts)
    pull_rows.create_actions(batch)
    pull_rows.update_statistics()


def _measure(
    meter: CpuMeter, size: Size, makers: dict[str, Maker], kinds: dict[str, Kind], checks: Checks
) -> dict[str, Tally]:
    """Make all kinds of pages in all ways, alternating. The first round only warms up."""
    pairs = [(name, maker) for name in kinds for maker in makers if name in ("first", "deep") or maker not in RIVALS]
    tallies = {pair: Tally() for pair in pairs}
    log(f"{size.rounds} rounds of {len(pairs)} slices")
    for number in range(size.rounds + 1):
        shown: dict[tuple[str, int], object] = {}
        for name, maker in pairs:
            kind, tally = kinds[name], tallies[name, maker] if number else Tally()
            with meter.measure(tally.usage):
                pages = [(viewer, _make(kind, makers[maker], viewer, tally)) for viewer in kind.viewers]
            for viewer, body in pages:
                _check(body, kind.expected(viewer), shown, (name, viewer.pk), checks)
    return {f"{name}_{maker}": tally for (name, maker), tally in tallies.items()}


def _make(kind: Kind, maker: Maker, viewer: Viewer, tally: Tally) -> bytes | None:
    kind.evict(viewer)
    made = maker.make(viewer, viewer.cursor if kind.is_deep else None)
    tally.add(made)
    return made.body


def _check(
    body: bytes | None,
    expected: list[int],
    shown: dict[tuple[str, int], object],
    page: tuple[str, int],
    checks: Checks,
) -> None:
    """Compare a page with SQL and with the first way in which it was made in this round."""
    if body is None:
        checks.errors += 1
        return
    posts = json.loads(body)["results"]
    checks.pages_not_as_in_sql += [int(post["id"]) for post in posts] != expected
    checks.pages_unlike_the_projects += shown.setdefault(page, posts) != posts


def _ratios(tallies: dict[str, Tally]) -> dict[str, float]:
    """Return how many times as long as the project a rival takes, and a cold page as long as a warm first one."""
    ratios = {
        f"{name}_{rival}": tallies[f"{name}_{rival}"].p50 / tallies[f"{name}_project"].p50
        for name in ("first", "deep")
        for rival in RIVALS
    }
    return ratios | {"cold_to_first": tallies["cold_http"].p50 / tallies["first_http"].p50}
