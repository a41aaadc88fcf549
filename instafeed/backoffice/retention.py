"""Deletion of rows that have served their purpose, in bounded batches. A setting says after how many days; 0: never.

Tables in partitions are not here: their partitions are dropped (`partitioned_tables`).

Each category deletes one batch of rows from before a time in its own transaction, and returns True when none is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from accounts import approval
from accounts.mail import outbox
from instafeed.backoffice.jobs import results
from instafeed.backoffice.models import Sample
from instafeed.core.api import idempotency
from instafeed.core.db.batches import delete_batch
from social import notifications

SLICE_SECONDS = 1.0  # of work before other tasks get their turn
SAMPLES_BATCH_SIZE = 5_000


def delete_expired_rows() -> bool:
    """Delete expired rows for about a second. Return True when none is left."""
    ends = time.monotonic() + SLICE_SECONDS
    for setting, delete_older in _CATEGORIES.items():
        days = getattr(settings, setting)
        while days and not delete_older(timezone.now() - timedelta(days=days)):
            if time.monotonic() > ends:
                return False
    return True


def _delete_samples(before: datetime) -> bool:
    expired = Sample.objects.using(DEFAULT_DB_ALIAS).filter(at__lt=before)
    return delete_batch(expired.order_by("at"), SAMPLES_BATCH_SIZE)


_CATEGORIES: dict[str, Callable[[datetime], bool]] = {
    "NOTIFICATION_RETENTION_DAYS": notifications.delete_older,
    "IDEMPOTENCY_RETENTION_DAYS": idempotency.delete_older,
    "MAIL_RETENTION_DAYS": outbox.delete_given_up,
    "OPERATOR_JOB_RETENTION_DAYS": results.delete_ended_jobs,
    "SAMPLE_RETENTION_DAYS": _delete_samples,
    "PENDING_RETENTION_DAYS": approval.delete_undecided,
}
