"""Send the mails of the outbox, one at a time, each in its own conversation with the mail server.

SMTP cannot say "exactly once": if the worker or the connection dies after the content of a mail has left and before the
answer, the mail may have been accepted or not. Such a mail is sent once more and never a third time, so its recipient
gets it at least once, unless both attempts ended like that, and at most twice. All other failures are retried for
`outbox.MAX_AGE`: the mail was not accepted then.
"""

from __future__ import annotations

import logging
import smtplib
from contextlib import suppress

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import F
from django.utils import timezone

from accounts.mail import messages, outbox, recipients
from accounts.mail.outbox import queue
from accounts.models import OutgoingMail
from instafeed.core.jobs.leased import Outcome
from instafeed.core.mail.backends import SmtpBackend
from instafeed.core.observability.metrics import MAILS

logger = logging.getLogger(__name__)

MAX_UNCERTAIN = 2  # contents that left without an answer
_PERMANENT_CODE = 500  # of SMTP: from here on a repetition gives the same answer


class _LeaseLost(Exception):
    """Another worker has the mail."""


class _NotSent(Exception):
    """The mail was not accepted, or nothing is known. The text has no address: it goes to logs and to the row."""


class _RecipientRefused(Exception):
    """The server knows for good that it does not deliver to this address."""


def process_next() -> Outcome:
    """Send the mail that has been due longest."""
    return queue.run_next(process)


def process(mail: OutgoingMail) -> Outcome:
    """Send a claimed mail, unless it is no longer right, and end the claim."""
    if mail.uncertain >= MAX_UNCERTAIN:
        return _give_up(mail, "uncertain", "The mail server took the content twice and did not answer.")
    if timezone.now() - mail.created_at > outbox.MAX_AGE:
        return _give_up(mail, "given_up", mail.error or "Too old.")
    recipient = recipients.find(mail)
    if recipient is None:
        return _finish(mail, "needless")
    connection = get_connection()
    try:
        _send(mail, messages.write(mail, recipient), connection)
        return _finish(mail, "sent")  # before the connection is closed, which may take its time
    except _LeaseLost:
        return Outcome.OVERTAKEN
    except _RecipientRefused as error:
        return _give_up(mail, "refused", str(error))
    except _NotSent as error:
        logger.warning("%s was not sent: %s", mail, error)
        MAILS.labels(mail.kind, "failed").inc()
        return Outcome.FAILED if queue.retry_later(mail, error) else Outcome.OVERTAKEN
    finally:
        with suppress(Exception):
            connection.close()


def _send(mail: OutgoingMail, message: EmailMessage, connection: BaseEmailBackend) -> None:
    """Send a message. Raises _NotSent, _RecipientRefused, and _LeaseLost before the content has left."""
    is_smtp = isinstance(connection, SmtpBackend)
    try:
        if isinstance(connection, SmtpBackend):
            connection.before_content = lambda: _count_uncertain(mail)
        else:
            _count_uncertain(mail)
        connection.open()
        connection.send_messages([message])
    except _LeaseLost:
        raise
    except smtplib.SMTPRecipientsRefused as error:
        code = min(code for code, _ in error.recipients.values())
        kind = _RecipientRefused if code >= _PERMANENT_CODE else _NotSent
        raise kind(f"The mail server refused the recipient with code {code}.") from None
    except smtplib.SMTPResponseException as error:
        _withdraw_uncertain(mail)
        raise _NotSent(f"The mail server answered {error.smtp_code} ({type(error).__name__}).") from None
    except Exception as error:
        if not is_smtp:
            _withdraw_uncertain(mail)
        raise _NotSent(f"The mail server did not answer ({type(error).__name__}).") from None


def _count_uncertain(mail: OutgoingMail) -> None:
    """Note that the content leaves now. Raises _LeaseLost: another worker may be sending the mail."""
    if not queue.owned([mail]).update(uncertain=F("uncertain") + 1):
        raise _LeaseLost


def _withdraw_uncertain(mail: OutgoingMail) -> None:
    """Note that the content was refused."""
    queue.owned([mail]).update(uncertain=mail.uncertain)


def _finish(mail: OutgoingMail, outcome: str) -> Outcome:
    if not queue.delete([mail]):
        return Outcome.OVERTAKEN
    MAILS.labels(mail.kind, outcome).inc()
    logger.info("%s: %s", mail, outcome)
    return Outcome.FINISHED


def _give_up(mail: OutgoingMail, outcome: str, reason: str) -> Outcome:
    if not queue.give_up(mail, reason):
        return Outcome.OVERTAKEN
    MAILS.labels(mail.kind, outcome).inc()
    logger.warning("%s is given up (%s): %s", mail, outcome, reason)
    return Outcome.FINISHED
