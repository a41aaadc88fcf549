"""Run database code on several threads at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from django.db import connection


def run_concurrently(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run each call in its own thread, started together. Return their results or the exceptions that they raised."""
    start = Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            start.wait(timeout=30)
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
