"""Open streams in one process: their memory, the cost of holding them, and how soon they announce a post.

2,000 users follow a celebrity, whose posts are pulled, and each of them one of twenty ordinary authors. Another process
holds the clients. A latency counts from the commit of the post to the arrival of the event, through a fan-out worker.
The yardstick is the read that an event needs at least: `timeline.count_newer` on a warm feed, in this process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil
from django.db import transaction

from accounts import sessions
from accounts.models import User
from benchmarks import process_memory, seeding, stream_clients
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import CpuMeter, Usage
from benchmarks.harness import Stack, load_average, log
from benchmarks.results import Result, percentile
from benchmarks.stream_clients import Arrival
from feeds import timeline
from instafeed.devstack.ports import free_port
from instafeed.devstack.programs import Stream
from posts.services import create_post

ORDINARY_AUTHORS = 20
YARDSTICK_READS = 200
TARGETS = {"stream_rss_mb": "< 200", "pushed_p99_ms": "< 1,000", "pulled_p99_ms": "< 3,000", "idle_cpu_percent": "< 10"}


@dataclass(frozen=True)
class Size:
    streams: int
    posts: int  # of ordinary authors
    pulled_posts: int
    idle_seconds: float


FULL = Size(streams=2_000, posts=40, pulled_posts=5, idle_seconds=120)
QUICK = Size(streams=40, posts=4, pulled_posts=2, idle_seconds=3)


@dataclass
class Announced:
    """The events about some posts."""

    latencies_ms: list[float]
    usage: Usage
    wrong: int  # streams whose events do not announce exactly the posts that they should

    def figures(self, name: str) -> dict[str, float]:
        return {
            f"{name}_p50_ms": percentile(self.latencies_ms, 50),
            f"{name}_p99_ms": percentile(self.latencies_ms, 99),
            f"{name}_cpu_ms": 1000 * self.usage.seconds["stream"] / max(1, len(self.latencies_ms)),
        }


@dataclass
class StreamBench:
    clients: ChildProcess
    meter: CpuMeter
    readers: Sequence[User]

    def announce(self, author: User, listeners: Sequence[int], posts: int) -> Announced:
        """Create posts one after the other, each when all `listeners`, by index, know the one before."""
        usage, latencies, wrong = Usage(), list[float](), 0
        for _ in range(posts):
            with self.meter.measure(usage):
                committed = _post(author)
                self.clients.send(("collect", len(listeners)))
                arrivals: list[Arrival] = self.clients.receive()
            latencies += (1000 * (arrival.at - committed) for arrival in arrivals)
            announced = [arrival.stream for arrival in arrivals for _ in range(arrival.posts)]
            wrong += len(set(announced) ^ set(listeners)) + len(announced) - len(set(announced))
            time.sleep(1.1)  # a viewer is read at most once a second
        return Announced(latencies, usage, wrong)


def run(stack: Stack, *, quick: bool) -> Result:
    size = QUICK if quick else FULL
    log(f"{size.streams:,} users")
    readers, authors, celebrity = _seed(size)
    tokens = [sessions.start(user).access for user in readers]
    stack.fan_out_worker()
    port = free_port()
    server = Stream(stack.services.layout, stack.services.environment, port, web_port=port)
    stack.start(server)
    empty = process_memory.read(psutil.Process(server.pid))
    with ChildProcess(stream_clients.serve, port) as clients:
        log(f"opening {size.streams:,} streams")
        opening, started = Usage(), time.monotonic()
        meter = CpuMeter({"stream": [server]}, idle_seconds=1.0)
        with meter.measure(opening):
            clients.send(("open", tokens))
            clients.receive(timeout=300)
        opened = time.monotonic() - started
        log(f"idle for {size.idle_seconds:.0f} s")
        held = CpuMeter({"stream": [server]}, idle_seconds=size.idle_seconds)
        bench = StreamBench(clients, held, readers)
        log("posts")
        pushed = [
            bench.announce(author, range(number, len(readers), len(authors)), size.posts // len(authors))
            for number, author in enumerate(authors)
        ]
        pulled = bench.announce(celebrity, range(len(readers)), size.pulled_posts)
        full = process_memory.read(psutil.Process(server.pid))
        clients.send(("count", 0))
        still_open: int = clients.receive()
    read_ms = _read_cpu_ms(readers)
    all_pushed = Announced(
        [latency for one in pushed for latency in one.latencies_ms],
        Usage({"stream": sum(one.usage.seconds["stream"] for one in pushed)}),
        sum(one.wrong for one in pushed),
    )
    return Result(
        "streams",
        {
            "streams": len(readers),
            **full.figures("stream"),
            "kb_per_stream": 1024 * max(0.0, full.rss - empty.rss) / len(readers),
            "open_cpu_ms": 1000 * opening.seconds["stream"] / len(readers),
            "open_seconds": opened,
            "idle_cpu_percent": 100 * max(0.0, held.idle["stream"]),
            **all_pushed.figures("pushed"),
            **pulled.figures("pulled"),
            "read_cpu_ms": read_ms,
            "load_average": load_average(),
        },
        ratios={"pulled_cpu_to_read": max(1e-9, pulled.figures("pulled")["pulled_cpu_ms"]) / read_ms},
        checks={
            "pushed_wrong": all_pushed.wrong,
            "pulled_wrong": pulled.wrong,
            "streams_lost": len(readers) - still_open,
        },
        targets=TARGETS,
    )


def _seed(size: Size) -> tuple[list[User], list[User], User]:
    """Create readers, ordinary authors, of whom reader n follows the (n modulo their number)-th, and a celebrity."""
    readers = seeding.create_users("reader", size.streams)
    authors = seeding.create_users("author", min(ORDINARY_AUTHORS, size.posts))
    (celebrity,) = seeding.create_users("celebrity", 1, celebrity=True)
    seeding.create_follows((reader, celebrity) for reader in readers)
    seeding.create_follows((reader, authors[n % len(authors)]) for n, reader in enumerate(readers))
    return readers, authors, celebrity


def _post(author: User) -> float:
    """Create a post and return the time of its commit."""
    committed: list[float] = []
    with transaction.atomic():
        transaction.on_commit(lambda: committed.append(time.time()))
        create_post(author.pk, seeding.CAPTION)
    return committed[0]


def _read_cpu_ms(readers: Sequence[User]) -> float:
    """Return the median CPU time of a count of new posts."""
    times = []
    for reader in readers[:YARDSTICK_READS]:
        before = time.process_time()
        timeline.count_newer(reader.pk, 1, 100)
        times.append(1000 * (time.process_time() - before))
    return median(times)
