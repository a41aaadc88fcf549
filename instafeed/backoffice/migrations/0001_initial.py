import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("django_celery_results", "0014_alter_taskresult_status"),
    ]

    operations = [
        migrations.CreateModel(
            name="Sample",
            fields=[
                ("at", models.DateTimeField(primary_key=True, serialize=False)),
                ("metrics", models.JSONField()),
            ],
            options={
                "verbose_name": "dashboard sample",
            },
        ),
        migrations.CreateModel(
            name="OperatorJob",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                ("kind", models.CharField(max_length=30)),
                ("arguments", models.JSONField(default=dict)),
                ("checkpoint", models.JSONField(default=dict)),
                ("log", models.TextField(blank=True, default="")),
                ("requested_by_id", models.BigIntegerField()),
                ("requested_by_name", models.CharField(max_length=30)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("started_at", models.DateTimeField(editable=False, null=True)),
                ("ended_at", models.DateTimeField(editable=False, null=True)),
                (
                    "task_result",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="operator_job",
                        to="django_celery_results.taskresult",
                        to_field="task_id",
                    ),
                ),
            ],
            options={
                "permissions": [("run_operatorjob", "Can start and cancel operator jobs")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(condition=models.Q(("state__in", (0, 1))), fields=["due_at"], name="operator_job_due"),
                    models.Index(fields=["ended_at"], name="operator_job_ended"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", (0, 1))), fields=("kind",), name="operator_job_one_of_a_kind"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state__in", (0, 1))),
                            models.Q(("ended_at__isnull", False), ("state", 2)),
                            _connector="OR",
                        ),
                        name="operator_job_end_has_time",
                    ),
                ],
            },
        ),
    ]
