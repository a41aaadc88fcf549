"""Write mails: subject, text and HTML from templates, translatable, with the site's name."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.crypto import salted_hmac
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from accounts.mail import one_time_tokens
from accounts.mail.recipients import Recipient
from accounts.models import MailKind, OutgoingMail

_IN_USE = "address_in_use"  # a template without a kind: the address belongs to another account
_SUBJECTS: dict[str, str | Promise] = {
    MailKind.VERIFY: gettext_lazy("Confirm your address for %(site)s"),
    MailKind.RESET: gettext_lazy("Set a new password for %(site)s"),
    MailKind.CHANGE: gettext_lazy("Confirm your new address for %(site)s"),
    MailKind.CHANGE_NOTICE: gettext_lazy("Your address at %(site)s is about to change"),
    MailKind.PASSWORD_NOTICE: gettext_lazy("Your password at %(site)s was changed"),
    MailKind.EXPORT_NOTICE: gettext_lazy("The export of your data from %(site)s is ready"),
    MailKind.SIGN_IN_NOTICE: gettext_lazy("New sign-in to %(site)s"),
    MailKind.APPROVAL_NOTICE: gettext_lazy("Welcome to %(site)s"),
    MailKind.SUSPENSION_NOTICE: gettext_lazy("Your account at %(site)s was suspended"),
    _IN_USE: gettext_lazy("You already have an account at %(site)s"),
}


def write(mail: OutgoingMail, recipient: Recipient) -> EmailMultiAlternatives:
    """Return the mail as a message. Stores the token of its link, if it has one."""
    name = mail.kind if recipient.owner is None else _IN_USE
    values: dict[str, Any] = {
        "site_name": settings.SITE_NAME,
        "site_url": settings.SITE_URL,
        "username": recipient.user.username,
        "owner": recipient.owner and recipient.owner.username,
        "link": _link(mail, recipient) if name in one_time_tokens.LIFETIMES else "",
        "details": mail.details,
    }
    with translation.override(settings.LANGUAGE_CODE):
        message = EmailMultiAlternatives(
            subject=str(_SUBJECTS[name]) % {"site": settings.SITE_NAME},
            body=render_to_string(f"accounts/mail/{name}.txt", values).strip() + "\n",
            from_email=settings.MAIL_FROM,
            to=[mail.address],
            headers={"Message-ID": _message_id(mail), "Auto-Submitted": "auto-generated"},
        )
        message.attach_alternative(render_to_string(f"accounts/mail/{name}.html", values), "text/html")
    return message


def _link(mail: OutgoingMail, recipient: Recipient) -> str:
    template = settings.PASSWORD_RESET_URL if mail.kind == MailKind.RESET else settings.EMAIL_VERIFY_URL
    return template.replace("{token}", one_time_tokens.issue(mail, recipient.user))


def _message_id(mail: OutgoingMail) -> str:
    """Return the same id each time the mail is sent, so that mailboxes can drop a second copy."""
    name = salted_hmac("accounts.mail.message_id", f"{mail.pk}:{mail.created_at.isoformat()}").hexdigest()
    host = settings.MAIL_FROM.rpartition("@")[2].strip("> ")
    return f"<{name}@{host}>"
