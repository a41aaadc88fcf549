"""Load millions of rows: COPY, a model's default values, and tables filled without their indexes.

COPY speaks PostgreSQL's text format: a row is the texts of its columns joined by tabs and ended by a newline, and
`\\N` is NULL. Callers escape free text with `escape_text()`; numbers and dates need no escaping. All functions work
on the primary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, AnyStr

from django.db import connection, models, transaction

_WRITE_SIZE = 256 * 1024  # characters sent at once: psycopg makes one system call for every write
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = "\\N"


def escape_text(value: str) -> str:
    """Escape a free text for COPY."""
    # Most texts need no escaping, and checking that is ten times faster than translating them.
    return value if value.isprintable() and "\\" not in value else value.translate(_ESCAPES)


def format_value(value: Any) -> str:
    """Format a Python value for COPY."""
    if type(value) is int:
        return str(value)
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "t" if value else "f"
    return escape_text(str(value))


def copy_into(table: str, columns: Iterable[str], rows: Iterable[AnyStr]) -> None:
    """COPY `rows` into a table. Each item is one or more whole lines; omitted columns get their default."""
    quote = connection.ops.quote_name
    statement = f"COPY {quote(table)} ({', '.join(map(quote, columns))}) FROM STDIN"
    # Django wraps the errors of execute(), not of copy().
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        buffer: list[AnyStr] = []
        size = 0
        for row in rows:
            buffer.append(row)
            size += len(row)
            if size >= _WRITE_SIZE:
                copy.write(row[:0].join(buffer))
                buffer, size = [], 0
        if buffer:
            copy.write(buffer[0][:0].join(buffer))


def default_values(model: type[models.Model], given: Collection[str]) -> dict[str, Any]:
    """Return column → value for the columns that neither the caller (`given`) nor the database fills.

    With them a bulk INSERT or COPY keeps working when a model gains a field with a default.
    """
    return {
        field.column: field.get_db_prep_save(field.get_default(), connection)
        for field in model._meta.concrete_fields
        if field.column
        and field.column not in given
        and not field.has_db_default()
        and not isinstance(field, models.AutoField)
    }


@contextmanager
def without_indexes(*tables: str, keep_keys: bool = False) -> Iterator[None]:
    """Drop the tables' foreign keys, primary keys, checks and indexes, and rebuild them at the end of the block.

    `keep_keys`: keep primary keys and unique constraints, for tables that others refer to.

    For filling an *empty* table inside a transaction: one sort instead of 20 million index inserts, one join
    instead of 40 million foreign-key look-ups. Holds an exclusive lock on the tables until the commit. DDL is
    transactional, so a failure leaves the tables as they were.

    Raises TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("without_indexes() must be called inside a transaction")
    with connection.cursor() as cursor:
        # Pending deferred checks of earlier rows would forbid ALTER TABLE: run them now.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL maintenance_work_mem = '512MB'")
        rebuild = [
            statement for table in tables for statement in _drop_constraints_and_indexes(cursor, table, keep_keys)
        ]
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    yield
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for statement in rebuild:
            cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def _drop_constraints_and_indexes(cursor: Any, table: str, keep_keys: bool) -> list[str]:
    """Drop a table's constraints and indexes; return the statements that rebuild them."""
    quote = connection.ops.quote_name
    # Foreign keys are dropped first and rebuilt last. NOT NULL ('n', PostgreSQL 18) costs nothing and stays.
    cursor.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass"
        " AND conparentid = 0 AND contype = ANY(%s) ORDER BY contype <> 'f', contype <> 'c'",
        [quote(table), ["c", "f"] if keep_keys else ["c", "f", "p", "u"]],
    )
    constraints = cursor.fetchall()
    for name, _ in constraints:
        cursor.execute(f"ALTER TABLE {quote(table)} DROP CONSTRAINT {quote(name)}")
    cursor.execute(
        "SELECT indexrelid::regclass, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %s::regclass"
        " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))",
        [quote(table)],
    )
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    # On a table with partitions, ONLY would leave its partitions without the index.
    rebuild = [definition.replace(" ON ONLY ", " ON ", 1) for _, definition in indexes]
    if constraints:
        # One statement for all constraints makes fewer passes over the table. Primary key first, foreign keys last.
        added = (f"ADD CONSTRAINT {quote(name)} {definition}" for name, definition in reversed(constraints))
        rebuild.append(f"ALTER TABLE {quote(table)} {', '.join(added)}")
    return rebuild
