"""A migration operation that creates a model whose table has partitions (`instafeed.core.db.partitions`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import migrations
from django.utils import timezone

from instafeed.core.db.partitions import create_first_partitions


class CreatePartitionedModel(migrations.CreateModel):
    """Create a model in partitions by ranges of the snowflake ids in `partition_by`, a column of its primary key.

    `days`: the length of the first partitions. Later ones have the length of the model's `PartitionedTable`.
    """

    def __init__(self, *args: Any, partition_by: str, days: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.partition_by, self.days = partition_by, days

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        # An attribute of the object hides that of its class.
        schema_editor.sql_create_table = f"{schema_editor.sql_create_table} PARTITION BY RANGE ({self.partition_by})"
        try:
            schema_editor.create_model(model)
        finally:
            del schema_editor.sql_create_table
        for statement in create_first_partitions(model._meta.db_table, timedelta(days=self.days), timezone.now()):
            schema_editor.execute(statement)
