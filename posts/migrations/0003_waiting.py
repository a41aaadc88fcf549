from django.db import migrations, models


def mark_attached(apps, schema_editor):
    """Pictures of posts, which so far only the posts knew of."""
    schema_editor.execute(
        "UPDATE media_media SET is_attached = true FROM posts_postmedia WHERE posts_postmedia.media_id = media_media.id"
    )


class Migration(migrations.Migration):
    dependencies = [("media", "0002_processing"), ("posts", "0002_engagement")]

    operations = [
        migrations.AddField("post", "waiting", models.BooleanField(default=False, db_default=False, editable=False)),
        migrations.RunPython(mark_attached, migrations.RunPython.noop, elidable=True),
    ]
