from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("migrated_app", "0001_initial")]

    operations = [migrations.AddField("note", "failed_at", models.DateTimeField(null=True))]
