"""Generate load in an open loop: requests are sent on schedule, however slow earlier responses are.

A client that waits for a response before its next request understates the latency of a slow server (Gil Tene's
"coordinated omission"). Here the latency of a request counts from its scheduled time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from threading import Lock, Thread

from benchmarks.http_load import HttpConnection, Outcome

CONNECTIONS = 16


@dataclass(frozen=True)
class Schedule:
    """Requests to send once each, `rate` per second, or all immediately if that is 0."""

    requests: Sequence[bytes]
    rate: float


def serve(pipe: Pipe, port: int, connections: int) -> None:
    """For `Remote`: runs every schedule it is sent."""
    clients = [HttpConnection(port) for _ in range(connections)]
    pipe.send(connections)
    while True:
        schedule: Schedule = pipe.recv()
        pipe.send(run(clients, schedule))


def run(clients: Sequence[HttpConnection], schedule: Schedule) -> Outcome:
    outcome, lock = Outcome(), Lock()
    started = time.perf_counter() + 0.05
    waiting = enumerate(schedule.requests)
    threads = [
        Thread(target=_work, args=(client, waiting, lock, started, schedule.rate, outcome)) for client in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.rate = len(outcome.latencies) / (time.perf_counter() - started)
    return outcome


def _work(
    client: HttpConnection,
    waiting: Iterator[tuple[int, bytes]],
    lock: Lock,
    started: float,
    rate: float,
    outcome: Outcome,
) -> None:
    try:
        while True:
            with lock:
                number, request = next(waiting, (-1, b""))
            if number < 0:
                return
            due = started + (number / rate if rate else 0)
            time.sleep(max(0.0, due - time.perf_counter()))
            status, _ = client.exchange(request)
            outcome.latencies.append((time.perf_counter() - due) * 1000)
            outcome.errors += status != 200
    except OSError:
        outcome.errors += 1
