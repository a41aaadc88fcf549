"""Verify and change email addresses. An address is an account's own only after a link mailed to it was opened.

Nothing here tells whether another account has an address: requests are answered before anyone looks that up.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction

from accounts import registration_blocks
from accounts.auth_cache import invalidate_auth_state
from accounts.mail import one_time_tokens, outbox
from accounts.models import MailKind, User
from accounts.services import WrongPassword


class AddressInUse(Exception):
    """Another account has verified the address meanwhile."""


def request_change(user_id: int, address: str, password: str) -> None:
    """Mail a link to a new address, and a notice to the present one if it is verified.

    Raises WrongPassword, EmailDomainBlocked.
    """
    user = User.objects.using(DEFAULT_DB_ALIAS).get(pk=user_id)
    if not user.check_password(password):
        raise WrongPassword
    registration_blocks.require_allowed_domain(address)
    with transaction.atomic():
        outbox.enqueue(MailKind.CHANGE, address, user)
        outbox.enqueue_notice(MailKind.CHANGE_NOTICE, user, new_address=address)


def resend_verification(user_id: int) -> None:
    """Mail the link to the user's address again, unless it is verified."""
    user = User.objects.using(DEFAULT_DB_ALIAS).get(pk=user_id)
    if user.email and not user.email_verified:
        with transaction.atomic():
            outbox.enqueue(MailKind.VERIFY, user.email, user)


def confirm(token: str) -> int:
    """Set the address of a link as the verified one of its user, whose id is returned.

    Raises InvalidToken, and AddressInUse, which only the owner of the mailbox can see.
    """
    with transaction.atomic():
        user, used = one_time_tokens.take(token, MailKind.VERIFY, MailKind.CHANGE)
        if used.purpose == MailKind.VERIFY and used.address.lower() != user.email.lower():
            raise one_time_tokens.InvalidToken
        user.email, user.email_verified = used.address, True
        try:
            with transaction.atomic():
                user.save(update_fields=["email", "email_verified"])
        except IntegrityError:
            raise AddressInUse from None
        one_time_tokens.revoke_all(user.pk)  # they are bound to the former address
        invalidate_auth_state(user.pk)
    return user.pk
