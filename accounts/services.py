"""Change accounts. Each function is one transaction that also invalidates the caches of what it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models import Q, Value
from django.db.models.functions import Lower
from django.utils import timezone
from psycopg.errors import UniqueViolation

from accounts import avatar_storage, former_usernames, sessions
from accounts.mail import outbox
from accounts.models import MailKind, User
from accounts.signals import access_changed, privacy_changed, privacy_changing
from accounts.usernames import canonical_username
from instafeed.core.cache import keys
from instafeed.core.cache.invalidation import invalidate

LIFT_BATCH_SIZE = 500  # suspensions
SIGN_IN_ADDRESS = Q(email_verified=True) & ~Q(email="")  # of the accounts whose address can be used to sign in


class AlreadyTaken(Exception):
    """Another account has this value of `field` (username or email), in any case."""

    def __init__(self, field: str) -> None:
        super().__init__(f"this {field} is taken")
        self.field = field


class WrongPassword(Exception):
    """The given current password is wrong, or was changed concurrently."""


class ApprovalPending(Exception):
    """The password is right, and a moderator has not approved the registration yet."""


def register(username: str, email: str, password: str) -> User:
    """Create an account for an operator, and mail a link to verify its address. Raises AlreadyTaken for the username.

    `accounts.registration` has the rules for users who register themselves.
    """
    user = User.objects.prepare_user(username, email, password)
    add_account(user)
    return user


def add_account(user: User) -> None:
    """Save a prepared user, and mail a link to verify the address. Raises AlreadyTaken for the username.

    The database's unique constraints decide, so of two concurrent registrations one succeeds. Any address is accepted:
    it is a claim until it is verified.
    """
    with _raise_already_taken():
        user.save(force_insert=True)
        if user.email:  # operators create accounts without one
            outbox.enqueue(MailKind.VERIFY, user.email, user)
        _invalidate_user(user.pk)  # an earlier request for this id may have cached that it does not exist


def find_account(name: str) -> User | None:
    """Return the account with this username or email address, in any case, from the primary.

    No username contains an @. Both kinds of names take one query.
    """
    users = User.objects.using(DEFAULT_DB_ALIAS)
    if "@" not in name:
        return users.filter(username=canonical_username(name)).first()
    with_address = users.filter(SIGN_IN_ADDRESS).alias(lower_email=Lower("email"))
    return with_address.filter(lower_email=Lower(Value(name.strip()))).first()


def verify_password(user: User | None, password: str) -> bool:
    """Return whether this is the password of an active account. None takes about as long as a wrong password.

    Raises ApprovalPending if it is the password of an account that awaits approval.
    """
    if user is None:
        make_password(password)
        return False
    is_right = user.check_password(password)
    if is_right and user.awaits_approval:
        raise ApprovalPending
    return is_right and user.is_active


def require_password(user_id: int, password: str) -> None:
    """Raise WrongPassword unless this is the user's password, User.DoesNotExist if there is no such user."""
    if not User.objects.using(DEFAULT_DB_ALIAS).get(pk=user_id).check_password(password):
        raise WrongPassword


def change_password(user_id: int, current: str, new: str, *, keep_session: int | None) -> None:
    """Set a new password, end all sessions except `keep_session`, and mail a notice. Raises WrongPassword."""
    user = User.objects.using(DEFAULT_DB_ALIAS).get(pk=user_id)
    if not user.check_password(current):
        raise WrongPassword
    hashed = make_password(new)  # slow by design, so before the row is locked
    with transaction.atomic():
        if not User.objects.filter(pk=user_id, password=user.password).update(password=hashed):
            raise WrongPassword
        sessions.end_all(user_id, keep=keep_session)
        outbox.enqueue_notice(MailKind.PASSWORD_NOTICE, user)


