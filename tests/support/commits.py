"""Do what a commit does, apart from committing, in tests whose transaction is rolled back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from unittest.mock import patch

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic

logger = logging.getLogger("django.db.backends.base")  # Django's own, for errors of robust callbacks


@contextmanager
def commits_run_callbacks() -> Iterator[None]:
    """Check foreign keys and run on_commit callbacks at the end of the code's outermost transaction, as a commit does.

    Enter it inside the test's own transaction. `django_capture_on_commit_callbacks` runs the callbacks at the end of a
    `with` block; with this, each request and each service call of a test commits on its own, in production's order.
    """
    depth = len(connection.atomic_blocks)
    leave, on_commit = Atomic.__exit__, BaseDatabaseWrapper.on_commit

    def is_outside(database: BaseDatabaseWrapper) -> bool:
        """Return whether the code has no open transaction; only the test has one."""
        return database.alias == DEFAULT_DB_ALIAS and len(database.atomic_blocks) == depth

    def __exit__(
        self: Atomic, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_commit = (
            kind is None
            and self.using in (None, DEFAULT_DB_ALIAS)
            and len(connection.atomic_blocks) == depth + 1
            and not connection.needs_rollback
        )
        if is_commit:
            try:
                check_foreign_keys()
            except DatabaseError as failure:
                leave(self, type(failure), failure, failure.__traceback__)
                raise
        leave(self, kind, error, trace)
        if is_commit:
            callbacks: list[Any] = connection.run_on_commit  # the stubs' tuples lack the last item
            connection.run_on_commit = []
            for _, callback, robust in callbacks:
                run(callback, robust)

    def check_foreign_keys() -> None:
        """Check the deferred constraints, past Django's cursor, so that no test counts these statements."""
        with connection.wrap_database_errors:
            connection.connection.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")

    def register(self: BaseDatabaseWrapper, func: Callable[[], Any], robust: bool = False) -> None:
        if is_outside(self):
            run(func, robust)
        else:
            on_commit(self, func, robust)

    def run(callback: Callable[[], Any], robust: bool) -> None:
        try:
            callback()
        except Exception:
            if not robust:
                raise
            logger.exception("Error calling %s in on_commit()", callback)

    with patch.object(Atomic, "__exit__", __exit__), patch.object(BaseDatabaseWrapper, "on_commit", register):
        yield
