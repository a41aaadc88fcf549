"""Erasing deleted accounts in the background: claim, work for about a second, release, until the row itself can go.

Every step of `accounts.personal_data_registry` works in small transactions and may run twice, so nothing is lost when a
worker dies: its claim expires, and the next one begins at the first step again, where by then nothing is left. At the
end the user's row is deleted by itself: no cascade, the foreign keys say whether anything was forgotten.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import personal_data_registry
from accounts.models import Erasure, User
from instafeed.core.cache.invalidation import invalidate

logger = logging.getLogger(__name__)

SLICE_SECONDS = 1.0  # seconds of work before others have their turn
CLAIM_TTL = timedelta(seconds=15)  # much longer than a slice, so that a claim outlives only its worker
# Requests that began while the account was active have ended by then, and whatever they wrote is erased too.
IN_FLIGHT_WRITES_TIMEOUT = timedelta(seconds=5)
MAX_RETRY_DELAY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to erase one account, until `until`."""

    user_id: int
    until: datetime


def enqueue(user_id: int) -> None:
    """Write the ledger's row; belongs into the transaction that deletes the account."""
    Erasure.objects.create(user_id=user_id, due_at=timezone.now())


def process_next() -> bool:
    """Work for about a second on the account that has waited longest; whether any is due now.

    A failure is noted in the ledger and tried again after a pause that doubles, without end.
    """
    claim = _claim_next()
    if claim is None:
        return False
    try:
        if _erase_personal_data(claim.user_id):
            _delete_user_row(claim)
        else:
            _release(claim, timezone.now())
    except Exception as error:
        logger.exception("erasure of user %s failed", claim.user_id)
        _retry_later(claim, error)
    return _due().exists()


def _due() -> QuerySet[Erasure]:
    return Erasure.objects.using(DEFAULT_DB_ALIAS).filter(due_at__lte=timezone.now())


def _claim_next() -> Claim | None:
    until = timezone.now() + CLAIM_TTL
    with transaction.atomic():
        erasure = _due().order_by("due_at").select_for_update(skip_locked=True).first()
        if erasure is None:
            return None
        Erasure.objects.filter(pk=erasure.pk).update(due_at=until)
    return Claim(erasure.pk, until)


def _erase_personal_data(user_id: int) -> bool:
    """All but the user's row, from the top app down; True when a whole pass found nothing left to do."""
    ends = time.monotonic() + SLICE_SECONDS
    for holding in reversed(personal_data_registry.get_categories()):
        while holding.erase is not None and not holding.erase(user_id):
            if time.monotonic() > ends:
                return False
    return True


def _delete_user_row(claim: Claim) -> None:
    """The row, the ledger's row and the Redis keys. Raises IntegrityError if somebody has written meanwhile."""
    with transaction.atomic():
        # Whoever writes a row that refers to the user waits for this lock, and then fails.
        user = User.objects.select_for_update().only("deleted_at").get(pk=claim.user_id)
        assert user.deleted_at is not None
        if (earliest := user.deleted_at + IN_FLIGHT_WRITES_TIMEOUT) > timezone.now():
            _release(claim, earliest)
            return
        invalidate(personal_data_registry.get_redis_keys(user.pk))
        Erasure.objects.filter(pk=user.pk).delete()
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            # Raw: the ORM would look for everything that refers to the user and delete it, however much it is.
            cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])


def _release(claim: Claim, due_at: datetime) -> None:
    _owned(claim).update(due_at=due_at, attempts=0, error="")


def _retry_later(claim: Claim, error: Exception) -> None:
    with transaction.atomic():
        erasure = _owned(claim).select_for_update().first()
        if erasure is None:
            return
        wait = min(timedelta(seconds=2 ** min(erasure.attempts, 16)), MAX_RETRY_DELAY)
        attempts = min(erasure.attempts + 1, 1_000)
        _owned(claim).update(attempts=attempts, error=repr(error)[:1000], due_at=timezone.now() + wait)


def _owned(claim: Claim) -> QuerySet[Erasure]:
    """Nothing, if the worker was taken for dead and another one has gone on."""
    return Erasure.objects.filter(pk=claim.user_id, due_at=claim.until)
