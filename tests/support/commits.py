"""Give tested code its own transactions inside the transaction of a test, which is rolled back.

With Django's `TestCase` alone, tested code is always inside an `atomic` block: on_commit callbacks never run, and code
that asks whether a transaction is open always gets the answer yes. Here Django works as on a connection without a
transaction, and only the statements BEGIN, COMMIT and ROLLBACK are replaced by savepoints. So Django's own code decides
when a callback runs.

These differences from real commits remain:
* No other connection sees the rows.
* After a statement fails outside an `atomic` block, PostgreSQL refuses all further statements of the test.
* A statement outside an `atomic` block that breaks a foreign key fails at the next commit or at the end of the test.
* Each commit drops all temporary tables, also those without ON COMMIT DROP.
* Row locks, advisory locks, SET LOCAL and the time of SQL's `now()` last until the end of the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn
from unittest.mock import patch

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections

_BEGIN = "SAVEPOINT tested_code"
# A commit also checks deferred constraints and drops temporary tables.
_COMMIT = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; DISCARD TEMP; RELEASE SAVEPOINT tested_code"
_ROLLBACK = "ROLLBACK TO SAVEPOINT tested_code; RELEASE SAVEPOINT tested_code"


class SavepointConnection:
    """A psycopg connection with an open transaction. Transactions on it are savepoints."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._autocommit = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @property
    def autocommit(self) -> bool:
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        if not value:
            self._connection.execute(_BEGIN)
        self._autocommit = value

    def commit(self) -> None:
        self._connection.execute(_COMMIT)

    def rollback(self) -> None:
        self._connection.execute(_ROLLBACK)


def _refuse_to_close() -> NoReturn:
    """Keep Django from opening another connection, whose rows would not be rolled back."""
    raise AssertionError("tested code closes its connection: the test needs django_db(transaction=True)")


@contextmanager
def savepoint_transactions() -> Iterator[None]:
    """Run the block as if no transaction were open. Must be called inside the test's transaction."""
    database = connections[DEFAULT_DB_ALIAS]
    assert database.in_atomic_block
    with patch.multiple(
        database,
        connection=SavepointConnection(database.connection),
        close=_refuse_to_close,
        autocommit=True,
        in_atomic_block=False,
        atomic_blocks=[],
        savepoint_ids=[],
        run_on_commit=[],
    ):
        yield
