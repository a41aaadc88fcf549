"""Tokens of links in mails: they work once, for a limited time, and only for what they were mailed for.

The database has a token's SHA-256 only. The token itself is derived from SECRET_KEY and the mail's row each time the
mail is sent, so a mail that is sent twice has the same link, and nothing at rest contains it.

A token is bound to the password at the time of its cause. A user who sets a new password makes all links that an
intruder requested worthless. It is also bound to the address it was mailed to; the callers check that.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.mail.password_state import password_state
from accounts.models import MailKind, OneTimeToken, OutgoingMail, User
from instafeed.core.db.batches import delete_all_in_batches

LIFETIMES = {
    MailKind.VERIFY: timedelta(days=3),
    MailKind.CHANGE: timedelta(days=3),
    MailKind.RESET: timedelta(hours=1),
}
DELETE_BATCH_SIZE = 5_000


class InvalidToken(Exception):
    """The token does not exist, was used before, has expired, or belongs to a former password or address."""


def issue(mail: OutgoingMail, user: User) -> str:
    """Store the token of a mail that is about to be sent, and return it. Its lifetime begins now."""
    kind = MailKind(mail.kind)
    token = _derive(mail)
    OneTimeToken.objects.update_or_create(
        digest=_digest(token),
        defaults={
            "purpose": kind,
            "user_id": user.pk,
            "address": mail.address,
            "password_state": mail.password_state,
            "expires_at": timezone.now() + LIFETIMES[kind],
        },
    )
    return token


def find_user(token: str, *purposes: MailKind) -> User:
    """Return the user of a token without using it. Raises InvalidToken."""
    found = _find(token, purposes).select_related("user").first()
    if found is None or not _still_fits(found, found.user):
        raise InvalidToken
    return found.user


def take(token: str, *purposes: MailKind) -> tuple[User, OneTimeToken]:
    """Use a token: lock its user, delete the token, and return both. Raises InvalidToken.

    Call it in the transaction that does what the token allows. Of two concurrent calls the second waits for the lock
    and then finds no token.
    """
    found = _find(token, purposes).first()
    if found is None:
        raise InvalidToken
    user = User.objects.select_for_update(no_key=True).filter(pk=found.user_id).first()
    deleted, _ = OneTimeToken.objects.filter(pk=found.pk).delete()
    if user is None or not deleted or not _still_fits(found, user):
        raise InvalidToken
    return user, found


def revoke_all(user_id: int) -> None:
    """Delete all tokens of a user, whose password or address has changed."""
    OneTimeToken.objects.filter(user=user_id).delete()


def delete_expired() -> None:
    """Delete tokens that have expired."""
    expired = OneTimeToken.objects.using(DEFAULT_DB_ALIAS).filter(expires_at__lt=timezone.now())
    delete_all_in_batches(expired, DELETE_BATCH_SIZE)


def _find(token: str, purposes: tuple[MailKind, ...]) -> QuerySet[OneTimeToken]:
    fits = Q(digest=_digest(token), purpose__in=purposes, expires_at__gt=timezone.now())
    return OneTimeToken.objects.using(DEFAULT_DB_ALIAS).filter(fits)


def _still_fits(token: OneTimeToken, user: User) -> bool:
    # Who awaits approval may verify the address, and has no other token.
    may_use = user.is_active or (token.purpose == MailKind.VERIFY and user.awaits_approval)
    return may_use and token.password_state == password_state(user)


def _derive(mail: OutgoingMail) -> str:
    """Return the mail's token, which only SECRET_KEY's owner can compute: 256 bits."""
    value = f"{mail.pk}:{mail.created_at.isoformat()}:{mail.kind}:{mail.address}"
    digest = salted_hmac("accounts.mail.one_time_tokens", value, algorithm="sha256").digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
