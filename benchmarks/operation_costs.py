"""What operations cost: the CPU time of each part, WAL, and what Redis sends. By the names of `capacity_model`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.cpu import CpuMeter, Usage
from benchmarks.disk_usage import wal_position
from benchmarks.harness import Stack, WebServer, Worker, wait_for
from instafeed.core.cache.client import get_client

Cost = Mapping[str, float]  # of one operation: `cpu_<part>_ms`, `wal_bytes`, `cache_sent_bytes`


@dataclass
class Sample:
    """What a number of operations used, over one block or several."""

    count: int = 0
    usage: Usage = field(default_factory=Usage)
    wal: int = 0  # bytes
    cache_sent: int = 0  # bytes

    @property
    def cost(self) -> Cost:
        each = {f"cpu_{part}_ms": 1000 * seconds / self.count for part, seconds in self.usage.seconds.items()}
        return each | {"wal_bytes": self.wal / self.count, "cache_sent_bytes": self.cache_sent / self.count}


class CostMeter:
    """Measure blocks of operations. All programs must be running, and nothing may happen while it is made."""

    def __init__(self, stack: Stack, web: WebServer, fan_out: Worker, notifications: Worker, idle: float) -> None:
        services = stack.services
        self._cpu = CpuMeter(
            {
                "web": [web],
                "fan_out": [fan_out],
                "notifications": [notifications],
                "cache": services.cache_servers,
                "broker": [services.broker],
                "primary": [services.primary],
                "replica": services.replicas,
            },
            idle_seconds=idle,
        )
        self._replicas = [replica.connect() for replica in services.replicas]
        self.samples: dict[str, Sample] = {}

    @contextmanager
    def measure(self, name: str, count: int) -> Iterator[None]:
        """Add to the sample `name` what the block and its replay on the replicas use, for `count` operations."""
        sample = self.samples.setdefault(name, Sample())
        wal, sent = wal_position(), _cache_sent()
        with self._cpu.measure(sample.usage):
            yield
            self._wait_for_replay()
        sample.count += count
        sample.wal += wal_position() - wal
        sample.cache_sent += _cache_sent() - sent

    def cost(self, name: str) -> Cost:
        return self.samples[name].cost

    def close(self) -> None:
        for connection in self._replicas:
            connection.close()

    def _wait_for_replay(self) -> None:
        position = wal_position()
        query = "SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn >= %s"
        wait_for(
            lambda: all(connection.execute(query, [position]).fetchone() == (True,) for connection in self._replicas),
            timeout=60,
            every=0.05,
            what="the replay of the WAL",
        )


def subtract(cost: Cost, other: Cost, times: float = 1.0) -> Cost:
    """Return a cost without `times` another one."""
    return {name: value - times * other[name] for name, value in cost.items()}


def divide(cost: Cost, by: float) -> Cost:
    return {name: value / by for name, value in cost.items()}


def figures(operation: str, cost: Cost) -> dict[str, float]:
    """Return the figures of an operation, without what it does not use. Noise may make a difference negative."""
    return {f"{operation}_{name}": value for name, value in cost.items() if value > 0}


def _cache_sent() -> int:
    sent: int = get_client().info("stats")["total_net_output_bytes"]
    return sent
