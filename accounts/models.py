"""The user: identity, profile, state of access, counts, and which side of the celebrity line it is on.

And the user's sessions: one row a sign-in, from which all its tokens descend. And the ledger of erasures, and the
audit log of what staff did.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.validators import MinLengthValidator, RegexValidator
from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Collate, Lower, Now

from instafeed.core.db.snowflake import NextId

END_OF_TIME = datetime(3000, 1, 1, tzinfo=UTC)
USERNAME_PATTERN = r"^[a-z0-9._]+\Z"
# Unicode's full case folding, ordered by code points: built into PostgreSQL 18, the same on every system.
FOLDED_DISPLAY_NAME = Func("display_name", template='casefold(%(expressions)s COLLATE "pg_unicode_fast")')
# How many characters a username and the folded display name begin with in common, 0 to 30. No username holds a space,
# and the longest match is the one whose repeated part is longest.
COMMON_PREFIX_LENGTH = Func(
    "username",
    FOLDED_DISPLAY_NAME,
    arg_joiner=" || ' ' || ",
    template=r"length(substring(%(expressions)s from '^([^ ]*)[^ ]* \1'))",
    output_field=models.IntegerField(),
)


class CelebrityState(models.IntegerChoices):
    """Where an author's posts travel. Only `feeds.celebrity_transitions` moves it, always one step (ADR 3)."""

    ORDINARY = 0, "ordinary"  # pushed
    PROMOTING = 1, "promoting"  # pushed and pulled
    CELEBRITY = 2, "celebrity"  # pulled
    DEMOTING = 3, "demoting"  # pushed and pulled


class UserManager(BaseUserManager["User"]):
    def create_user(self, username: str, email: str = "", password: str | None = None, **fields: Any) -> User:
        """A new, active user; the password is hashed, or unusable when None."""
        user = self.model(username=username.lower(), email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, email: str = "", password: str | None = None, **fields: Any) -> User:
        return self.create_user(username, email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    id = models.BigAutoField(primary_key=True)
    # The API asks for 3 characters or more; imports may bring shorter ones (`u7`).
    username = models.CharField(
        max_length=30, unique=True, validators=[MinLengthValidator(3), RegexValidator(USERNAME_PATTERN)]
    )
    email = models.EmailField(blank=True, max_length=254)
    display_name = models.CharField(max_length=60, blank=True, default="")
    bio = models.TextField(max_length=500, blank=True, default="")
    website = models.URLField(max_length=200, blank=True, default="")
    avatar_path = models.CharField(max_length=200, blank=True, default="")  # in the default storage
    is_private = models.BooleanField(default=False)

    # False for whoever is suspended, or deleted and waiting for erasure: no access, 404 to everyone else.
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_until = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    # Part of what the admin's sessions are signed with: raised, it ends them all.
    admin_epoch = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    celebrity_state = models.PositiveSmallIntegerField(
        choices=CelebrityState, default=CelebrityState.ORDINARY, db_default=CelebrityState.ORDINARY
    )
    # When the last move began; the token of that move (feeds.celebrity_transitions).
    celebrity_since = models.DateTimeField(null=True, blank=True)
    # A moderator's word: True and False hold whatever the follower count says, None follows it.
    celebrity_pin = models.BooleanField(null=True, blank=True, default=None)

    post_count = models.PositiveIntegerField(default=0, db_default=0)
    # Without what is still to be added to them (CountChange): accounts.follower_counts has the exact ones.
    follower_count = models.IntegerField(default=0, db_default=0)
    following_count = models.IntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["email"]

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(username__regex=r"^[a-z0-9._]{1,30}$"), name="user_username_is_plain"),
            models.UniqueConstraint(Lower("email"), name="user_email_unique", condition=~Q(email="")),
            # PostgreSQL knows dates that Python cannot read back.
            models.CheckConstraint(condition=Q(suspended_until__lt=END_OF_TIME), name="user_suspension_is_readable"),
        ]
        permissions = [
            ("suspend_user", "Can suspend users, warn them, and end their sessions"),
            ("pin_celebrity", "Can pin users to push or pull"),
        ]
        indexes = [
            # What the admin filters by: a handful out of a million.
            models.Index(fields=["id"], name="user_staff", condition=Q(is_staff=True)),
            models.Index(fields=["id"], name="user_suspended", condition=Q(suspended_at__isnull=False)),
            # Authors in the middle of a move: a handful of rows, looked for every few seconds.
            models.Index(
                fields=["id"],
                name="user_celebrity_moving",
                condition=Q(celebrity_state__in=[CelebrityState.PROMOTING, CelebrityState.DEMOTING]),
            ),
            # Whoever is pulled: the celebrity set is rebuilt from it.
            models.Index(fields=["id"], name="user_celebrity", condition=~Q(celebrity_state=CelebrityState.ORDINARY)),
            # Whose side a moderator has chosen: a handful.
            models.Index(fields=["id"], name="user_pinned", condition=Q(celebrity_pin__isnull=False)),
            # Suspensions that end by themselves: looked for every minute.
            models.Index(
                fields=["suspended_until"],
                name="user_suspension_ends",
                condition=Q(suspended_until__isnull=False),
            ),
            # Prefix search (accounts.search): both answer without the table. A planner knows of a folded name that
            # it is in the index only if the name itself is, too.
            models.Index(
                Collate("username", "C"), name="user_search_username", include=["id"], condition=Q(is_active=True)
            ),
            models.Index(
                COMMON_PREFIX_LENGTH,
                FOLDED_DISPLAY_NAME,
                "id",
                name="user_search_display_name",
                include=["display_name", "username"],
                condition=Q(is_active=True) & ~Q(display_name=""),
            ),
        ]

    def __str__(self) -> str:
        return self.username

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Django's, which is of the password alone, and the epoch."""
        of_password = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{of_password}:{self.admin_epoch}"

    @property
    def is_celebrity(self) -> bool:
        """What clients are told: true from the moment that followers pull."""
        return self.celebrity_state == CelebrityState.CELEBRITY


