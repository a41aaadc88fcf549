import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Its index and its foreign key are created by deferred SQL, at the end of the transaction."""

    dependencies = [("migrated_app", "0003_note_failed")]

    operations = [
        migrations.CreateModel(
            name="Attachment",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.TextField()),
                ("note", models.ForeignKey("migrated_app.note", django.db.models.deletion.CASCADE)),
            ],
            options={"indexes": [models.Index(fields=["name"], name="attachment_name")]},
        ),
    ]
