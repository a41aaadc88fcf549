from django.db import migrations, models
from django.db.models import Q

from instafeed.core.db.concurrent_indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY: posts and comments are written meanwhile

    dependencies = [
        ("posts", "0004_moderation"),
    ]

    operations = [
        AddIndexConcurrently(
            name, models.Index(fields=["id"], name=f"{name}_hidden", condition=Q(hidden_at__isnull=False))
        )
        for name in ("post", "comment")
    ]
