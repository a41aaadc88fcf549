from django.db import migrations, models
from django.db.models import Q

from instafeed.core.db.concurrent_indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY: pictures come in meanwhile

    dependencies = [
        ("media", "0003_admin"),
    ]

    operations = [
        AddIndexConcurrently("media", models.Index(fields=["id"], name="media_failed", condition=Q(status=3))),
    ]
