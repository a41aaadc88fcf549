"""Django's PostgreSQL backend for the primary, with bounded waits in web processes.

PRIMARY_STATEMENT_TIMEOUT bounds every statement, on the server and in the client. Without it (workers, commands) only
the wait for a host that has vanished is bounded. The server's limit belongs to the session, so a client of PgBouncer in
transaction mode cannot set it: PgBouncer does (`deploy/pgbouncer/pgbouncer.ini`).
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.db import OperationalError
from django.db.backends.postgresql import base
from psycopg import IsolationLevel

from instafeed.core.db.primary.breaker import breaker
from instafeed.core.db.timeout_connection import TimeoutConnection

# A request that holds a transaction open between two statements waits for Redis or the file storage, or is frozen.
_IDLE_IN_TRANSACTION_TIMEOUT = 30  # seconds
_UNACKNOWLEDGED_TIMEOUT = 10  # seconds until the kernel gives up a connection to a host that has vanished


# For the checks of foreign keys, which are the only prepared statements. PostgreSQL would plan each check of a table
# with three or more partitions again: a like took 0.2 ms more.
_PLAN_CACHE_MODE = "force_generic_plan"
# After a failover the old primary may still answer. A web process must not write to it for long.
_MAX_CONNECTION_AGE = 5  # seconds


class PrimaryConnection(TimeoutConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opened_at = time.monotonic()

    @classmethod
    def statement_timeout(cls) -> float:
        timeout: float = settings.PRIMARY_STATEMENT_TIMEOUT
        return timeout

    def on_timeout(self) -> None:
        breaker.trip("a statement has timed out")


class DatabaseWrapper(base.DatabaseWrapper):
    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        pool = settings_dict["OPTIONS"].get("pool")
        if pool and settings.PRIMARY_STATEMENT_TIMEOUT:
            # In place: Django and its test runner share this dictionary between threads.
            pool = {} if pool is True else pool
            settings_dict["OPTIONS"]["pool"] = pool | {"connection_class": PrimaryConnection}
        super().__init__(settings_dict, alias)

    def get_connection_params(self) -> dict[str, Any]:
        parameters = super().get_connection_params()
        if not settings.DATABASE_DIRECT_URL:  # PgBouncer sets them itself (deploy/pgbouncer/pgbouncer.ini)
            options = f"{parameters.get('options', '')} -c plan_cache_mode={_PLAN_CACHE_MODE}"
            if settings.PRIMARY_STATEMENT_TIMEOUT:
                options += f" -c statement_timeout={settings.PRIMARY_STATEMENT_TIMEOUT * 1000}"
                options += f" -c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_TIMEOUT * 1000}"
            parameters["options"] = options.strip()
        parameters.setdefault("tcp_user_timeout", _UNACKNOWLEDGED_TIMEOUT * 1000)
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if not settings.PRIMARY_STATEMENT_TIMEOUT:
            return super().get_new_connection(conn_params)
        if breaker.is_open:
            raise OperationalError("the primary does not answer")
        try:
            if self.pool:
                return self._get_pooled_connection(conn_params)
            self.isolation_level = IsolationLevel.READ_COMMITTED
            return PrimaryConnection.connect(**conn_params)
        except Exception as error:  # no connection within the pool's timeout, or none at all
            breaker.suspect(error)
            raise

    def _get_pooled_connection(self, conn_params: dict[str, Any]) -> PrimaryConnection:
        """Return a young connection. The pool's own limit of their age does not apply to those that were idle."""
        while True:
            connection: PrimaryConnection = super().get_new_connection(conn_params)
            if time.monotonic() - connection.opened_at < _MAX_CONNECTION_AGE:
                return connection
            connection.close()
            self.pool.putconn(connection)  # which replaces it
