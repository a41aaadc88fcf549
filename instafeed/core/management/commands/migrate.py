"""`manage.py migrate` beside a site that goes on answering.

As Django's, with three differences:

* No statement waits for a lock longer than MIGRATION_LOCK_TIMEOUT: whoever queues for a table's lock makes every
  query after it queue too. A migration that did not get its lock is undone and tried again, after a pause.
* Of two `migrate` on one database the second waits for the first, and then finds nothing left to do.
* Indexes of tables in use are built by `instafeed.core.db.concurrent_indexes`, which can be tried again.

Needs a session of its own: the database's address must not lead through a pooler of transactions (PgBouncer).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

RETRY_DELAYS = (1.0, 2.0, 4.0, 8.0)  # seconds after each failed try but the last
_LOCK_POLL_INTERVAL = 0.5  # seconds, while another migrate is at work
_MIGRATE_LOCK_ID = 0x696E_7374_6D69_6772  # an advisory lock's number, "instmigr"; any would do
_RETRYABLE_SQLSTATES = ("55P03", "40P01")  # no lock within the time, a deadlock


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options["plan"] or options["check_unapplied"] or options["prune"]:
            super().handle(*args, **options)
            return
        connection = connections[options["database"]]
        with self._alone(connection), _lock_timeout(connection):
            for pause in RETRY_DELAYS:
                if self._try(*args, **options):
                    return
                self._say(f"\n  did not get a lock that others hold; once more in {pause:g} s")
                time.sleep(pause)
            if not self._try(*args, **options):
                raise CommandError(
                    f"a lock that others hold was not to be had within {settings.MIGRATION_LOCK_TIMEOUT} s, in"
                    f" {len(RETRY_DELAYS) + 1} tries. That migration is undone, those before it stay: run it again."
                )

    def _try(self, *args: Any, **options: Any) -> bool:
        try:
            super().handle(*args, **options)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) in _RETRYABLE_SQLSTATES:
                return False
            raise
        return True

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()  # into a pipe too: somebody waits for it

    @contextmanager
    def _alone(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """The lock belongs to the session: it ends with this process, however that ends.

        Asked for again and again, never waited for in the server: CREATE INDEX CONCURRENTLY would wait for the
        waiting statement, which waits for it.
        """
        told = False
        with connection.cursor() as cursor:
            while not _query_migrate_lock(cursor, "SELECT pg_try_advisory_lock(%s)"):
                if not told:
                    self._say("Another migrate is at work on this database; waiting for its end.")
                    told = True
                time.sleep(_LOCK_POLL_INTERVAL)
        try:
            yield
        finally:
            if connection.connection is not None and not connection.connection.closed:
                with connection.cursor() as cursor:
                    _query_migrate_lock(cursor, "SELECT pg_advisory_unlock(%s)")


@contextmanager
def _lock_timeout(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """For the session, so it holds after each COMMIT and in migrations without a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [f"{settings.MIGRATION_LOCK_TIMEOUT}s"])
    try:
        yield
    finally:
        if connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")


def _query_migrate_lock(cursor: Any, query: str) -> bool:
    cursor.execute(query, [_MIGRATE_LOCK_ID])
    return bool(cursor.fetchone()[0])
