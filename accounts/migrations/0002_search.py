from django.db import migrations, models
from django.db.models.functions import Collate

from instafeed.core.db.concurrent_indexes import AddIndexConcurrently


class Migration(migrations.Migration):

    atomic = False  # CREATE INDEX CONCURRENTLY: registrations and profile changes go on meanwhile

    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                Collate("username", "C"),
                name="user_search_username",
                include=["id"],
                condition=models.Q(is_active=True),
            ),
        ),
        AddIndexConcurrently(
            model_name="user",
            index=models.Index(
                models.Func("display_name", template='casefold(%(expressions)s COLLATE "pg_unicode_fast")'),
                "id",
                name="user_search_name",
                include=["display_name", "username"],
                condition=models.Q(is_active=True) & ~models.Q(display_name=""),
            ),
        ),
    ]
