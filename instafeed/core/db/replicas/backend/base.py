"""Django's PostgreSQL backend for a replica: a query that the replica cannot answer is sent to the primary.

A read outside a transaction is one statement whose rows are all fetched before `execute` returns, so repeating it is
safe. Inside `atomic(using=replica)` errors are raised, and so are real SQL errors.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorDebugWrapper, CursorWrapper
from django.utils.functional import cached_property
from psycopg import IsolationLevel

from instafeed.core.db import timeout_connection
from instafeed.core.db.replicas import session
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.db.timeout_connection import TimeoutConnection

# The server cannot serve: connection exception, insufficient resources, shutting down or starting up, system error.
_SERVER_FAILURE_SQLSTATES = ("08", "53", "57", "58")
# The server cannot run this statement: it exceeded its timeout, conflicted with recovery, or names a column or table
# that a migration has just created. No reason to exclude the replica.
_RETRY_ON_PRIMARY_SQLSTATES = ("57014", "40001", "40P01", "42P01", "42703")


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error


def _is_server_failure(error: BaseException) -> bool:
    """Return whether the error means that this replica should be excluded for a while."""
    cause = _cause(error)
    if not isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = cause.sqlstate  # None: the connection was lost, refused, or timed out
    return state is None or (state.startswith(_SERVER_FAILURE_SQLSTATES) and state not in _RETRY_ON_PRIMARY_SQLSTATES)


def _can_retry_on_primary(error: BaseException) -> bool:
    return getattr(_cause(error), "sqlstate", None) in _RETRY_ON_PRIMARY_SQLSTATES


class _FallbackCursor(CursorWrapper):
    """A cursor that switches to the primary when the replica fails."""

    db: Any
    cursor: Any

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        try:
            return super()._execute(sql, params, *ignored)  # type: ignore[misc]
        except (DatabaseError, InterfaceError) as error:
            if not self.db.should_fall_back(error):
                raise
        replacement = connections["default"].cursor()
        self.db, self.cursor = replacement.db, replacement.cursor
        return super()._execute(sql, params, *ignored)  # type: ignore[misc]


class _FallbackDebugCursor(_FallbackCursor, CursorDebugWrapper):
    """A fallback cursor that logs queries."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections are read-only and have timeouts on both sides; see `timeout_connection`."""

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        pool = settings_dict["OPTIONS"].get("pool")
        if pool:
            # In place: Django and its test runner share this dictionary between threads.
            pool = {} if pool is True else pool
            settings_dict["OPTIONS"]["pool"] = pool | {"connection_class": TimeoutConnection}
        super().__init__(settings_dict, alias)

    def get_connection_params(self) -> dict[str, Any]:
        parameters = super().get_connection_params()
        milliseconds = settings.REPLICA_STATEMENT_TIMEOUT * 1000
        options = f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}"
        parameters["options"] = f"{parameters.get('options', '')} {options}".strip()
        parameters["connect_timeout"] = timeout_connection.CONNECT_TIMEOUT
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.pool:
            return super().get_new_connection(conn_params)
        self.isolation_level = IsolationLevel.READ_COMMITTED
        return TimeoutConnection.connect(**conn_params)

    @cached_property
    def pg_version(self) -> int:
        """Return the server's version, or the primary's, which is the same.

        Django also asks for it while it compiles SQL, where a fallback is not possible.
        """
        if self.connection is not None and not self.connection.closed:
            return int(self.connection.info.server_version)
        primary: Any = connections["default"]
        return int(primary.pg_version)

    def should_fall_back(self, error: BaseException) -> bool:
        """Return whether to repeat the failed statement on the primary, and record the failure if so."""
        if self.in_atomic_block or not self.autocommit:
            return False
        if _is_server_failure(error):
            self._mark_down(error)
        elif not _can_retry_on_primary(error):
            return False
        session.fall_back_to_primary()
        return True

    def _mark_down(self, error: BaseException) -> None:
        monitor.report_failure(self.alias, _cause(error))
        self._drop_connection()

    def _drop_connection(self) -> None:
        """Close the connection: otherwise this thread would keep a broken one when the replica is back."""
        with suppress(DatabaseError, InterfaceError):
            self.close()

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        return _FallbackCursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> CursorDebugWrapper:
        return _FallbackDebugCursor(cursor, self)

    def chunked_cursor(self) -> Any:
        """Return a client-side cursor: a server-side one could fail between two fetches, where no retry is possible."""
        return self.cursor()

    def _cursor(self, name: str | None = None) -> Any:
        if self.in_atomic_block:
            return super()._cursor(name)  # type: ignore[misc]
        if monitor.is_down(self.alias):
            # A queryset that was bound to this replica earlier in the request must not wait for it again.
            self._drop_connection()
            return connections["default"].cursor()
        try:
            return super()._cursor(name)  # type: ignore[misc]
        except (OperationalError, InterfaceError) as error:
            self._mark_down(error)
            session.fall_back_to_primary()
            return connections["default"].cursor()
