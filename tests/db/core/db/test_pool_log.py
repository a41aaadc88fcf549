"""What psycopg's pool logs."""

from __future__ import annotations

import logging
import os

import pytest
from psycopg_pool import ConnectionPool


def test_a_connection_that_we_closed_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Web servers close each connection after five seconds: on a quiet site that is one for each request."""
    with ConnectionPool(os.environ["DATABASE_URL"], min_size=1, max_size=1, open=True) as pool:
        connection = pool.getconn()
        connection.close()
        pool.putconn(connection)
        assert pool.get_stats()["returns_bad"] == 1
    assert caplog.messages == []
    logging.getLogger("psycopg.pool").warning("error connecting in %r: %s", "pool-1", "connection refused")
    assert caplog.messages == ["error connecting in 'pool-1': connection refused"]
