from django.db import migrations, models
from django.db.models import Q

from instafeed.core.db.concurrent_indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY: registrations and profile changes go on meanwhile

    dependencies = [
        ("accounts", "0006_moderation"),
    ]

    operations = [
        AddIndexConcurrently("user", models.Index(fields=["id"], name="user_staff", condition=Q(is_staff=True))),
        AddIndexConcurrently(
            "user", models.Index(fields=["id"], name="user_suspended", condition=Q(suspended_at__isnull=False))
        ),
        AddIndexConcurrently(
            "user", models.Index(fields=["id"], name="user_pinned", condition=Q(celebrity_pin__isnull=False))
        ),
    ]
