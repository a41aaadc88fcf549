import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import instafeed.core.db.snowflake


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
        ("core", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # A sequence, not a time-ordered id: after a clock is set back, a new notification must not sort below read ones.
        migrations.RunSQL(
            "CREATE SEQUENCE social_notification_position AS bigint",
            "DROP SEQUENCE social_notification_position",
        ),
        migrations.CreateModel(
            name="NotificationState",
            fields=[
                ("user_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("read_up_to", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Notification",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("recipient_id", models.BigIntegerField()),
                ("aggregation_key", models.CharField(db_collation="C", max_length=40)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("like", "Like"),
                            ("comment", "Comment"),
                            ("reply", "Reply"),
                            ("follow", "Follow"),
                            ("follow_request", "Follow Request"),
                            ("follow_accepted", "Follow Accepted"),
                            ("mention", "Mention"),
                            ("media_failed", "Media Failed"),
                            ("warning", "Warning"),
                            ("content_hidden", "Content Hidden"),
                            ("decision", "Decision"),
                        ],
                        max_length=16,
                    ),
                ),
                ("post_id", models.BigIntegerField(null=True)),
                ("comment_id", models.BigIntegerField(null=True)),
                ("position", models.BigIntegerField()),
                ("actor_count", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("is_dismissed", models.BooleanField(default=False)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_dismissed", False)),
                        fields=["recipient_id", "-position"],
                        name="notification_newest",
                    ),
                    models.Index(
                        condition=models.Q(("is_dismissed", False)),
                        fields=["recipient_id", "kind", "-position"],
                        name="notification_newest_of_kind",
                    ),
                    models.Index(
                        condition=models.Q(("is_dismissed", True)),
                        fields=["recipient_id", "-position"],
                        name="notification_dismissed",
                    ),
                    models.Index(
                        condition=models.Q(("comment_id__isnull", False)), fields=["post_id"], name="notification_post"
                    ),
                    models.Index(fields=["created_at"], name="notification_age"),
                    models.Index(
                        condition=models.Q(("actor_count", 0)), fields=["created_at"], name="notification_empty"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("aggregation_key", "recipient_id"), name="notification_unique_key")
                ],
            },
        ),
        migrations.CreateModel(
            name="NotificationEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("verb", models.PositiveSmallIntegerField(choices=[(1, "announce"), (2, "retract"), (3, "delete")])),
                (
                    "kind",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("like", "Like"),
                            ("comment", "Comment"),
                            ("reply", "Reply"),
                            ("follow", "Follow"),
                            ("follow_request", "Follow Request"),
                            ("follow_accepted", "Follow Accepted"),
                            ("mention", "Mention"),
                            ("media_failed", "Media Failed"),
                            ("warning", "Warning"),
                            ("content_hidden", "Content Hidden"),
                            ("decision", "Decision"),
                        ],
                        max_length=16,
                    ),
                ),
                ("aggregation_key", models.CharField(blank=True, max_length=40)),
                ("recipient_id", models.BigIntegerField(default=0)),
                ("actor_id", models.BigIntegerField(default=0)),
                ("post_id", models.BigIntegerField(null=True)),
                ("comment_id", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("failed_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("failed_at", None)), fields=["id"], name="notification_event_pending"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RequestAcceptance",
            fields=[
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
                ("owner_id", models.BigIntegerField(primary_key=True, serialize=False)),
            ],
            options={"indexes": [models.Index(fields=["due_at"], name="request_acceptance_due")]},
        ),
        migrations.CreateModel(
            name="ModeratorMessage",
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
                ("recipient_id", models.BigIntegerField()),
                (
                    "kind",
                    models.CharField(choices=[("warning", "Warning"), ("decision", "Decision")], max_length=16),
                ),
                ("text", models.TextField()),
                ("post_id", models.BigIntegerField(null=True)),
                ("comment_id", models.BigIntegerField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["recipient_id", "id"], name="moderator_message_recipient"),
                    models.Index(
                        condition=models.Q(("kind", "decision")), fields=["id"], name="moderator_message_decision"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Block",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "blocker_id", "blocked_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "blocked",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="blocked_by_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "blocker",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="block_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["blocked", "blocker"], name="block_reverse")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("blocker", models.F("blocked")), _negated=True), name="block_not_oneself"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Follow",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "followee_id", "follower_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "followee",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="follower_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "follower",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="following_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["follower", "followee"], name="follow_reverse")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("follower", models.F("followee")), _negated=True), name="follow_not_oneself"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="FollowRequest",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "followee_id", "follower_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "followee",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="follow_request_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "follower",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sent_follow_request_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["follower", "followee"], name="follow_request_reverse")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("follower", models.F("followee")), _negated=True),
                        name="follow_request_not_oneself",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Mute",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "muter_id", "muted_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "muted",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="muted_by_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "muter",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mute_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["muted", "muter"], name="mute_reverse")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("muter", models.F("muted")), _negated=True), name="mute_not_oneself"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="NotificationActor",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "notification_id", "actor_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("actor_id", models.BigIntegerField()),
                ("position", models.BigIntegerField()),
                ("announced_at", models.DateTimeField()),
                ("is_active", models.BooleanField(default=True)),
                (
                    "notification",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="actor_set",
                        to="social.notification",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("is_active", True)),
                        fields=["notification", "-position"],
                        name="notification_actor_newest",
                    ),
                    models.Index(fields=["actor_id"], name="notification_actor_actor"),
                    models.Index(
                        condition=models.Q(("is_active", False)),
                        fields=["announced_at"],
                        name="notification_actor_retracted",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="NotificationPreference",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "user_id", "kind", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("user_id", models.BigIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("like", "Like"),
                            ("comment", "Comment"),
                            ("reply", "Reply"),
                            ("follow", "Follow"),
                            ("follow_request", "Follow Request"),
                            ("follow_accepted", "Follow Accepted"),
                            ("mention", "Mention"),
                            ("media_failed", "Media Failed"),
                            ("warning", "Warning"),
                            ("content_hidden", "Content Hidden"),
                            ("decision", "Decision"),
                        ],
                        max_length=16,
                    ),
                ),
                ("in_app", models.BooleanField(null=True)),
                ("push", models.BooleanField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="PushSubscription",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("user_id", models.BigIntegerField(db_index=True)),
                ("endpoint", models.CharField(db_collation="C", max_length=1024)),
                ("p256dh", models.BinaryField(max_length=65)),
                ("auth", models.BinaryField(max_length=16)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "session",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="push_subscription_set",
                        to="accounts.session",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("endpoint",), name="push_subscription_endpoint")],
            },
        ),
        migrations.CreateModel(
            name="OutgoingPush",
            fields=[
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
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("subscription_id", models.BigIntegerField()),
                ("notification_id", models.BigIntegerField()),
                (
                    "announced_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("state__in", (0, 1))), fields=["due_at"], name="push_due"),
                    models.Index(condition=models.Q(("state", 2)), fields=["due_at"], name="push_done"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("subscription_id", "notification_id"), name="push_unique_message")
                ],
            },
        ),
    ]
