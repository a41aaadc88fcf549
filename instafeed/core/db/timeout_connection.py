"""psycopg connections with a client-side timeout, for servers that may be frozen.

The server enforces `statement_timeout` and its kernel answers TCP keep-alives. A stopped process (SIGSTOP, a hung
disk, a paused machine) enforces nothing, and a client would wait for ever. So this client keeps the time itself.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus

CONNECT_TIMEOUT = 2  # seconds; the shortest that psycopg and libpq support
CANCEL_GRACE = 0.5  # seconds for the server to cancel a slow statement itself, which keeps the connection


class TimeoutConnection(psycopg.Connection[Any]):
    """Raise OperationalError after waiting `statement_timeout()` + 0.5 s for the server."""

    @classmethod
    def statement_timeout(cls) -> float:
        """Return the seconds that the server may need for a statement."""
        timeout: float = settings.REPLICA_STATEMENT_TIMEOUT
        return timeout

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, timeout or self.statement_timeout() + CANCEL_GRACE)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # A late reply would be taken for the next statement's: the connection is unusable.
                self.pgconn.finish()
                self.on_timeout()
            raise

    def on_timeout(self) -> None:
        """Called when the server has not answered in time."""


def query_row(alias: str, query: str) -> tuple[Any, ...]:
    """Return the only row of `query`, over a new connection that Django does not manage.

    Raises psycopg.Error, at the latest after CONNECT_TIMEOUT + REPLICA_STATEMENT_TIMEOUT + 0.5 s.
    """
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
