import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import instafeed.core.db.snowflake
from instafeed.core.db.partitioned_model import CreatePartitionedModel


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("core", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("media", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Counter",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "subject_id", "slot", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
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
                ("post_ids", django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), db_index=True, editable=False
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Note",
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
                    "target_type",
                    models.CharField(
                        choices=[("post", "Post"), ("comment", "Comment"), ("user", "User")], max_length=7
                    ),
                ),
                ("target_id", models.BigIntegerField()),
                ("user_id", models.BigIntegerField()),
                ("author_id", models.BigIntegerField()),
                ("author_name", models.CharField(max_length=30)),
                ("text", models.TextField(max_length=1000)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user_id", "-id"], name="note_user"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Case",
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
                    "target_type",
                    models.CharField(
                        choices=[("post", "Post"), ("comment", "Comment"), ("user", "User")], max_length=7
                    ),
                ),
                ("target_id", models.BigIntegerField()),
                ("user_id", models.BigIntegerField()),
                ("report_count", models.PositiveIntegerField(default=0)),
                ("reason_counts", models.JSONField(db_default={}, default=dict)),
                (
                    "reported_texts",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), db_default=[], default=list, size=None
                    ),
                ),
                (
                    "known_texts",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.TextField(), db_default=[], default=list, size=None
                    ),
                ),
                (
                    "severity",
                    models.PositiveSmallIntegerField(
                        choices=[(1, "low"), (2, "medium"), (3, "high"), (4, "critical")], db_default=1, default=1
                    ),
                ),
                ("first_reported_at", models.DateTimeField()),
                ("last_reported_at", models.DateTimeField()),
                ("opened_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "state",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "open"), (1, "dismissed"), (2, "acted on")], db_default=0, default=0
                    ),
                ),
                ("closed_at", models.DateTimeField(blank=True, null=True)),
                ("closed_by_id", models.BigIntegerField(blank=True, null=True)),
                ("claimed_by_id", models.BigIntegerField(blank=True, null=True)),
                ("claimed_until", models.DateTimeField(blank=True, null=True)),
                ("escalated_at", models.DateTimeField(blank=True, null=True)),
                ("escalated_by_id", models.BigIntegerField(blank=True, null=True)),
            ],
            options={
                "permissions": [("decide_escalated_case", "Can decide cases that wait for a second opinion")],
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", 0)), fields=["-severity", "opened_at", "id"], name="case_open"
                    ),
                    models.Index(
                        condition=models.Q(("state", 0), _negated=True),
                        fields=["state", "-closed_at", "-id"],
                        name="case_closed",
                    ),
                    django.contrib.postgres.indexes.GinIndex(fields=["reason_counts"], name="case_reasons"),
                    models.Index(fields=["user_id", "-id"], name="case_user"),
                    models.Index(
                        condition=models.Q(("claimed_by_id__isnull", False)),
                        fields=["claimed_by_id"],
                        name="case_claimed",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("target_type", "target_id"), name="case_unique_target")
                ],
            },
        ),
        migrations.CreateModel(
            name="CaseClosing",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField()),
                ("closed_by_id", models.BigIntegerField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["opened_at"], name="closing_opened"),
                    models.Index(fields=["closed_at"], include=["opened_at", "closed_by_id"], name="closing_closed"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Hashtag",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(db_collation="C", max_length=100)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("name",), name="hashtag_once")],
            },
        ),
        CreatePartitionedModel(
            name="Post",
            partition_by="id",
            days=365,
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
                ("caption", models.TextField(blank=True, default="", max_length=2200)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("edited_at", models.DateTimeField(blank=True, null=True)),
                ("hidden_at", models.DateTimeField(blank=True, null=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                ("media_pending", models.BooleanField(db_default=False, default=False, editable=False)),
                (
                    "author",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="post_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "permissions": [("moderate_post", "Can act on reports: hide, restore and delete posts and comments")],
                "indexes": [
                    models.Index(fields=["author", "-id"], name="post_author_newest"),
                    models.Index(condition=models.Q(("deleted_at__isnull", False)), fields=["id"], name="post_deleted"),
                    models.Index(condition=models.Q(("hidden_at__isnull", False)), fields=["id"], name="post_hidden"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Comment",
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
                ("text", models.TextField(max_length=1000)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("hidden_at", models.DateTimeField(blank=True, null=True)),
                (
                    "author",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="comment_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "reply_to",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="reply_set",
                        to="posts.comment",
                    ),
                ),
                (
                    "post",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="comment_set",
                        to="posts.post",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["post", "id"], name="comment_oldest"),
                    models.Index(fields=["author", "id"], name="comment_author"),
                    models.Index(
                        condition=models.Q(("reply_to__isnull", False)), fields=["reply_to"], name="comment_replies"
                    ),
                    models.Index(
                        condition=models.Q(("hidden_at__isnull", False)), fields=["id"], name="comment_hidden"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PostHashtag",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "hashtag_id", "post_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "hashtag",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="post_set",
                        to="posts.hashtag",
                    ),
                ),
                (
                    "post",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="hashtag_set", to="posts.post"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PostMedia",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "post_id", "position", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "media",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="post_media", to="media.media"
                    ),
                ),
                (
                    "post",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="post_media_set",
                        to="posts.post",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="post",
            name="media",
            field=models.ManyToManyField(related_name="post_set", through="posts.PostMedia", to="media.media"),
        ),
        migrations.CreateModel(
            name="Report",
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
                    "target_type",
                    models.CharField(
                        choices=[("post", "Post"), ("comment", "Comment"), ("user", "User")], max_length=7
                    ),
                ),
                ("target_id", models.BigIntegerField()),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("spam", "Spam"),
                            ("nudity", "Nudity"),
                            ("violence", "Violence"),
                            ("harassment", "Harassment"),
                            ("hate", "Hate"),
                            ("self_harm", "self-harm"),
                            ("child_safety", "child safety"),
                            ("misinformation", "Misinformation"),
                            ("copyright", "Copyright"),
                            ("other", "Other"),
                        ],
                        max_length=14,
                    ),
                ),
                ("note", models.TextField(blank=True, default="", max_length=1000)),
                ("text", models.TextField(blank=True, db_default="", default="", editable=False)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "reporter",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="report_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["target_type", "target_id"], name="report_target"),
                    models.Index(fields=["reporter", "-id"], name="report_reporter"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("reporter", "target_type", "target_id"), name="report_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Save",
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
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "post",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="save_set", to="posts.post"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="save_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["user", "-id"], name="save_newest")],
                "constraints": [models.UniqueConstraint(fields=("user", "post"), name="save_once")],
            },
        ),
        migrations.CreateModel(
            name="CommentLike",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "comment_id", "user_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "comment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="like_set",
                        to="posts.comment",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="comment_like_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["user", "comment"], name="comment_like_reverse")],
            },
        ),
        CreatePartitionedModel(
            name="Like",
            partition_by="post_id",
            days=365,
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "post_id", "user_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="like_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "post",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="like_set",
                        to="posts.post",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["user", "post"], name="like_reverse")],
            },
        ),
        migrations.CreateModel(
            name='PostMention',
            fields=[
                ('pk', models.CompositePrimaryKey('post_id', 'name', blank=True, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=30)),
                ('post', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='mention_set', to='posts.post')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='post_mention_set', to=settings.AUTH_USER_MODEL)),
            ],
        ),
    ]
