"""Pages and deliveries on one Redis and on clusters, without web server and SQL.

The same viewers, posts and calls on each cache: `timeline.get_page` for warm first pages, and the pushes of a fan-out
to warm home timelines. One process alone tells what a call costs: a cluster splits calls over servers, so the client's
CPU time grows, and each server's share falls. Several processes tell how many calls a second the machine can do.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import cache_process
from benchmarks.cache_process import Work
from benchmarks.capacity_model import HOST, throughput
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import CpuMeter, Usage, cpu_seconds, free_cores
from benchmarks.harness import Stack, log, wait_for
from benchmarks.results import Result, percentile
from instafeed.devstack.child_process import stop_children
from instafeed.devstack.redis import CacheCluster, RedisServer
from instafeed.devstack.state import ProcessIdentity, StackLayout

KINDS = ("page", "delivery")


@dataclass(frozen=True)
class Size:
    clusters: tuple[int, ...]  # numbers of servers
    processes: int  # that share the calls


@dataclass(frozen=True)
class Cost:
    """What one kind of call took: of the client, and of each server."""

    calls: int
    latencies: list[float]  # ms
    client: float  # CPU seconds
    servers: list[float]  # CPU seconds
    rate: float  # calls/s of several processes
    predicted: float  # calls/s by the model
    faults: int

    @property
    def per_call(self) -> float:
        return self.client / self.calls

    def figures(self) -> dict[str, float]:
        return {
            "p50_ms": percentile(self.latencies, 50),
            "client_us": 1e6 * self.per_call,
            "servers_us": 1e6 * sum(self.servers) / self.calls,
            "busiest_share": busiest_share(self.servers),
            "per_s": self.rate,
            "predicted_per_s": self.predicted,
        }


def run(stack: Stack, size: Size, work: Work) -> Result:
    cache = stack.services.cache
    costs = {"one": _measure("one Redis", cache.url, [cache], work, size.processes)}
    for count in size.clusters:
        with _cluster(count, stack.services.broker.password) as cluster:
            costs[str(count)] = _measure(f"a cluster of {count}", cluster.url, cluster.servers, work, size.processes)
    return _result(costs)


def busiest_share(servers: Sequence[float]) -> float:
    """Return the part of the servers' CPU time that the busiest one has."""
    return max(servers) / sum(servers) if any(servers) else 1.0


@contextmanager
def _cluster(count: int, password: str) -> Iterator[CacheCluster]:
    with tempfile.TemporaryDirectory(prefix="instafeed-scale-") as directory:
        layout = StackLayout(Path(directory))
        layout.log.mkdir(parents=True)
        cluster = CacheCluster(count, layout, password)
        try:
            for server in cluster.servers:
                server.launch()
            for server in cluster.servers:
                wait_for(server.ready, timeout=30, every=0.05, what="a server of the cluster")
            cluster.form()
            wait_for(cluster.is_formed, timeout=60, every=0.05, what="the cluster")
            yield cluster
        finally:
            stop_children(cluster.servers)


def _measure(name: str, url: str, servers: list[RedisServer], work: Work, count: int) -> dict[str, Cost]:
    log(name)
    with ExitStack() as children:
        processes = [children.enter_context(ChildProcess(cache_process.serve, url)) for _ in range(count)]
        for process in processes:
            process.receive()
        for process in processes:
            process.send(("warm_up", replace(work, pages=1)))
        for process in processes:
            process.receive(600)
        return {kind: _measure_kind(kind, processes, servers, work) for kind in KINDS}


def _measure_kind(kind: str, processes: list[ChildProcess], servers: list[RedisServer], work: Work) -> Cost:
    before = _cpu_seconds(servers)
    processes[0].send((kind, work))
    calls, latencies, client, faults = processes[0].receive(600)
    used = [end - start for end, start in zip(_cpu_seconds(servers), before, strict=True)]

    meter, usage = CpuMeter({"cache": servers}, idle_seconds=0), Usage()
    with meter.measure(usage):
        started = time.monotonic()
        for number, process in enumerate(processes):
            process.send((kind, _part_of(work, kind, number, len(processes))))
        together = [process.receive(600) for process in processes]
        elapsed = time.monotonic() - started
    free = free_cores(usage, sum(each[2] for each in together))
    cost = {"client": 1000 * client / calls, "cache": 1000 * sum(used) / calls}
    limit = throughput(
        cost, {HOST: free, "client": len(processes), "cache": 1 / busiest_share(used)}, waiting=["client"]
    )
    rate = sum(each[0] for each in together) / elapsed
    return Cost(calls, latencies, client, used, rate, limit.at, faults + sum(each[3] for each in together))


def _part_of(work: Work, kind: str, number: int, count: int) -> Work:
    """Return what one of the processes does: the pages of some viewers, or pushes of some posts to all of them."""
    if kind == "page":
        return replace(work, viewer_ids=work.viewer_ids[number::count], expected={})
    return replace(work, pushes=max(1, work.pushes // count))


def _cpu_seconds(servers: list[RedisServer]) -> list[float]:
    return [cpu_seconds(ProcessIdentity.of(server.pid)) for server in servers]


def _result(costs: dict[str, dict[str, Cost]]) -> Result:
    result = Result("caches", checks={"wrong_pages_or_deliveries": 0})
    for name, by_kind in costs.items():
        for kind, cost in by_kind.items():
            result.figures |= {f"{kind}_{figure}_{name}": value for figure, value in cost.figures().items()}
            result.ratios[f"{kind}_predicted_{name}"] = cost.predicted / cost.rate
            if name != "one":
                result.ratios[f"{kind}_cpu_{name}"] = cost.per_call / costs["one"][kind].per_call
            result.checks["wrong_pages_or_deliveries"] += cost.faults
    return result
