from django.db import migrations, models

from instafeed.core.db.concurrent_indexes import AddIndexConcurrently, RemoveIndexConcurrently


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY: registrations and profile changes go on meanwhile

    dependencies = [
        ("accounts", "0004_counts"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                models.Func(
                    "username",
                    models.Func("display_name", template='casefold(%(expressions)s COLLATE "pg_unicode_fast")'),
                    arg_joiner=" || ' ' || ",
                    template=r"length(substring(%(expressions)s from '^([^ ]*)[^ ]* \1'))",
                    output_field=models.IntegerField(),
                ),
                models.Func("display_name", template='casefold(%(expressions)s COLLATE "pg_unicode_fast")'),
                "id",
                name="user_search_display_name",
                include=["display_name", "username"],
                condition=models.Q(is_active=True) & ~models.Q(display_name=""),
            ),
        ),
        RemoveIndexConcurrently(model_name="user", name="user_search_name"),
    ]