def update_profile(
    user_id: int,
    changes: dict[str, Any],
    *,
    limit_renames: bool = False,
    check_publication: Callable[[], None] = lambda: None,
) -> User:
    """Set profile fields to validated values and return the user. `avatar` is a media id or None.

    A former username stays reserved to the user. `limit_renames`: raise former_usernames.TooManyRenames if the user
    renames the account too often. `check_publication` is called if a private account becomes public, with its row
    locked; it may raise to refuse. A new email address, which only staff set here, is not verified unless
    `email_verified` is given too. Raises AlreadyTaken, avatar_storage.PictureNotFound, DependencyUnavailable,
    User.DoesNotExist.
    """
    changes = dict(changes)
    if "avatar" in changes:
        changes["avatar_media"] = changes.pop("avatar")
        changes["avatar_path"] = avatar_storage.create_copy(user_id, changes["avatar_media"])
    with transaction.atomic():
        if "is_private" in changes:
            privacy_changing.send(User, user_id=user_id)
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        changed = [field for field, value in changes.items() if getattr(user, field) != value]
        if "email" in changed and "email_verified" not in changes:
            changes["email_verified"] = False
            changed.append("email_verified")
        if "is_private" in changed and user.is_private:
            check_publication()
        if "avatar_path" in changed:
            _confirm_avatar(user, changes["avatar_path"], changes["avatar_media"])
        if "username" in changed and limit_renames:
            former_usernames.require_rename_allowed(user_id, changes["username"])
        old_username = user.username
        for field in changed:
            setattr(user, field, changes[field])
        if "is_staff" in changed:
            user.session_epoch += 1
            changed.append("session_epoch")
        if changed:
            with _raise_already_taken():
                user.save(update_fields=changed)
            _invalidate_user(user_id)
        if "username" in changed:
            former_usernames.record_rename(user_id, old_username, user.username)
        if "is_private" in changed:
            privacy_changed.send(User, user_id=user_id, is_private=user.is_private)
    return user


def _confirm_avatar(user: User, path: str, media_id: int | None) -> None:
    """Keep the new avatar of a locked user and delete the former one. Raises PictureNotFound, DependencyUnavailable."""
    if path and not user.is_active:  # suspended since the request began: the new file would stay public
        raise avatar_storage.PictureNotFound
    avatar_storage.confirm(path, media_id)
    avatar_storage.schedule_deletion(user.avatar_path)


def remove_avatar(user_id: int, *, is_urgent: bool = False) -> bool:
    """Remove the user's avatar and delete its file. Return False if there is none.

    `is_urgent`: a moderator took it down, so its file is deleted before others.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).filter(pk=user_id).exclude(avatar_path="").first()
        if user is None:
            return False
        avatar_storage.schedule_deletion(user.avatar_path, is_urgent=is_urgent)
        User.objects.filter(pk=user_id).update(avatar_path="", avatar_media=None)
        _invalidate_user(user_id)
    return True


def suspend(user_id: int, until: datetime | None = None) -> bool:
    """Deactivate an account at once, until a time or indefinitely. Return whether it was active.

    A second call changes only `until`. The sessions are not ended: they work again after a reinstatement.
    Raises User.DoesNotExist.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        was_active = user.is_active
        if user.suspended_at is None:
            user.suspended_at = timezone.now()
        user.suspended_until = until
        user.is_active = False
        user.session_epoch += 1  # sessions of the admin end for good, unlike those of the API
        user.save(update_fields=["suspended_at", "suspended_until", "is_active", "session_epoch"])
        if was_active:
            announce_access_change(user)
    return was_active


def reinstate(user_id: int) -> bool:
    """End a suspension. Return whether this made the account active again.

    An account that is being deleted or awaits approval stays inactive. Raises User.DoesNotExist.
    """
    with transaction.atomic():
        return _reinstate(User.objects.select_for_update(no_key=True).get(pk=user_id))


def lift_due_suspensions() -> None:
    """Reinstate up to LIFT_BATCH_SIZE accounts whose suspension has ended."""
    with transaction.atomic():
        due = User.objects.select_for_update(no_key=True, skip_locked=True).filter(suspended_until__lte=timezone.now())
        for user in due.order_by("pk")[:LIFT_BATCH_SIZE]:
            _reinstate(user)


def _reinstate(user: User) -> bool:
    becomes_active = not user.is_active and user.deleted_at is None and user.pending_since is None
    user.suspended_at = user.suspended_until = None
    user.is_active = user.is_active or becomes_active
    user.save(update_fields=["suspended_at", "suspended_until", "is_active"])
    if becomes_active:
        announce_access_change(user)
    return becomes_active


def announce_access_change(user: User) -> None:
    """Invalidate caches and send `access_changed` for a user that was just activated or deactivated."""
    _invalidate_user(user.pk)
    access_changed.send(User, user_id=user.pk, is_active=user.is_active)


def _invalidate_user(user_id: int) -> None:
    invalidate([keys.user_summary(user_id), keys.auth_state(user_id)])


@contextmanager
def _raise_already_taken() -> Iterator[None]:
    """Open a transaction or savepoint that raises AlreadyTaken for a username or email that is in use."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        violation = error.__cause__
        if isinstance(violation, UniqueViolation):
            name = violation.diag.constraint_name or ""
            raise AlreadyTaken("email" if "email" in name else "username") from error
        raise
