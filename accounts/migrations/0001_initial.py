import datetime

import accounts.usernames
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models

import instafeed.core.db.cidr
import instafeed.core.db.snowflake


APPEND_ONLY = """
CREATE FUNCTION accounts_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_audit_is_append_only();
CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON accounts_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_is_append_only();
"""
DROP_APPEND_ONLY = """
DROP TRIGGER audit_is_not_truncated ON accounts_auditentry;
DROP TRIGGER audit_is_append_only ON accounts_auditentry;
DROP FUNCTION accounts_audit_is_append_only();
"""


SEARCH_FORM = (
    "normalize(casefold(normalize(btrim(%(expressions)s, "
    r"E' \t\n\v\f\r\x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    r"\u2028\u2029\u202f\u205f\u3000'"
    '), NFD) COLLATE "pg_unicode_fast"), NFC)'
)


MAIL_KINDS = [
    ("verify", "verify the address"),
    ("reset", "reset the password"),
    ("change", "confirm a new address"),
    ("change_notice", "notice of a new address"),
    ("password_notice", "notice of a new password"),
    ("sign_in_notice", "notice of a sign-in"),
    ("export_notice", "notice of an export"),
    ("approval_notice", "notice of an approved registration"),
    ("suspension_notice", "notice of a suspension"),
]

