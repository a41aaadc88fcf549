from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0003_erasure"),
    ]

    operations = [
        migrations.CreateModel(
            name="CountChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("user_id", models.BigIntegerField(db_index=True)),
                ("followers", models.IntegerField(default=0)),
                ("following", models.IntegerField(default=0)),
            ],
        ),
        # No longer "positive": what is added commutes only if nothing is cut off on the way.
        migrations.AlterField("user", "follower_count", models.IntegerField(db_default=0, default=0)),
        migrations.AlterField("user", "following_count", models.IntegerField(db_default=0, default=0)),
    ]
