"""A psycopg connection that never waits longer than a bound, for servers that may be frozen.

`statement_timeout` is kept by the server and TCP time-outs by its kernel: a stopped process (SIGSTOP, a
hung disk, a paused machine) honours neither, and a client waits for ever. So the client itself counts.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

CONNECT_TIMEOUT = 2  # seconds; psycopg and libpq know no shorter one
_CANCEL_GRACE = 0.5  # seconds for the server to cancel a slow statement itself, which keeps the connection


class TimeoutConnection(psycopg.Connection[Any]):
    """Every wait for the server ends in OperationalError after REPLICA_STATEMENT_TIMEOUT and a bit."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, timeout or settings.REPLICA_STATEMENT_TIMEOUT + _CANCEL_GRACE)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # An answer may still come, and would be taken for the next statement's: not usable any more.
                self.pgconn.finish()
            raise


def query_row(alias: str, query: str) -> tuple[Any, ...]:
    """The one row of `query` over a connection of its own, apart from Django's; psycopg.Error within
    CONNECT_TIMEOUT + REPLICA_STATEMENT_TIMEOUT + 0.5 s if the server does not answer."""
    parameters = connections[alias].get_connection_params() | {
        "connect_timeout": CONNECT_TIMEOUT,
        "autocommit": True,
    }
    connection = TimeoutConnection.connect(**parameters)
    try:
        row = connection.execute(query.encode()).fetchone()
    finally:
        connection.close()
    assert row is not None
    return tuple(row)