class CountChange(models.Model):
    """What is to be added to a user's follower and following counts, and is not yet in the user's row.

    Appended in the transaction that adds or ends a follow, so that nobody waits for the row of a much-followed
    user; within a second a task adds it to the row (social.counter_rollup). Whoever reads the counts reads
    both at once (accounts.follower_counts).
    """

    id = models.BigAutoField(primary_key=True)
    # No foreign key: its check would write to the user's row, if only to lock it against deletion.
    user_id = models.BigIntegerField(db_index=True)
    followers = models.IntegerField(default=0)
    following = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.followers:+} and {self.following:+} of user {self.user_id}"


class Session(models.Model):
    """A sign-in; its refresh tokens replace one another, and only the newest is alive."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="session_set")
    refresh_jti = models.CharField(max_length=32)  # of the refresh token that is alive
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)
    # From when on no token of it can be valid by its own date, so that the row may go.
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"session {self.pk}"


class Erasure(models.Model):
    """An account that was deleted and is not erased yet: the row commits with the deletion and goes with the account.

    `due_at` is the lease of whoever erases, and the time from which on anybody may.
    """

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="erasure")
    due_at = models.DateTimeField(db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)  # that failed, in a row
    error = models.TextField(blank=True, default="")

    def __str__(self) -> str:
        return f"erasure of user {self.user_id}"


class AuditEntry(models.Model):
    """What a member of staff did to whom, why, and what it changed; committed together with it (accounts.audit).

    Triggers refuse to change or delete a row. So it holds no foreign keys, which would tie it to what may be erased,
    and of users no more than their ids: no texts, no names but that of whoever acted.
    """

    id = models.BigIntegerField(primary_key=True, db_default=NextId(), editable=False)
    actor_id = models.BigIntegerField()
    actor_name = models.CharField(max_length=30)  # as it was then
    action = models.CharField(max_length=30)
    target_type = models.CharField(max_length=20)
    target_id = models.BigIntegerField()
    user_id = models.BigIntegerField(null=True)  # whom it concerns: the target itself, or its author
    reason = models.TextField(max_length=1000, blank=True, default="")
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["target_type", "target_id", "-id"], name="audit_target"),
            models.Index(fields=["user_id", "-id"], name="audit_user"),
            models.Index(fields=["actor_id", "-id"], name="audit_actor"),
            models.Index(fields=["action", "-id"], name="audit_action"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} {self.target_type} {self.target_id}"
