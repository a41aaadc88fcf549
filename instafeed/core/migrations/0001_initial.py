import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

from instafeed.core.db.snowflake import CREATE_FUNCTIONS, DROP_FUNCTIONS


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunSQL(CREATE_FUNCTIONS, DROP_FUNCTIONS),
        migrations.CreateModel(
            name="Invalidation",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("keys", django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), size=None)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="IdempotentResponse",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "user_id", "digest", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("user_id", models.BigIntegerField()),
                ("digest", models.UUIDField()),
                ("request_digest", models.UUIDField()),
                ("status", models.SmallIntegerField()),
                ("body", models.BinaryField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "indexes": [models.Index(fields=["created_at"], name="idempotent_response_created")],
            },
        ),
    ]
