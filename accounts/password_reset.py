"""Back into an account without its password, by a link that is mailed to its verified address."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import sessions
from accounts.mail import one_time_tokens, outbox
from accounts.models import MailKind, User


def request(address: str) -> None:
    """Queue a mail with a link. The worker looks whether an account has verified the address."""
    with transaction.atomic():
        outbox.enqueue(MailKind.RESET, address)


def find_user(token: str) -> User:
    """Return the user of a link without using it, to check the new password. Raises InvalidToken."""
    return one_time_tokens.find_user(token, MailKind.RESET)


def confirm(token: str, new_password: str) -> int:
    """Set a new password, end all sessions, and return the user's id. Raises InvalidToken."""
    hashed = make_password(new_password)  # slow by design, so before the row is locked
    with transaction.atomic():
        user, used = one_time_tokens.take(token, MailKind.RESET)
        if not user.email_verified or used.address.lower() != user.email.lower():
            raise one_time_tokens.InvalidToken
        user.password = hashed
        user.save(update_fields=["password"])
        sessions.end_all(user.pk)
        one_time_tokens.revoke_all(user.pk)
        outbox.enqueue_notice(MailKind.PASSWORD_NOTICE, user)
    return user.pk
