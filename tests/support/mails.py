"""Send the mails of the outbox in a test, and read the links in them."""

from __future__ import annotations

import re
from email.message import Message

from django.core import mail
from django.core.mail import EmailMessage

from accounts.mail import sending
from accounts.models import OutgoingMail
from instafeed.core.jobs.leased import Outcome


def send_due_mails() -> list[EmailMessage]:
    """Send what is due, as the worker does, and return it."""
    before = len(mail.outbox)
    for _ in range(OutgoingMail.objects.count() + 1):
        if sending.process_next() is Outcome.UNCLAIMED:
            break
    return list(mail.outbox[before:])


def token_in(message: EmailMessage | Message) -> str:
    """Return the token of a message's link."""
    text = str(message.body) if isinstance(message, EmailMessage) else message.as_string()
    (token,) = set(re.findall(r"#token=([\w-]+)", text))
    return token
