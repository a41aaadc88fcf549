from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

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
    ]