# The check for reservations runs after the unique index has admitted the name (accounts.former_usernames).
REFUSE_RESERVED_USERNAMES = """
CREATE FUNCTION accounts_refuse_reserved_username() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM accounts_formerusername former
        WHERE former.username = NEW.username AND former.user_id <> NEW.id AND former.reserved_until > clock_timestamp()
    ) THEN
        RAISE unique_violation USING
            MESSAGE = 'the username is reserved to another account', CONSTRAINT = 'user_username_reserved';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER new_username_is_not_reserved AFTER INSERT ON accounts_user
    FOR EACH ROW EXECUTE FUNCTION accounts_refuse_reserved_username();
CREATE TRIGGER changed_username_is_not_reserved AFTER UPDATE OF username ON accounts_user
    FOR EACH ROW WHEN (OLD.username <> NEW.username) EXECUTE FUNCTION accounts_refuse_reserved_username();
"""
ALLOW_RESERVED_USERNAMES = """
DROP TRIGGER changed_username_is_not_reserved ON accounts_user;
DROP TRIGGER new_username_is_not_reserved ON accounts_user;
DROP FUNCTION accounts_refuse_reserved_username();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("core", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="Invite",  # `created_by` follows the user
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("code", models.CharField(editable=False, max_length=28, unique=True)),
                ("max_uses", models.PositiveIntegerField(default=1)),
                ("uses", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("note", models.CharField(blank=True, default="", max_length=200)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("uses__lte", models.F("max_uses"))), name="invite_uses_are_limited"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsedChallenge",
            fields=[
                ("digest", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "username",
                    models.CharField(
                        max_length=30,
                        unique=True,
                        validators=[
                            django.core.validators.MinLengthValidator(3),
                            django.core.validators.RegexValidator("^[a-z0-9._]+\\Z"),
                            accounts.usernames.refuse_reserved,
                        ],
                    ),
                ),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("email_verified", models.BooleanField(db_default=False, default=False)),
                (
                    "known_devices",
                    models.JSONField(
                        blank=True, db_default=models.Value([], models.JSONField()), default=list, editable=False
                    ),
                ),
                ("display_name", models.CharField(blank=True, default="", max_length=60)),
                ("bio", models.TextField(blank=True, default="", max_length=500)),
                ("website", models.URLField(blank=True, default="")),
                ("avatar_path", models.CharField(blank=True, default="", max_length=200)),
                ("avatar_media", models.BigIntegerField(blank=True, editable=False, null=True)),
                ("is_private", models.BooleanField(default=False)),
                ("is_active", models.BooleanField(default=True)),
                ("is_staff", models.BooleanField(default=False)),
                ("suspended_at", models.DateTimeField(blank=True, null=True)),
                ("suspended_until", models.DateTimeField(blank=True, null=True)),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                ("pending_since", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "registration_address",
                    models.CharField(blank=True, db_default="", default="", editable=False, max_length=50),
                ),
                (
                    "invite",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="user_set",
                        to="accounts.invite",
                    ),
                ),
                ("session_epoch", models.PositiveIntegerField(db_default=0, default=0, editable=False)),
                (
                    "celebrity_state",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "ordinary"), (1, "promoting"), (2, "celebrity"), (3, "demoting")],
                        db_default=0,
                        default=0,
                    ),
                ),
                ("celebrity_since", models.DateTimeField(blank=True, null=True)),
                ("celebrity_pin", models.BooleanField(blank=True, default=None, null=True)),
                ("post_count", models.PositiveIntegerField(db_default=0, default=0)),
                ("follower_count", models.IntegerField(db_default=0, default=0)),
                ("following_count", models.IntegerField(db_default=0, default=0)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "permissions": [
                    (
                        "suspend_user",
                        "Can suspend users, warn them, end their sessions, and remove parts of their profiles",
                    ),
                    ("pin_celebrity", "Can pin users to push or pull"),
                ],
                "indexes": [
                    models.Index(
                        django.db.models.functions.text.Lower("email"),
                        condition=models.Q(("email", ""), _negated=True),
                        name="user_email",
                    ),
                    models.Index(condition=models.Q(("is_staff", True)), fields=["id"], name="user_staff"),
                    models.Index(
                        condition=models.Q(("suspended_at__isnull", False)), fields=["id"], name="user_suspended"
                    ),
                    models.Index(
                        condition=models.Q(("pending_since__isnull", False)),
                        fields=["pending_since", "id"],
                        name="user_pending",
                    ),
                    models.Index(
                        condition=models.Q(("invite__isnull", False)), fields=["invite", "id"], name="user_invite"
                    ),
                    models.Index(
                        condition=models.Q(("celebrity_state__in", [1, 3])), fields=["id"], name="user_celebrity_transition"
                    ),
                    models.Index(
                        condition=models.Q(("celebrity_state", 0), _negated=True), fields=["id"], name="user_celebrity"
                    ),
                    models.Index(
                        condition=models.Q(("celebrity_pin__isnull", False)), fields=["id"], name="user_pinned"
                    ),
                    models.Index(
                        condition=models.Q(("suspended_until__isnull", False)),
                        fields=["suspended_until"],
                        name="user_suspension_ends",
                    ),
                    models.Index(
                        django.db.models.functions.comparison.Collate("username", "C"),
                        condition=models.Q(("is_active", True)),
                        include=("id",),
                        name="user_search_username",
                    ),
                    models.Index(
                        models.Func(
                            "username",
                            models.Func("display_name", template=SEARCH_FORM),
                            arg_joiner=" || ' ' || ",
                            output_field=models.IntegerField(),
                            template="length(substring(%(expressions)s from '^([^ ]*)[^ ]* \\1'))",
                        ),
                        models.Func("display_name", template=SEARCH_FORM),
                        models.F("id"),
                        condition=models.Q(("is_active", True), models.Q(("display_name", ""), _negated=True)),
                        include=("display_name", "username"),
                        name="user_search_display_name",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("username__regex", "^[a-z0-9._]{1,30}$")), name="user_username_is_plain"
                    ),
                    models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"),
                        condition=models.Q(("email_verified", True), models.Q(("email", ""), _negated=True)),
                        name="user_email_unique",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("suspended_until__lt", datetime.datetime(3000, 1, 1, 0, 0, tzinfo=datetime.timezone.utc))
                        ),
                        name="user_suspension_is_readable",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("pending_since__isnull", True), ("is_active", False), _connector="OR"
                        ),
                        name="user_pending_is_inactive",
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="invite",
            name="created_by",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="created_invite_set",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.CreateModel(
            name="BlockedEmailDomain",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("domain", models.CharField(max_length=253, unique=True)),
                ("note", models.CharField(blank=True, default="", max_length=200)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="blocked_domain_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("domain__regex", "^[a-z0-9_-]+(\\.[a-z0-9_-]+)+$")),
                        name="blocked_domain_is_canonical",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="BlockedNetwork",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "network",
                    instafeed.core.db.cidr.CidrField(
                        help_text="An address, or a network such as 203.0.113.0/24 or 2001:db8::/32.", unique=True
                    ),
                ),
                ("note", models.CharField(blank=True, default="", max_length=200)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="blocked_network_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="CountChange",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("user_id", models.BigIntegerField(db_index=True)),
                ("followers", models.IntegerField(default=0)),
                ("following", models.IntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Erasure",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="erasure",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
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
            ],
            options={"indexes": [models.Index(fields=["due_at"], name="erasure_due")]},
        ),
        migrations.CreateModel(
            name="OutgoingMail",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
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
                ("kind", models.CharField(choices=MAIL_KINDS, max_length=20)),
                ("address", models.EmailField(max_length=254)),
                ("password_state", models.CharField(db_default="", default="", max_length=32)),
                ("details", models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict)),
                ("uncertain", models.PositiveSmallIntegerField(db_default=0, default=0)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mail_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["due_at"], name="mail_due"),
                    models.Index(condition=models.Q(("state", 3)), fields=["due_at"], name="mail_dead"),
                ]
            },
        ),
        migrations.CreateModel(
            name="OneTimeToken",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("purpose", models.CharField(choices=MAIL_KINDS, max_length=20)),
                ("address", models.EmailField(max_length=254)),
                ("password_state", models.CharField(max_length=32)),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="one_time_token_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AuditEntry",
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
                ("actor_id", models.BigIntegerField()),
                ("actor_name", models.CharField(max_length=30)),
                ("action", models.CharField(max_length=30)),
                ("target_type", models.CharField(max_length=20)),
                ("target_id", models.BigIntegerField()),
                ("user_id", models.BigIntegerField(null=True)),
                ("reason", models.TextField(blank=True, default="", max_length=1000)),
                ("policy_id", models.BigIntegerField(null=True)),
                ("policy_name", models.CharField(blank=True, db_default="", default="", max_length=60)),
                ("before", models.JSONField(default=dict)),
                ("after", models.JSONField(default=dict)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "indexes": [
                    models.Index(fields=["target_type", "target_id", "-id"], name="audit_target"),
                    models.Index(fields=["user_id", "-id"], name="audit_user"),
                    models.Index(fields=["actor_id", "-id"], name="audit_actor"),
                    models.Index(fields=["action", "-id"], name="audit_action"),
                    models.Index(
                        condition=models.Q(("policy_id__isnull", False)),
                        fields=["policy_id", "-id"],
                        name="audit_policy",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Session",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("refresh_jti", models.CharField(max_length=32)),
                ("previous_jti", models.CharField(db_default="", default="", max_length=32)),
                ("refreshed_at", models.DateTimeField(blank=True, null=True)),
                ("client", models.CharField(db_default="", default="", max_length=100)),
                ("address", models.CharField(db_default="", default="", max_length=50)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="session_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["user", "id"], name="session_user"),
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)), fields=["user", "id"], name="session_live"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SecondFactor",
            fields=[
                ("confirmed", models.BooleanField(default=True, help_text="Is this device ready for use?")),
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("encrypted_secret", models.CharField(max_length=200)),
                ("key_id", models.CharField(db_index=True, max_length=16)),
                ("last_step", models.BigIntegerField(default=-1)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="second_factor",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"abstract": False},
        ),
        migrations.CreateModel(
            name="RecoveryCode",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                (
                    "factor",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="recovery_code_set",
                        to="accounts.secondfactor",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("factor", "digest"), name="recovery_code_unique")],
            },
        ),
        migrations.CreateModel(
            name="FormerUsername",
            fields=[
                ("username", models.CharField(max_length=30, primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField()),
                ("reserved_until", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="former_username_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PendingAccount",
            fields=[],
            options={"proxy": True, "indexes": [], "constraints": []},
            bases=("accounts.user",),
        ),
        migrations.CreateModel(
            name="Policy",
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
                ("name", models.CharField(max_length=60, unique=True)),
                (
                    "text",
                    models.TextField(
                        help_text="The message to a user who broke it.",
                        max_length=1000,
                        verbose_name="text for the author",
                    ),
                ),
                (
                    "severity",
                    models.PositiveSmallIntegerField(
                        choices=[(1, "low"), (2, "medium"), (3, "high"), (4, "critical")],
                        help_text="Cases of a higher severity come first. A change applies to later reports.",
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
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
                        help_text="Cases that are reported for this reason suggest the policy, and get its severity.",
                        max_length=14,
                        verbose_name="reason of reports",
                    ),
                ),
                (
                    "default_action",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("dismiss", "Dismiss"),
                            ("hide", "Hide"),
                            ("hide_and_warn", "Hide and warn"),
                            ("warn", "Warn"),
                            ("suspend", "Suspend"),
                        ],
                        max_length=20,
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="in use")),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "verbose_name_plural": "policies",
                "ordering": ("-severity", "name"),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("is_active", True), models.Q(("reason", ""), _negated=True)),
                        fields=("reason",),
                        name="policy_unique_reason",
                        violation_error_message="Another policy in use has this reason.",
                    )
                ],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, DROP_APPEND_ONLY),
        migrations.RunSQL(REFUSE_RESERVED_USERNAMES, ALLOW_RESERVED_USERNAMES),
    ]
