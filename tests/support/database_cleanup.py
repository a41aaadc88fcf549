"""Empty the database after a test that commits: in milliseconds, where Django's flush takes 0.2 s.

Flush truncates all tables, which creates new files for each table and index on the primary and on the replica, and
creates content types and permissions again. This module deletes the rows of the tables that have any. Only a table
that has grown is truncated, so no test reads past another's dead rows.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections
from django.test import TransactionTestCase

# Their rows are created by migrations and refer to no other table.
KEPT_TABLES = ["django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions"]

# Foreign keys are checked at the commit, so the tables can be emptied in any order.
_EMPTY_TABLES_SQL = """
DO $$
DECLARE
    name regclass;
    filled boolean;
BEGIN
    -- Grown tables first: TRUNCATE fails for a table from which this transaction has deleted rows.
    FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
                ORDER BY pg_relation_size(oid) > 1000000 DESC
    LOOP
        CONTINUE WHEN pg_relation_size(name) = 0 OR name::text = ANY(%s);
        IF pg_relation_size(name) > 1000000 AND name <> 'accounts_auditentry'::regclass THEN
            EXECUTE format('TRUNCATE %%s CASCADE', name);
        ELSE
            EXECUTE format('SELECT EXISTS (SELECT FROM %%s)', name) INTO filled;
            IF filled THEN
                IF name = 'accounts_auditentry'::regclass THEN  -- append-only, but for its owner
                    ALTER TABLE accounts_auditentry DISABLE TRIGGER USER;
                    DELETE FROM accounts_auditentry;
                    ALTER TABLE accounts_auditentry ENABLE TRIGGER USER;
                ELSE
                    EXECUTE format('DELETE FROM %%s', name);
                END IF;
            END IF;
        END IF;
    END LOOP;
END $$
"""

# Foreign keys allow this only for all tables at once. The trigger of the audit log refuses it.
_RENEW_FILES_SQL = """
DO $$
BEGIN
    ALTER TABLE accounts_auditentry DISABLE TRIGGER USER;
    EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') FROM pg_class
        WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
            AND relname <> ALL(%s)
    );
    ALTER TABLE accounts_auditentry ENABLE TRIGGER USER;
END $$
"""


def empty_database() -> None:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_EMPTY_TABLES_SQL, [KEPT_TABLES])


def renew_files() -> None:
    """Give the tables and indexes, which are empty, new files until the end of the transaction.

    What other tests have rolled back leaves dead rows, and the planner counts their pages.
    """
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(_RENEW_FILES_SQL, [KEPT_TABLES])


def install() -> None:
    """Let every transactional test end with this instead of a flush. Django has no public hook for it."""
    TransactionTestCase._fixture_teardown = lambda case: empty_database()  # type: ignore[attr-defined]  # noqa: SLF001
