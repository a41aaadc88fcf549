import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import instafeed.core.db.snowflake

CASCADE = django.db.models.deletion.CASCADE
SET_NULL = django.db.models.deletion.SET_NULL
REASONS = ["spam", "nudity", "violence", "harassment", "misinformation", "other"]


def next_id():
    return models.BigIntegerField(
        db_default=instafeed.core.db.snowflake.NextId(), editable=False, primary_key=True, serialize=False
    )


def now(**kwargs):
    return models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, **kwargs)


def pair(*fields):
    return models.CompositePrimaryKey(*fields, blank=True, editable=False, primary_key=True, serialize=False)


def key(to, name, on_delete=CASCADE, **kwargs):
    return models.ForeignKey(on_delete=on_delete, related_name=name, to=to, **kwargs)


class Migration(migrations.Migration):
    # Written by hand: the autodetector makes tables with composite keys before the columns that these need.

    dependencies = [
        ("media", "0001_initial"),
        ("posts", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveField(model_name="post", name="comment_count"),
        migrations.RemoveField(model_name="post", name="like_count"),
        migrations.AddField(
            model_name="post", name="deleted_at", field=models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddIndex(
            model_name="post",
            index=models.Index(condition=models.Q(("deleted_at__isnull", False)), fields=["id"], name="post_deleted"),
        ),
        migrations.CreateModel(
            name="Counter",
            fields=[
                ("pk", pair("subject_id", "slot")),
                ("subject_id", models.BigIntegerField()),
                ("slot", models.PositiveSmallIntegerField()),
                ("likes", models.IntegerField(db_default=0, default=0)),
                ("comments", models.IntegerField(db_default=0, default=0)),
            ],
        ),
        migrations.CreateModel(
            name="ExploreRanking",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "post_ids",
                    django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None),
                ),
                ("created_at", now(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="Hashtag",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(db_collation="C", max_length=100)),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("name",), name="hashtag_once")]},
        ),
        migrations.CreateModel(
            name="PostHashtag",
            fields=[
                ("pk", pair("hashtag_id", "post_id")),
                ("hashtag", key("posts.hashtag", "post_set", db_index=False)),
                ("post", key("posts.post", "hashtag_set")),
            ],
        ),
        migrations.CreateModel(
            name="Comment",
            fields=[
                ("id", next_id()),
                ("text", models.TextField(max_length=1000)),
                ("created_at", now()),
                ("hidden_at", models.DateTimeField(blank=True, null=True)),
                ("author", key(settings.AUTH_USER_MODEL, "comment_set", db_index=False)),
                ("post", key("posts.post", "comment_set", db_index=False)),
                (
                    "reply_to",
                    key("posts.comment", "reply_set", SET_NULL, blank=True, db_index=False, null=True),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["post", "id"], name="comment_oldest"),
                    models.Index(fields=["author", "id"], name="comment_author"),
                    models.Index(
                        condition=models.Q(("reply_to__isnull", False)), fields=["reply_to"], name="comment_replies"
                    ),
                ]
            },
        ),
        migrations.CreateModel(
            name="CommentLike",
            fields=[
                ("pk", pair("comment_id", "user_id")),
                ("created_at", now()),
                ("comment", key("posts.comment", "like_set", db_index=False)),
                ("user", key(settings.AUTH_USER_MODEL, "comment_like_set", db_index=False)),
            ],
            options={"indexes": [models.Index(fields=["user", "comment"], name="comment_like_reverse")]},
        ),
        migrations.CreateModel(
            name="Like",
            fields=[
                ("pk", pair("post_id", "user_id")),
                ("created_at", now()),
                ("post", key("posts.post", "like_set", db_index=False)),
                ("user", key(settings.AUTH_USER_MODEL, "like_set", db_index=False)),
            ],
            options={"indexes": [models.Index(fields=["user", "post"], name="like_reverse")]},
        ),
        migrations.CreateModel(
            name="Save",
            fields=[
                ("id", next_id()),
                ("created_at", now()),
                ("post", key("posts.post", "save_set")),
                ("user", key(settings.AUTH_USER_MODEL, "save_set", db_index=False)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("user", "post"), name="save_once")],
                "indexes": [models.Index(fields=["user", "-id"], name="save_newest")],
            },
        ),
        migrations.CreateModel(
            name="Report",
            fields=[
                ("id", next_id()),
                (
                    "target_type",
                    models.CharField(
                        choices=[("post", "Post"), ("comment", "Comment"), ("user", "User")], max_length=7
                    ),
                ),
                ("target_id", models.BigIntegerField()),
                (
                    "reason",
                    models.CharField(choices=[(reason, reason.capitalize()) for reason in REASONS], max_length=14),
                ),
                ("note", models.TextField(blank=True, default="", max_length=1000)),
                ("created_at", now()),
                ("reporter", key(settings.AUTH_USER_MODEL, "report_set", db_index=False)),
            ],
            options={
                "indexes": [models.Index(fields=["target_type", "target_id"], name="report_target")],
                "constraints": [
                    models.UniqueConstraint(fields=("reporter", "target_type", "target_id"), name="report_once")
                ],
            },
        ),
    ]
