"""A backlog of posts that one process delivers, and that two deliver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.capacity_model import HOST, throughput
from benchmarks.cpu import CpuMeter, free_cores
from benchmarks.deliveries import Backlog, Deliveries
from benchmarks.harness import Stack, log
from benchmarks.results import Result

PROCESSES = (1, 2)


@dataclass(frozen=True)
class Size:
    authors: int
    posts: int  # of each author in a round
    rounds: int
    idle_seconds: float


def run(stack: Stack, size: Size) -> Result:
    deliveries = Deliveries((1, 1_000_000), size.authors, size.posts)
    deliveries.warm_up()
    services, rounds = stack.services, {}
    for count in PROCESSES:
        log(f"{count} processes of the worker")
        worker = stack.fan_out_worker(count)
        deliveries.create([worker])
        deliveries.deliver([worker])  # the processes start and load modules
        meter = CpuMeter(
            {
                "worker": [worker],
                "cache": services.cache_servers,
                "broker": [services.broker],
                "primary": [services.primary],
                "replica": services.replicas,
            },
            idle_seconds=size.idle_seconds,
        )
        rounds[count] = [deliveries.run([worker], meter) for _ in range(size.rounds)]
        worker.stop()
    return _result(rounds, deliveries.missing)


def _predict(one: Sequence[Backlog], count: int, measured: Sequence[Backlog]) -> float:
    """Return the deliveries/s of `count` processes, by what a delivery costs with one of them."""
    free = mean(free_cores(each.usage) for each in measured)
    return throughput(_cost(one), {HOST: free, "worker": count, "cache": 1}, waiting=["worker"]).at


def _result(rounds: Mapping[int, Sequence[Backlog]], missing: int) -> Result:
    result = Result("workers", checks={"deliveries_missing": missing})
    for count, each in rounds.items():
        cost, predicted = _cost(each), _predict(rounds[1], count, each)
        rate = sum(one.deliveries for one in each) / sum(one.usage.elapsed for one in each)
        result.figures |= {
            f"fan_out_worker_us_{count}": 1000 * cost["worker"],
            f"fan_out_servers_us_{count}": 1000 * (sum(cost.values()) - cost["worker"]),
            f"fan_out_per_s_{count}": rate,
            f"fan_out_predicted_per_s_{count}": predicted,
        }
        result.ratios[f"fan_out_predicted_{count}"] = predicted / rate
    result.ratios["fan_out_cpu_2"] = _cost(rounds[2])["worker"] / _cost(rounds[1])["worker"]
    return result


def _cost(rounds: Sequence[Backlog]) -> dict[str, float]:
    """Return the CPU milliseconds for a delivery by part; a nanosecond at least, as a ratio needs some."""
    deliveries = sum(each.deliveries for each in rounds)
    parts = rounds[0].usage.seconds
    return {part: max(1e-6, 1000 * sum(each.usage.seconds[part] for each in rounds) / deliveries) for part in parts}
