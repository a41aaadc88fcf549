"""The outbox: a row for each mail, written in the transaction of its cause.

Rows hold no token and no finished text. Both are made when the mail is sent, so reading the table gives access to no
account.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

from accounts.mail.password_state import password_state
from accounts.models import MailKind, OutgoingMail, User
from instafeed.core.api import rate_limits
from instafeed.core.api.rate_limits import parse_rate
from instafeed.core.db.batches import delete_batch
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import JobState, LeasedQueue
from instafeed.core.observability.metrics import MAILS

LEASE = timedelta(seconds=30)  # longer than the time limit of the task that sends a mail
MAX_AGE = timedelta(days=3)  # then a mail that no server accepted is given up
DELETE_BATCH_SIZE = 1_000
_LIMIT_SCOPE = "mail"

# Retried after 10 s, 20 s, 40 s and so on, up to half an hour; `accounts.mail.sending` gives up by age.
queue = LeasedQueue(
    OutgoingMail.objects.all(),
    task=CoalescedTask(queues.SEND_MAILS),
    lease=LEASE,
    retry_delay=timedelta(seconds=5),
    max_retry_delay=timedelta(minutes=30),
)


def enqueue(kind: MailKind, address: str, user: User | None = None, **details: Any) -> None:
    """Queue a mail. Call it in the transaction of its cause.

    Does nothing if mail is off, or if the address has had too many mails of this kind. Neither depends on whether the
    address belongs to an account.
    """
    if not settings.MAIL_ENABLED or not _is_within_limit(kind, address):
        return
    OutgoingMail.objects.create(
        kind=kind,
        address=address,
        user_id=None if user is None else user.pk,
        password_state="" if user is None else password_state(user),
        details=details,
    )
    queue.request_task_on_commit()


def enqueue_notice(kind: MailKind, user: User, **details: Any) -> None:
    """Queue a notice to the user's address, if it is verified: no one else may learn of the account."""
    if user.email and user.email_verified:
        enqueue(kind, user.email, user, **details)


def enqueue_suspension_notice(user: User, policy: str) -> None:
    """Queue a notice of the user's suspension, with the text of the policy, which may be empty."""
    enqueue_notice(MailKind.SUSPENSION_NOTICE, user, until=describe_suspension_end(user.suspended_until), policy=policy)


def describe_suspension_end(until: datetime | None) -> str:
    """Return the end of a suspension for people; nothing if it has none."""
    return f"{until:%Y-%m-%d %H:%M} UTC" if until else ""


def delete_given_up(before: datetime) -> bool:
    """Delete a batch of dead letters from before a time. Return True when none is left."""
    dead = OutgoingMail.objects.using(DEFAULT_DB_ALIAS).filter(state=JobState.DEAD, due_at__lt=before)
    return delete_batch(dead.order_by("due_at"), DELETE_BATCH_SIZE)


def _is_within_limit(kind: MailKind, address: str) -> bool:
    """Count a mail. By kind: requests for links must not use up the notices that warn of them."""
    rate = settings.THROTTLES[_LIMIT_SCOPE]
    if rate is None:
        return True
    digest = hashlib.sha256(address.lower().encode(errors="replace")).hexdigest()[:32]
    window = rate_limits.count(_LIMIT_SCOPE, f"{kind}:{digest}", parse_rate(rate), local_fallback=True)
    if window is None or not window.is_exceeded:
        return True
    MAILS.labels(kind, "throttled").inc()
    return False
