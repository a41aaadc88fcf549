from django.db import migrations, models
from django.db.models import Q

from instafeed.core.db.concurrent_indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY

    dependencies = [("migrated_app", "0002_failed_at")]

    operations = [
        AddIndexConcurrently(
            "note", models.Index(fields=["id"], name="note_failed", condition=Q(failed_at__isnull=False))
        ),
    ]
