"""The user with profile, access, counts and celebrity state, former usernames, and pending erasures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.core.exceptions import ValidationError
from django.core.validators import MinLengthValidator, RegexValidator
from django.db import models
from django.db.models import Func, Q, Value
from django.db.models.functions import Collate, Lower, Now

from accounts.usernames import canonical_username, refuse_reserved
from instafeed.core.jobs.leased import LeasedJob

END_OF_TIME = datetime(3000, 1, 1, tzinfo=UTC)
USERNAME_PATTERN = r"^[a-z0-9._]+\Z"
# What search compares: without white space around it, as Python strips it from the searched text, and the same for
# composed and decomposed characters. Unicode's full case folding, ordered by code points, is built into PostgreSQL 18.
_WHITE_SPACE_SQL = (
    r"E' \t\n\v\f\r\x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    r"\u2028\u2029\u202f\u205f\u3000'"
)
SEARCH_FORM_SQL = f'normalize(casefold(normalize(btrim({{}}, {_WHITE_SPACE_SQL}), NFD) COLLATE "pg_unicode_fast"), NFC)'
FOLDED_DISPLAY_NAME = Func("display_name", template=SEARCH_FORM_SQL.format("%(expressions)s"))
# The length of the common prefix of the username and the folded display name: 0 to 30 characters. A username contains
# no space, and the regular expression matches the longest repeated part.
COMMON_PREFIX_LENGTH = Func(
    "username",
    FOLDED_DISPLAY_NAME,
    arg_joiner=" || ' ' || ",
    template=r"length(substring(%(expressions)s from '^([^ ]*)[^ ]* \1'))",
    output_field=models.IntegerField(),
)


class CelebrityState(models.IntegerChoices):
    """How an author's posts reach followers. Only `feeds.celebrity_transitions` changes it, step by step (ADR 3)."""

    ORDINARY = 0, "ordinary"  # pushed
    PROMOTING = 1, "promoting"  # pushed and pulled
    CELEBRITY = 2, "celebrity"  # pulled
    DEMOTING = 3, "demoting"  # pushed and pulled


