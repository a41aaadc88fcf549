import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import Q


def give_up_what_there_is(apps, schema_editor):
    """So far only the demo had pictures, in another layout: it is seeded again."""
    media = apps.get_model("media", "Media")._default_manager.using(schema_editor.connection.alias)
    media.update(status=3, error="From before pictures were processed; seed the demo again.")


def text(length):
    return models.CharField(max_length=length, blank=True, default="", db_default="")


def flag():
    return models.BooleanField(default=False, db_default=False)


class Migration(migrations.Migration):
    dependencies = [("media", "0001_initial")]

    operations = [
        migrations.AddField("media", "status", models.PositiveSmallIntegerField(
            choices=[(0, "uploading"), (1, "processing"), (2, "ready"), (3, "failed")], default=0, db_default=0)),
        migrations.AddField("media", "error", text(200)),
        migrations.AddField("media", "incoming", text(200)),
        migrations.AddField("media", "content_type", text(50)),
        migrations.AddField("media", "size", models.PositiveIntegerField(default=0, db_default=0)),
        migrations.AddField("media", "key", text(64)),
        migrations.AddField("media", "is_public", flag()),
        migrations.AddField("media", "is_withheld", flag()),
        migrations.AddField("media", "is_attached", flag()),
        migrations.AddField("media", "blurhash", text(60)),
        migrations.AddField("media", "variants", models.JSONField(default=dict, db_default={})),
        migrations.AddField("media", "due_at", models.DateTimeField(null=True)),
        migrations.AddField("media", "attempts", models.PositiveIntegerField(default=0, db_default=0)),
        migrations.AddField("media", "failures", models.PositiveSmallIntegerField(default=0, db_default=0)),
        migrations.AlterField("media", "alt_text", text(1000)),
        migrations.AlterField("media", "width", models.PositiveIntegerField(null=True)),
        migrations.AlterField("media", "height", models.PositiveIntegerField(null=True)),
        migrations.RunPython(give_up_what_there_is, migrations.RunPython.noop, elidable=True),
        migrations.RemoveField("media", "path"),
        migrations.AddIndex("media", models.Index(fields=["due_at"], name="media_due", condition=Q(status=1))),
        migrations.AddIndex("media", models.Index(
            fields=["id"], name="media_unattached", condition=Q(is_attached=False))),
        migrations.AddIndex("media", models.Index(
            fields=["owner", "is_public", "id"], name="media_by_place", condition=Q(status=2))),
        migrations.AddConstraint("media", models.CheckConstraint(
            name="media_in_the_making_is_due",
            condition=~Q(status=1) | (Q(due_at__isnull=False) & ~Q(incoming="")))),
        migrations.AddConstraint("media", models.CheckConstraint(
            name="media_ready_has_files", condition=~Q(status=2) | ~Q(key=""))),
        migrations.AddConstraint("media", models.UniqueConstraint(
            fields=["key"], name="media_unique_key", condition=~Q(key=""))),
        migrations.CreateModel("Removal", [
            ("id", models.BigAutoField(primary_key=True, serialize=False)),
            ("paths", django.contrib.postgres.fields.ArrayField(models.TextField())),
            ("public_key", models.CharField(max_length=64, blank=True, default="")),
            ("due_at", models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), db_index=True)),
            ("attempts", models.PositiveSmallIntegerField(default=0, db_default=0)),
        ]),
        migrations.CreateModel("Relocation", [
            ("owner_id", models.BigIntegerField(primary_key=True, serialize=False)),
            ("due_at", models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), db_index=True)),
            ("version", models.PositiveIntegerField(default=0, db_default=0)),
        ]),
    ]
