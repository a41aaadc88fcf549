"""An open loop: requests leave at their times, however slow the answers before them are.

A client that waits for an answer before it asks again measures a slow server kindly. Here a request's latency
counts from the moment it was due. (Gil Tene's "coordinated omission".)
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
    """Send each of `requests` once, `rate` a second; all at once if that is 0."""

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
    began = time.perf_counter() + 0.05
    waiting = enumerate(schedule.requests)
    threads = [Thread(target=_work, args=(client, waiting, lock, began, schedule.rate, outcome)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.rate = len(outcome.latencies) / (time.perf_counter() - began)
    return outcome


def _work(
    client: HttpConnection,
    waiting: Iterator[tuple[int, bytes]],
    lock: Lock,
    began: float,
    rate: float,
    outcome: Outcome,
) -> None:
    try:
        while True:
            with lock:
                number, request = next(waiting, (-1, b""))
            if number < 0:
                return
            due = began + (number / rate if rate else 0)
            time.sleep(max(0.0, due - time.perf_counter()))
            status, _ = client.exchange(request)
            outcome.latencies.append((time.perf_counter() - due) * 1000)
            outcome.errors += status != 200
    except OSError:
        outcome.errors += 1
