"""Mail backends: SMTP that says when a mail's content leaves, and a directory of files."""

from __future__ import annotations

import os
import re
import smtplib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends import smtp
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone


class _NotifyingConnection(smtplib.SMTP):
    """A connection that calls `before_content` between the server's consent and the content of a mail.

    The server accepts a mail when it has read the content. So before that call a mail was not sent, and from then on
    only the server's answer tells.
    """

    before_content: Callable[[], None] | None = None

    def send(self, s: Any) -> None:
        # smtplib sends commands as text, and contents as bytes.
        if isinstance(s, bytes) and self.before_content is not None:
            self.before_content()
        super().send(s)


class _NotifyingTlsConnection(_NotifyingConnection, smtplib.SMTP_SSL):
    pass


class SmtpBackend(smtp.EmailBackend):
    """Django's SMTP backend. Set `before_content` to be called before the content of a mail is sent."""

    before_content: Callable[[], None] | None = None

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _NotifyingTlsConnection if self.use_ssl else _NotifyingConnection

    def open(self) -> bool | None:
        opened = super().open()
        if isinstance(self.connection, _NotifyingConnection):
            self.connection.before_content = self.before_content
        return opened


class FileBackend(BaseEmailBackend):
    """Write each mail to a file of its own in EMAIL_FILE_PATH, named after the time and the recipient.

    The file appears as a whole. Only its owner can read it, as it contains tokens.
    """

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        directory = Path(settings.EMAIL_FILE_PATH)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for message in email_messages:
            recipient = re.sub(r"[^A-Za-z0-9@._+-]", "_", message.to[0])[:150]
            path = directory / f"{timezone.now():%Y%m%dT%H%M%S.%f}-{recipient}-{uuid4().hex[:6]}.eml"
            unfinished = path.with_suffix(".new")
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(message.message().as_bytes())
            unfinished.rename(path)
        return len(email_messages)
