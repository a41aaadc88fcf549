"""Pages of posts of one user, which are read from replicas, with one replica and with two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import open_loop
from benchmarks.cache_scaling import busiest_share
from benchmarks.capacity_model import HOST, throughput
from benchmarks.child_process import ChildProcess
from benchmarks.cpu import LEAST_COST, CpuMeter, Usage, free_cores
from benchmarks.harness import Stack, log
from benchmarks.open_loop import Request, Schedule
from benchmarks.results import Result
from instafeed.devstack.postgres import Replica

REPLICAS = (1, 2)
WORKERS = 2  # processes of the web server
CONNECTIONS = 16  # of the closed loop


@dataclass(frozen=True)
class Size:
    rate: int  # requests/s that tell what a request costs
    requests: int  # as many, and then as many as fast as they are answered
    idle_seconds: float


@dataclass(frozen=True)
class Cost:
    """What a request costs with some replicas, in CPU ms by part: `replica1`, `replica2` are the servers."""

    cost: dict[str, float]
    rate: float  # requests/s of the closed loop
    free: float  # cores for it
    refused: int  # answered with 503, as the machine is too busy: the costs are too low
    errors: int

    @property
    def replicas(self) -> list[float]:
        return [max(0.0, ms) for part, ms in self.cost.items() if part.startswith("replica")]


def run(stack: Stack, size: Size, requests: Sequence[bytes]) -> Result:
    """Send these requests. The second replica stays in the stack."""
    costs = {}
    for count in REPLICAS:
        while len(stack.services.replicas) < count:
            replica = Replica(stack.services.primary, len(stack.services.replicas) + 1)
            stack.start(replica)
            stack.services.replicas.append(replica)  # before the web server starts, whose settings name the replicas
        log(f"{count} replicas")
        costs[count] = _measure(stack, size, requests)
    return _result(costs)


def _measure(stack: Stack, size: Size, requests: Sequence[bytes]) -> Cost:
    services = stack.services
    site = stack.web(WORKERS)
    replicas = {f"replica{number}": [server] for number, server in enumerate(services.replicas, 1)}
    with ChildProcess(open_loop.serve, site.port, WORKERS) as client:
        count = size.requests
        pages = [Request("list", requests[number % len(requests)]) for number in range(count)]
        warm_up = open_loop.run(client, Schedule(pages, 0))  # fills caches, opens connections to all replicas
        meter = CpuMeter(
            {"web": [site], "cache": services.cache_servers, "primary": [services.primary], **replicas},
            idle_seconds=size.idle_seconds,
        )
        steady, fast = Usage(), Usage()
        with meter.measure(steady):
            answers = open_loop.run(client, Schedule(pages, size.rate))
        with meter.measure(fast):
            closed = open_loop.run(client, Schedule(pages, 0, connections=CONNECTIONS))
    site.stop()
    cost = {part: max(LEAST_COST, 1000 * seconds / count) for part, seconds in steady.seconds.items()}
    cost["generator"] = 1000 * answers.cpu_seconds / count
    rate = len(closed.with_status(200)) / closed.seconds
    runs = (warm_up, answers, closed)
    refused = sum(each.statuses.count(503) for each in runs)
    errors = sum(each.count_others(200, 503) for each in runs)
    return Cost(cost, rate, free_cores(fast, closed.cpu_seconds), refused, errors)


def _predict(one: Cost, count: int, free: float) -> float:
    """Return the requests/s with `count` replicas and `free` cores, by what a request costs with one replica."""
    return throughput(one.cost, {HOST: free, "web": WORKERS, "cache": 1, "replica1": count * free}).at


def _result(costs: dict[int, Cost]) -> Result:
    result = Result("replicas", checks={"list_errors": sum(each.errors for each in costs.values())})
    one = costs[1]
    for count, each in costs.items():
        predicted = _predict(one, count, each.free)
        result.figures |= {
            f"list_web_us_{count}": 1000 * each.cost["web"],
            f"list_primary_us_{count}": 1000 * max(0.0, each.cost["primary"]),
            f"list_replicas_us_{count}": 1000 * sum(each.replicas),
            f"list_busiest_share_{count}": busiest_share(each.replicas),
            f"list_per_s_{count}": each.rate,
            f"list_predicted_per_s_{count}": predicted,
            f"list_refused_{count}": each.refused,
        }
        result.ratios[f"list_predicted_{count}"] = predicted / each.rate
    result.ratios["list_cpu_2"] = costs[2].cost["web"] / one.cost["web"]
    return result