class UserManager(BaseUserManager["User"]):
    def create_user(self, username: str, email: str = "", password: str | None = None, **fields: Any) -> User:
        """Create an active user. The password is hashed; None makes it unusable."""
        user = self.prepare_user(username, email, password, **fields)
        user.save(using=self._db)
        return user

    def prepare_user(self, username: str, email: str, password: str | None, **fields: Any) -> User:
        """Return a user like `create_user` without saving it. Hashing the password is slow: do not hold locks."""
        user = self.model(username=canonical_username(username), email=self.normalize_email(email), **fields)
        user.set_password(password)
        return user

    def create_superuser(self, username: str, email: str = "", password: str | None = None, **fields: Any) -> User:
        """Create an administrator. `createsuperuser` prints the ValidationError of a reserved username."""
        user = self.prepare_user(username, email, password, is_staff=True, is_superuser=True, **fields)
        user.clean()
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    id = models.BigAutoField(primary_key=True)
    # The API requires at least 3 characters; imported usernames may be shorter (`u7`).
    username = models.CharField(
        max_length=30,
        unique=True,
        validators=[MinLengthValidator(3), RegexValidator(USERNAME_PATTERN), refuse_reserved],
    )
    email = models.EmailField(blank=True, max_length=254)
    # Whether the user opened a link that was sent to the address. Until then it is a claim, which several accounts may
    # make: so registration does not tell which addresses are registered.
    email_verified = models.BooleanField(default=False, db_default=False)
    # Of clients that signed in before, the newest last (accounts.devices).
    known_devices = models.JSONField(default=list, db_default=Value([], models.JSONField()), blank=True, editable=False)
    display_name = models.CharField(max_length=60, blank=True, default="")
    bio = models.TextField(max_length=500, blank=True, default="")
    website = models.URLField(max_length=200, blank=True, default="")
    # In the default storage; private while the account is suspended (media.avatars).
    avatar_path = models.CharField(max_length=200, blank=True, default="")
    avatar_media = models.BigIntegerField(null=True, blank=True, editable=False)  # the picture that it was copied from
    is_private = models.BooleanField(default=False)

    # False for suspended accounts, for those that await approval, and for deleted ones until they are erased: no
    # access, and 404 for everyone else.
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_until = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    # When the user registered, while a moderator has not approved it (accounts.approval): no access, and 404 for
    # everyone. The client's address is kept for that decision only.
    pending_since = models.DateTimeField(null=True, blank=True, editable=False)
    registration_address = models.CharField(max_length=50, default="", db_default="", blank=True, editable=False)
    invite = models.ForeignKey(
        "accounts.Invite",
        models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="user_set",
        db_index=False,
    )
    # Part of the hash in the admin's sessions: increasing it ends them all.
    session_epoch = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    celebrity_state = models.PositiveSmallIntegerField(
        choices=CelebrityState, default=CelebrityState.ORDINARY, db_default=CelebrityState.ORDINARY
    )
    # When the last transition began. Identifies that transition (feeds.celebrity_transitions).
    celebrity_since = models.DateTimeField(null=True, blank=True)
    # Set by an operator: True pins to pull, False to push, None follows the follower count.
    celebrity_pin = models.BooleanField(null=True, blank=True, default=None)

    post_count = models.PositiveIntegerField(default=0, db_default=0)
    # Without pending changes (CountChange). accounts.follower_counts returns the exact counts.
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
            models.UniqueConstraint(
                Lower("email"), name="user_email_unique", condition=Q(email_verified=True) & ~Q(email="")
            ),
            # PostgreSQL accepts dates that Python cannot represent.
            models.CheckConstraint(condition=Q(suspended_until__lt=END_OF_TIME), name="user_suspension_is_readable"),
            models.CheckConstraint(
                condition=Q(pending_since__isnull=True) | Q(is_active=False), name="user_pending_is_inactive"
            ),
        ]
        permissions = [
            ("suspend_user", "Can suspend users, warn them, end their sessions, and remove parts of their profiles"),
            ("pin_celebrity", "Can pin users to push or pull"),
        ]
        indexes = [
            # Searched in the admin, verified or not.
            models.Index(Lower("email"), name="user_email", condition=~Q(email="")),
            # Filters of the admin: a few rows of a million.
            models.Index(fields=["id"], name="user_staff", condition=Q(is_staff=True)),
            models.Index(fields=["id"], name="user_suspended", condition=Q(suspended_at__isnull=False)),
            # Accounts that await approval, and those that came by an invite.
            models.Index(fields=["pending_since", "id"], name="user_pending", condition=Q(pending_since__isnull=False)),
            models.Index(fields=["invite", "id"], name="user_invite", condition=Q(invite__isnull=False)),
            # Authors in transition: a few rows, queried every few seconds.
            models.Index(
                fields=["id"],
                name="user_celebrity_transition",
                condition=Q(celebrity_state__in=[CelebrityState.PROMOTING, CelebrityState.DEMOTING]),
            ),
            # Authors that are pulled: the celebrity set in Redis is rebuilt from these rows.
            models.Index(fields=["id"], name="user_celebrity", condition=~Q(celebrity_state=CelebrityState.ORDINARY)),
            # Pinned authors: a few rows.
            models.Index(fields=["id"], name="user_pinned", condition=Q(celebrity_pin__isnull=False)),
            # Suspensions with an end, queried every minute.
            models.Index(
                fields=["suspended_until"],
                name="user_suspension_ends",
                condition=Q(suspended_until__isnull=False),
            ),
            # Prefix search (accounts.search): index-only scans. The planner uses the folded name from the index only if
            # the index also includes the name itself.
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

    def clean(self) -> None:
        """Refuse a username that is reserved to another account. A trigger refuses it too, in a race."""
        super().clean()
        reserved = FormerUsername.objects.filter(username=self.username, reserved_until__gt=Now())
        if reserved.exclude(user=self.pk).exists():
            raise ValidationError({"username": "This name is reserved to another account."})

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        """Return Django's hash of the password, extended by the session epoch."""
        password_hash = super()._get_session_auth_hash(secret)  # type: ignore[misc]
        return f"{password_hash}:{self.session_epoch}"

    @property
    def awaits_approval(self) -> bool:
        """Whether a moderator has yet to approve the registration of an account that is not suspended or deleted."""
        return self.pending_since is not None and self.suspended_at is None and self.deleted_at is None

    @property
    def is_celebrity(self) -> bool:
        """Whether clients see the user as a celebrity: from the moment when followers pull."""
        return self.celebrity_state == CelebrityState.CELEBRITY


class FormerUsername(models.Model):
    """A name that an account had, and that no other account can take (accounts.former_usernames)."""

    username = models.CharField(max_length=30, primary_key=True)
    user = models.ForeignKey(User, models.CASCADE, related_name="former_username_set")
    created_at = models.DateTimeField()  # when the account gave the name up
    reserved_until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.username


class CountChange(models.Model):
    """A change of a user's follower and following counts that is not yet added to the user's row.

    Appended in the transaction that adds or ends a follow, so that follows of one user do not wait for its row. A task
    adds it to the row within a second (social.counter_rollup). Reads combine both (accounts.follower_counts).
    """

    id = models.BigAutoField(primary_key=True)
    # Not a foreign key: its check would lock the user's row against deletion, which writes to the row.
    user_id = models.BigIntegerField(db_index=True)
    followers = models.IntegerField(default=0)
    following = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.followers:+} and {self.following:+} of user {self.user_id}"


class Erasure(LeasedJob):
    """A deleted account that is not erased yet. The row is created by the deletion and goes with the user's row."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="erasure")

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="erasure_due")]

    def __str__(self) -> str:
        return f"erasure of user {self.user_id}"
