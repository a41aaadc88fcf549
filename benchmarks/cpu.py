"""The CPU time that each part of the stack uses: the web server, the worker, Redis, PostgreSQL.

Every process of a part counts, also those that end meanwhile, such as PostgreSQL's backends: the kernel adds the times
of an ended child to its parent's. What the part uses while nothing happens is measured before and subtracted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median

import psutil

from instafeed.devstack.child_process import Child, process_tree
from instafeed.devstack.state import ProcessIdentity

IDLE_SECONDS = 5.0
IDLE_WINDOWS = 5
# Milliseconds. Ratios need some, and a short block may use less than the parts use while idle.
LEAST_COST = 1e-6


@dataclass
class Usage:
    """CPU seconds by part, without the cost of idling, over one block or several."""

    seconds: dict[str, float] = field(default_factory=dict)
    elapsed: float = 0.0  # seconds
    stolen: float = 0.0  # CPU seconds that the host of this virtual machine did not give to it
    busy: float = 0.0  # CPU seconds of all processes of this machine

    def figures(self, count: int, prefix: str = "") -> dict[str, float]:
        """Return `cpu_<part>_ms`, the milliseconds for each of `count` requests, at least LEAST_COST."""
        return {f"{prefix}cpu_{part}_ms": max(LEAST_COST, 1000 * value / count) for part, value in self.seconds.items()}


class CpuMeter:
    """Measure blocks of a benchmark. `parts` are the programs of each part, which must be running."""

    def __init__(self, parts: Mapping[str, Sequence[Child]], *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._roots = {name: [ProcessIdentity.of(child.pid) for child in children] for name, children in parts.items()}
        self.idle: dict[str, float] = dict.fromkeys(parts, 0.0)  # CPU seconds in a second
        windows = [self._use(idle_seconds / IDLE_WINDOWS) for _ in range(IDLE_WINDOWS)]
        # Medians, as a program that has just started or a checkpoint may use much in one of them.
        self.idle = {name: median(usage.seconds[name] / usage.elapsed for usage in windows) for name in parts}

    @contextmanager
    def measure(self, usage: Usage) -> Iterator[None]:
        """Add what is used in the block to `usage`."""
        started, stolen, busy, before = time.monotonic(), _stolen(), _busy(), self._read()
        yield
        elapsed, after = time.monotonic() - started, self._read()
        usage.elapsed += elapsed
        usage.stolen += _stolen() - stolen
        usage.busy += _busy() - busy
        for name, idle in self.idle.items():
            used = after[name] - before[name] - idle * elapsed
            usage.seconds[name] = usage.seconds.get(name, 0.0) + used

    def _use(self, seconds: float) -> Usage:
        usage = Usage()
        with self.measure(usage):
            time.sleep(seconds)
        return usage

    def _read(self) -> dict[str, float]:
        return {name: sum(map(cpu_seconds, roots)) for name, roots in self._roots.items()}


def steal_percent(usages: Iterable[Usage]) -> float:
    """Return the stolen share of all CPUs during the blocks of these usages."""
    elapsed, stolen = map(sum, zip(*((usage.elapsed, usage.stolen) for usage in usages), strict=True))
    return 100 * stolen / (elapsed * (os.cpu_count() or 1))


def free_cores(usage: Usage, others: float = 0.0) -> float:
    """Return the cores that the measured parts, and `others` with these CPU seconds, had for themselves in the block.

    These are all cores without what other programs used, what the parts use while idle, and what the host took. They
    are at least a tenth of one: CPU times are counted in ticks of 10 ms, which may be more than a short block takes.
    """
    foreign = usage.busy - sum(usage.seconds.values()) - others + usage.stolen
    return max(0.1, (os.cpu_count() or 1) - foreign / usage.elapsed)


def cpu_seconds(root: ProcessIdentity) -> float:
    """Return the CPU seconds of a process and its descendants, also of those that have ended."""
    total = 0.0
    for process in process_tree(root):
        with suppress(psutil.NoSuchProcess, OSError):
            times = process.cpu_times()
            total += _process_clock(process.pid) + times.children_user + times.children_system
    return total


def _process_clock(pid: int) -> float:
    """Return the CPU seconds of a process with all its threads, or raise OSError after its end.

    psutil shows ticks of 10 ms, more than a short block uses. See clock_getcpuclockid(3) for this clock, which counts
    nanoseconds; the number is how Linux writes its id.
    """
    return time.clock_gettime((~pid << 3) | 2)


def _stolen() -> float:
    return psutil.cpu_times().steal


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq)
