"""Migration operations that build and drop indexes of tables in use, and that can be retried.

They extend Django's `AddIndexConcurrently` and `RemoveIndexConcurrently` (the migration sets `atomic = False`) in
two ways. A retry completes the work of an earlier attempt: an index that PostgreSQL marks as invalid is dropped
and rebuilt, a valid one is kept. And no `lock_timeout` ends the build: it waits for transactions older than
itself, such as a dump, and blocks no other query meanwhile. An index of a table with partitions is dropped at once,
which takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.postgres import operations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Index, Model

from instafeed.core.db.partitions import fetch_partitions

_IS_VALID_SQL = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"


class AddIndexConcurrently(operations.AddIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if _is_partitioned(schema_editor, model):
            _add_to_partitions(schema_editor, model, self.index)
        elif _needs_build(schema_editor, self.index.name):
            with _without_lock_timeout(schema_editor):
                super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if _is_partitioned(schema_editor, model):
            schema_editor.remove_index(model, self.index)
        else:
            with _without_lock_timeout(schema_editor):
                super().database_backwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexConcurrently(operations.RemoveIndexConcurrently):
    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = from_state.apps.get_model(app_label, self.model_name)
        if _is_partitioned(schema_editor, model):
            index = from_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
            schema_editor.remove_index(model, index)
        else:
            with _without_lock_timeout(schema_editor):
                super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        model = to_state.apps.get_model(app_label, self.model_name)
        if _is_partitioned(schema_editor, model):
            _add_to_partitions(schema_editor, model, index)
        elif _needs_build(schema_editor, index.name):
            with _without_lock_timeout(schema_editor):
                super().database_backwards(app_label, schema_editor, from_state, to_state)


def _is_partitioned(schema_editor: BaseDatabaseSchemaEditor, model: type[Model]) -> bool:
    return not schema_editor.collect_sql and bool(fetch_partitions(model._meta.db_table))


def _add_to_partitions(schema_editor: BaseDatabaseSchemaEditor, model: type[Model], index: Index) -> None:
    """Build the index of one partition after the other, and then the table's, which adopts them in milliseconds.

    PostgreSQL cannot build the index of a table with partitions concurrently.
    """
    table, quote = model._meta.db_table, schema_editor.quote_name
    for partition in fetch_partitions(table):
        name = f"{index.name}{partition.name.removeprefix(table)}"
        if _needs_build(schema_editor, name):
            statement = str(index.create_sql(model, schema_editor, concurrently=True))
            statement = statement.replace(quote(index.name), quote(name), 1)
            with _without_lock_timeout(schema_editor):
                schema_editor.execute(statement.replace(quote(table), quote(partition.name), 1))
    if _needs_build(schema_editor, index.name):
        schema_editor.add_index(model, index)


def _needs_build(schema_editor: BaseDatabaseSchemaEditor, index: str) -> bool:
    """Return whether the index must be built. Drops the invalid index of an interrupted build first."""
    if schema_editor.collect_sql:  # `sqlmigrate` shows the SQL for an empty database
        return True
    with schema_editor.connection.cursor() as cursor:
        name = schema_editor.quote_name(index)
        cursor.execute(_IS_VALID_SQL, [name])
        found = cursor.fetchone()
        if found and not found[0]:
            with _without_lock_timeout(schema_editor):
                cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
    return not (found and found[0])


@contextmanager
def _without_lock_timeout(schema_editor: BaseDatabaseSchemaEditor) -> Iterator[None]:
    if schema_editor.collect_sql:
        yield
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        before = cursor.fetchone()[0]
        cursor.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", [before])
