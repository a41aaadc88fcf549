import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import instafeed.core.db.snowflake


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("core", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Relocation",
            fields=[
                ("owner_id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "state",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "pending"), (1, "running"), (2, "done"), (3, "dead letter")],
                        db_default=0,
                        default=0,
                    ),
                ),
                ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("lease", models.UUIDField(editable=False, null=True)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("error", models.TextField(blank=True, db_default="", default="")),
                ("last_media_id", models.BigIntegerField(db_default=0, default=0)),
            ],
            options={"indexes": [models.Index(fields=["due_at"], name="relocation_due")]},
        ),
        migrations.CreateModel(
            name="FileDeletion",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("paths", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("public_key", models.CharField(blank=True, default="", max_length=64)),
                ("is_urgent", models.BooleanField(db_default=False, default=False)),
                (
                    "state",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "pending"), (1, "running"), (2, "done"), (3, "dead letter")],
                        db_default=0,
                        default=0,
                    ),
                ),
                ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("lease", models.UUIDField(editable=False, null=True)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("error", models.TextField(blank=True, db_default="", default="")),
            ],
            options={
                "indexes": [
                    models.Index(fields=["due_at"], name="file_deletion_due"),
                    models.Index(condition=models.Q(("is_urgent", True)), fields=["due_at"], name="file_deletion_urgent"),
                ]
            },
        ),
        migrations.CreateModel(
            name="Media",
            fields=[
                (
                    "id",
                    models.BigIntegerField(
                        db_default=instafeed.core.db.snowflake.NextId(),
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "status",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "uploading"), (1, "processing"), (2, "ready"), (3, "failed")],
                        db_default=0,
                        default=0,
                    ),
                ),
                ("error", models.CharField(blank=True, db_default="", default="", max_length=200)),
                ("original_path", models.CharField(blank=True, db_default="", default="", max_length=200)),
                ("content_type", models.CharField(blank=True, db_default="", default="", max_length=50)),
                ("size", models.PositiveIntegerField(db_default=0, default=0)),
                ("key", models.CharField(blank=True, db_default="", default="", max_length=64)),
                ("is_public", models.BooleanField(db_default=False, default=False)),
                ("is_withheld", models.BooleanField(db_default=False, default=False)),
                ("is_barred_as_avatar", models.BooleanField(db_default=False, default=False)),
                ("is_attached", models.BooleanField(db_default=False, default=False)),
                ("width", models.PositiveIntegerField(null=True)),
                ("height", models.PositiveIntegerField(null=True)),
                ("blurhash", models.CharField(blank=True, db_default="", default="", max_length=60)),
                ("variants", models.JSONField(db_default={}, default=dict)),
                ("alt_text", models.CharField(blank=True, db_default="", default="", max_length=1000)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("reprocessed_at", models.DateTimeField(null=True, verbose_name="last reprocessed")),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="media_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "media",
                "permissions": [("reprocess_media", "Can reprocess pictures")],
                "indexes": [
                    models.Index(condition=models.Q(("is_attached", False)), fields=["id"], name="media_unattached"),
                    models.Index(condition=models.Q(("status", 3)), fields=["id"], name="media_failed"),
                    models.Index(
                        condition=models.Q(("status", 2)), fields=["owner", "is_public", "id"], name="media_by_place"
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", 1), _negated=True),
                            models.Q(("original_path", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="media_processing_has_original",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status", 2), _negated=True),
                            models.Q(("key", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="media_ready_has_files",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("key", ""), _negated=True), fields=("key",), name="media_unique_key"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ProcessingJob",
            fields=[
                (
                    "media",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="processing_job",
                        serialize=False,
                        to="media.media",
                    ),
                ),
                (
                    "state",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "pending"), (1, "running"), (2, "done"), (3, "dead letter")],
                        db_default=0,
                        default=0,
                    ),
                ),
                ("due_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("lease", models.UUIDField(editable=False, null=True)),
                ("attempts", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("error", models.TextField(blank=True, db_default="", default="")),
                ("owner_id", models.BigIntegerField()),
                ("turn", models.BigIntegerField()),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["due_at"], name="processing_job_due"),
                    models.Index(fields=["turn", "media"], name="processing_job_turn"),
                    models.Index(fields=["owner_id", "turn"], name="processing_job_owner"),
                ]
            },
        ),
    ]
