"""Run database code on several threads at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from typing import Any

from django.db import connection

from tests.support.eventually import TIMEOUT


def run_concurrently(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run each call in its own thread, started together. Return their results or the exceptions that they raised."""
    start = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            start.wait(TIMEOUT)
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def close_connection_after(call: Callable[..., Any], *arguments: object) -> Any:
    """Run `call(*arguments)` in a pool's thread and close that thread's database connection."""
    try:
        return call(*arguments)
    finally:
        connection.close()


@contextmanager
def repeated_in_threads(*calls: Callable[[], object]) -> Iterator[None]:
    """Repeat each call in a thread of its own during the block. Raise their errors."""
    done = Event()

    def repeat(call: Callable[[], object]) -> None:
        while not done.is_set():
            call()

    with ThreadPoolExecutor(len(calls)) as pool:
        threads = [pool.submit(close_connection_after, repeat, call) for call in calls]
        try:
            yield
        finally:
            done.set()
        for thread in threads:
            thread.result(TIMEOUT)
