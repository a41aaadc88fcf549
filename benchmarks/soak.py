"""Ten minutes of everything at once on the whole stack, with faults: how late are posts, and is all right in the end?

Clients in a closed loop read feeds, post, like, comment and follow without pauses, so both cores of a small machine
are saturated. Every 20 seconds something fails: a worker or beat is killed, a Redis or PostgreSQL hangs for two
seconds. `visible_*` is the time from the creation of a post to the end of its fan-out, by the database's clock. When
the load has ended, a post every half second shows how soon posts are fast again.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO
from random import Random

from django.core.management import call_command
from django.utils import timezone

from accounts import sessions
from accounts.models import User
from benchmarks import mixed_load, seeding
from benchmarks.child_process import ChildProcess
from benchmarks.drain import delivery_delays
from benchmarks.harness import Stack, load_average, log, wait_for
from benchmarks.mixed_load import Caller, MixedLoad, Tally
from benchmarks.results import Result, percentile
from feeds.models import FanOut
from instafeed.core.jobs.leased import UNFINISHED
from instafeed.devstack.child_process import Child
from instafeed.devstack.ports import free_port
from instafeed.devstack.programs import Beat, Web, workers
from instafeed.devstack.supervisor import Supervisor
from posts.services import create_post

CLIENTS = 6
HANG_SECONDS = 2.0
TARGETS = {"visible_p99_ms": "< 5,000", "after_10_s_worst_ms": "< 1,000"}


@dataclass(frozen=True)
class Size:
    users: int
    follows: int  # of each user
    seconds: float
    fault_interval: float
    calm_seconds: float  # after the load


FULL = Size(users=300, follows=20, seconds=600, fault_interval=20, calm_seconds=20)
QUICK = Size(users=20, follows=5, seconds=15, fault_interval=5, calm_seconds=11)


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{size.users} users who follow {size.follows} others each")
    users = _seed(size)
    with _site(stack) as site:
        callers = [Caller(user.username, sessions.start(user).access) for user in users]
        log(f"{CLIENTS} clients for {size.seconds:.0f} s, a fault every {size.fault_interval:.0f} s")
        began = timezone.now()
        with ChildProcess(mixed_load.serve, site.port) as client:
            client.send(MixedLoad(callers, size.seconds, CLIENTS))
            faults = site.fail_for(size.seconds, size.fault_interval)
            tally: Tally = client.receive(timeout=120)
        ended = timezone.now()
        log("after the load")
        _post_slowly(users, size.calm_seconds)
        wait_for(
            lambda: not FanOut.objects.filter(state__in=UNFINISHED).exists(), timeout=60, every=0.1, what="the fan-out"
        )
        wrong = _count_wrong_feeds()
    loaded, calm = _delays(began, ended), _delays(ended + timedelta(seconds=10), None)
    return Result(
        "soak",
        {
            "seconds": size.seconds,
            "faults": faults,
            "requests_per_s": tally.requests / size.seconds,
            "posts_per_s": len(loaded) / size.seconds,
            "refused": tally.unavailable,
            "visible_p50_ms": percentile(loaded, 50),
            "visible_p99_ms": percentile(loaded, 99),
            "visible_worst_ms": max(loaded, default=0.0),
            "after_10_s_worst_ms": max(calm, default=0.0),
            "load_average": load_average(),
        },
        checks={"server_errors": tally.errors, "feeds_wrong": wrong},
        targets=TARGETS,
    )


def _seed(size: Size) -> list[User]:
    rng = Random(13)
    users = seeding.create_users("user", size.users)
    seeding.create_follows(
        (user, other)
        for user in users
        for other in rng.sample(users, size.follows + 1)[: size.follows]
        if other != user
    )
    return users


@contextmanager
def _site(stack: Stack) -> Iterator[Site]:
    """Run the web server, the workers and beat, and restart what dies, as `manage.py stack` does."""
    site = Site(stack)
    try:
        yield site
    finally:
        site.stop()


class Site:
    def __init__(self, stack: Stack) -> None:
        self.port = free_port()
        layout, environment = stack.services.layout, stack.services.environment
        site = Web(layout, environment, self.port, 2)
        programs = (site, *workers(layout, environment, self.port, 2), Beat(layout, environment))
        for program in programs:
            stack.start(program)
        self._children: dict[str, Child] = {child.name: child for child in (*stack.services.children, *programs)}
        self._supervisor = Supervisor(
            [*self._children.values()], chores=[replica.mend for replica in stack.services.replicas]
        )
        self._changing, self._stopping = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._supervise)
        self._thread.start()

    def fail_for(self, seconds: float, interval: float) -> int:
        """Let one thing after another fail. Return how many."""
        ends = time.monotonic() + seconds
        for number, fail in enumerate(itertools.cycle(self._faults())):
            if time.monotonic() + interval > ends:
                time.sleep(max(0.0, ends - time.monotonic()))
                return number
            time.sleep(interval)
            fail()
        raise AssertionError

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _faults(self) -> list[Callable[[], None]]:
        return [
            lambda: self._kill("worker-fan-out"),
            lambda: self._hang("cache"),
            lambda: self._kill("worker"),
            lambda: self._hang("broker"),
            lambda: self._kill("beat"),
            lambda: self._hang("primary"),
            lambda: self._hang("replica"),
        ]

    def _kill(self, name: str) -> None:
        with self._changing:
            self._children[name].kill()

    def _hang(self, name: str) -> None:
        child = self._children[name]
        child.pause()
        try:
            time.sleep(HANG_SECONDS)
        finally:
            child.resume()

    def _supervise(self) -> None:
        while not self._stopping.wait(0.1):
            with self._changing:
                self._supervisor.tick()


def _post_slowly(users: list[User], seconds: float) -> None:
    ends = time.monotonic() + seconds
    for user in itertools.cycle(users):
        if time.monotonic() > ends:
            return
        create_post(user.pk, "is it fast again?")
        time.sleep(0.5)


def _delays(since: datetime, until: datetime | None) -> list[float]:
    """Return how long posts of this time took to be visible, in ms."""
    rows = FanOut.objects.filter(created_at__gte=since)
    if until is not None:
        rows = rows.filter(created_at__lt=until)
    return delivery_delays(rows)


def _count_wrong_feeds() -> int:
    """Return 1 if `verify_feeds` finds a feed that differs from the database."""
    try:
        call_command("verify_feeds", stdout=StringIO())
    except SystemExit as error:
        return int(bool(error.code))
    return 0
