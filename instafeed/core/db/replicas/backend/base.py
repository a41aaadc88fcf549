"""Django's PostgreSQL backend for a replica: whatever it cannot answer is asked of the primary instead.

A read outside a transaction is one statement whose rows are all fetched before `execute` returns, so
asking again is safe. Inside `atomic(using=replica)` the errors pass. Real SQL errors pass, too.
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

from instafeed.core.db.replicas import session
from instafeed.core.db.replicas.monitor import monitor
from instafeed.core.db.replicas.timeout_connection import CONNECT_TIMEOUT, TimeoutConnection

# The server cannot serve: connection exception, insufficient resources, shutting down or starting up,
# system error.
_SERVER_FAILURE_SQLSTATES = ("08", "53", "57", "58")
# It cannot serve this statement: it ran longer than the statement's bound, was in the way of recovery, or
# knows a column or table not yet that a migration has just made. Not a reason to leave the replica out.
_RETRY_ON_PRIMARY_SQLSTATES = ("57014", "40001", "40P01", "42P01", "42703")


def _cause(error: BaseException) -> BaseException:
    return error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error


def _is_server_failure(error: BaseException) -> bool:
    """Whether the failure says that this replica should be left alone for a while."""
    cause = _cause(error)
    if not isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = cause.sqlstate  # None: the connection was lost, refused, or not answered in time
    return state is None or (state.startswith(_SERVER_FAILURE_SQLSTATES) and state not in _RETRY_ON_PRIMARY_SQLSTATES)


def _can_retry_on_primary(error: BaseException) -> bool:
    return getattr(_cause(error), "sqlstate", None) in _RETRY_ON_PRIMARY_SQLSTATES


class _FallbackCursor(CursorWrapper):
    """A cursor that becomes one of the primary when the replica fails."""

    db: Any
    cursor: Any

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        try:
            return super()._execute(sql, params, *ignored)  # type: ignore[misc]
        except (DatabaseError, InterfaceError) as error:
            if not self.db.fall_back(error):
                raise
        replacement = connections["default"].cursor()
        self.db, self.cursor = replacement.db, replacement.cursor
        return super()._execute(sql, params, *ignored)  # type: ignore[misc]


class _FallbackDebugCursor(_FallbackCursor, CursorDebugWrapper):
    """The same, logging queries."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections are read-only and bounded on both sides; see `bounded`."""

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
        bounds = f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}"
        parameters["options"] = f"{parameters.get('options', '')} {bounds}".strip()
        parameters["connect_timeout"] = CONNECT_TIMEOUT
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if self.pool:
            return super().get_new_connection(conn_params)
        self.isolation_level = IsolationLevel.READ_COMMITTED
        return TimeoutConnection.connect(**conn_params)

    @cached_property
    def pg_version(self) -> int:
        """Asked while SQL is compiled, too, where nothing could fall back. The primary's is the same."""
        if self.connection is not None and not self.connection.closed:
            return int(self.connection.info.server_version)
        primary: Any = connections["default"]
        return int(primary.pg_version)

    def fall_back(self, error: BaseException) -> bool:
        """Whether what failed so is to be asked of the primary, after taking note of it."""
        if self.in_atomic_block or not self.autocommit:
            return False
        if _is_server_failure(error):
            self._give_up(error)
        elif not _can_retry_on_primary(error):
            return False
        session.fall_back_to_primary()
        return True

    def _give_up(self, error: BaseException) -> None:
        monitor.report_failure(self.alias, _cause(error))
        self._drop_connection()

    def _drop_connection(self) -> None:
        """Else this thread would still have the broken connection when the replica is back."""
        with suppress(DatabaseError, InterfaceError):
            self.close()

    def make_cursor(self, cursor: Any) -> CursorWrapper:
        return _FallbackCursor(cursor, self)

    def make_debug_cursor(self, cursor: Any) -> CursorDebugWrapper:
        return _FallbackDebugCursor(cursor, self)

    def chunked_cursor(self) -> Any:
        """Never a server-side cursor: it would fail between two fetches, where nothing can be asked again."""
        return self.cursor()

    def _cursor(self, name: str | None = None) -> Any:
        if self.in_atomic_block:
            return super()._cursor(name)  # type: ignore[misc]
        if monitor.is_down(self.alias):
            # A queryset that was bound to this replica earlier in the request: do not wait for it again.
            self._drop_connection()
            return connections["default"].cursor()
        try:
            return super()._cursor(name)  # type: ignore[misc]
        except (OperationalError, InterfaceError) as error:
            self._give_up(error)
            session.fall_back_to_primary()
            return connections["default"].cursor()
