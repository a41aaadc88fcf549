"""Decide, when a mail is about to be sent, whether it is still right, and for whom.

Requests queue mails without looking whose address it is, so that they take the same time for every address.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet, Value
from django.db.models.functions import Lower

from accounts.mail.outbox import describe_suspension_end, queue
from accounts.mail.password_state import password_state
from accounts.models import MailKind, OutgoingMail, User


@dataclass(frozen=True)
class Recipient:
    """Who gets a mail. `owner`: another account that has verified the address, which then gets another text."""

    user: User
    owner: User | None = None


def find(mail: OutgoingMail) -> Recipient | None:
    """Return whom the mail is for, or None if it must not be sent."""
    if mail.kind == MailKind.RESET:
        return _find_for_reset(mail)
    if mail.user is None or not _may_get_mail(mail, mail.user):
        return None
    if mail.kind in (MailKind.VERIFY, MailKind.CHANGE):
        return _find_for_address(mail, mail.user)
    if mail.kind == MailKind.APPROVAL_NOTICE and not mail.user.email_verified:
        return None if verified_owners(mail.address).exists() else Recipient(mail.user)
    return Recipient(mail.user)


def _may_get_mail(mail: OutgoingMail, user: User) -> bool:
    if mail.kind == MailKind.SUSPENSION_NOTICE:
        is_suspended = user.suspended_at is not None and user.deleted_at is None
        return is_suspended and mail.details["until"] == describe_suspension_end(user.suspended_until)
    return user.is_active or (mail.kind == MailKind.VERIFY and user.awaits_approval)


def verified_owners(address: str) -> QuerySet[User]:
    """Return the active account that has verified the address, in any case, from the primary."""
    users = User.objects.using(DEFAULT_DB_ALIAS).alias(lower_email=Lower("email"))
    return users.filter(lower_email=Lower(Value(address)), email_verified=True, is_active=True).exclude(email="")


def _find_for_reset(mail: OutgoingMail) -> Recipient | None:
    user = verified_owners(mail.address).first()
    if user is None:
        return None
    if mail.user_id is None:
        # From now on the mail is bound to this user and password: a link that was used is not made again.
        mail.user_id, mail.password_state = user.pk, password_state(user)
        if not queue.owned([mail]).update(user=user.pk, password_state=mail.password_state):
            return None
    return Recipient(user) if mail.user_id == user.pk and mail.password_state == password_state(user) else None


def _find_for_address(mail: OutgoingMail, user: User) -> Recipient | None:
    is_own = user.email.lower() == mail.address.lower()
    is_outdated = mail.password_state != password_state(user) or (mail.kind == MailKind.VERIFY and not is_own)
    if is_outdated or (is_own and user.email_verified):
        return None
    return Recipient(user, verified_owners(mail.address).exclude(pk=user.pk).first())
