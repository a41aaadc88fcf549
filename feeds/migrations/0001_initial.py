import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from instafeed.core.db.partitioned_model import CreatePartitionedModel


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("posts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="MissedBucket",
            fields=[
                ("bucket", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("misses", models.PositiveIntegerField(db_default=1, default=1)),
            ],
        ),
        CreatePartitionedModel(
            name="FanOut",
            partition_by="post_id",
            days=30,
            fields=[
                (
                    "post",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="fan_out",
                        serialize=False,
                        to="posts.post",
                    ),
                ),
                ("mode", models.PositiveSmallIntegerField(choices=[(0, "push"), (1, "pull")])),
                (
                    "state",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "pending"), (1, "running"), (2, "done"), (3, "dead letter")],
                        db_default=0,
                        default=0,
                    ),
                ),
                ("last_follower_id", models.BigIntegerField(db_default=0, default=0)),
                ("deliveries", models.PositiveIntegerField(db_default=0, default=0)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("lease", models.UUIDField(editable=False, null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.TextField(blank=True, db_default="", default="")),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="fan_out_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "fan-out",
                "permissions": [("resume_fanout", "Can resume fan-outs")],
                "indexes": [
                    models.Index(condition=models.Q(("state__in", [0, 1])), fields=["due_at"], name="fan_out_open"),
                    models.Index(condition=models.Q(("state", 3)), fields=["post"], name="fan_out_dead"),
                ],
            },
        ),
    ]
