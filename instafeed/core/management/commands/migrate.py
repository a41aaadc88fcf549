"""`manage.py migrate` for a site that keeps serving requests.

Like Django's command, with three differences:

* No statement waits for a lock longer than MIGRATION_LOCK_TIMEOUT, because every later query on the table queues
  behind the waiting one. A migration that times out is rolled back and retried after a pause.
* When two `migrate` commands run on one database, the second waits for the first and then finds nothing to do.
* Indexes of tables in use are built by `instafeed.core.db.concurrent_indexes`, whose operations can be retried.

It needs a database session of its own, so it uses DATABASE_DIRECT_URL if that is set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import Error, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from instafeed.core.db.advisory_locks import release_session, try_acquire_session
from instafeed.core.db.direct_connection import bypass_pooler

RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0)  # seconds, after each failed attempt but the last
_LOCK_POLL_INTERVAL = 0.5  # seconds, while another migrate runs
_LOCK_NAME = "migrate"
_RETRYABLE_SQLSTATES = ("55P03", "40P01")  # lock not available in time, deadlock


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        bypass_pooler()
        if options["plan"] or options["check_unapplied"] or options["prune"]:
            super().handle(*args, **options)
            return
        connection = connections[options["database"]]
        with self._hold_migrate_lock(connection), _lock_timeout(connection):
            for delay in RETRY_DELAYS:
                if self._migrate(connection, *args, **options):
                    return
                self._print(f"\n  could not acquire a lock; trying again in {delay:g} s")
                time.sleep(delay)
            if not self._migrate(connection, *args, **options):
                raise CommandError(
                    f"Could not acquire a lock within {settings.MIGRATION_LOCK_TIMEOUT} s"
                    f" ({len(RETRY_DELAYS) + 1} attempts). This migration was rolled back; earlier ones are applied."
                    " Run migrate again."
                )

    def _migrate(self, connection: BaseDatabaseWrapper, *args: Any, **options: Any) -> bool:
        """Run Django's command; return False if a lock was not available in time."""
        try:
            with _close_transactions(connection):
                super().handle(*args, **options)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) in _RETRYABLE_SQLSTATES:
                return False
            raise
        return True

    def _print(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # into a pipe too: its reader waits for the line

    @contextmanager
    def _hold_migrate_lock(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Hold an advisory lock of the session: it ends with this process, however the process ends.

        Polls for the lock instead of waiting for it in the server: CREATE INDEX CONCURRENTLY waits for all running
        statements, so it and the waiting statement would block each other.
        """
        is_waiting = False
        with connection.cursor() as cursor:
            while not try_acquire_session(cursor, _LOCK_NAME):
                if not is_waiting:
                    self._print("Another migrate is running on this database; waiting for it to finish.")
                    is_waiting = True
                time.sleep(_LOCK_POLL_INTERVAL)
        with _clean_up_session(connection, lambda cursor: release_session(cursor, _LOCK_NAME)):
            yield


@contextmanager
def _close_transactions(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Roll back what a failed block leaves open: Django's schema editor does so if its deferred SQL fails."""
    depth = len(connection.atomic_blocks)
    try:
        yield
    except BaseException as error:
        for block in reversed(connection.atomic_blocks[depth:]):
            block.__exit__(type(error), error, error.__traceback__)
        raise


@contextmanager
def _lock_timeout(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Set `lock_timeout` for the session, so it also holds after a COMMIT and in non-atomic migrations."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{settings.MIGRATION_LOCK_TIMEOUT}s"])
    with _clean_up_session(connection, lambda cursor: cursor.execute("RESET lock_timeout")):
        yield


@contextmanager
def _clean_up_session(connection: BaseDatabaseWrapper, clean_up: Callable[[CursorWrapper], object]) -> Iterator[None]:
    """Call `clean_up` at the end of the block, if the session still exists.

    After an error of the block, database errors of `clean_up` are ignored: they would hide it.
    """

    def run() -> None:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                clean_up(cursor)

    try:
        yield
    except BaseException:
        with suppress(Error):
            run()
        raise
    run()
