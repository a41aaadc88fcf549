"""Erase deleted accounts in the background.

The worker claims one account, works for about a second, and releases it, until the user's row can be deleted.
Every step of `accounts.personal_data_registry` works in small transactions and may run twice. If a worker dies, its
claim expires and the next worker starts again at the first step; steps that are done find nothing left.
The user's row is deleted last and without a cascade: a foreign key violation shows that a step forgot something.
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

SLICE_SECONDS = 1.0  # of work before other tasks get their turn
CLAIM_TTL = timedelta(seconds=15)  # much longer than a slice: a claim expires only if its worker died
# Requests that began while the account was active have ended after this time; their rows are erased too.
IN_FLIGHT_WRITES_TIMEOUT = timedelta(seconds=5)
MAX_RETRY_DELAY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Claim:
    """The exclusive right to erase one account, until `until`."""

    user_id: int
    until: datetime


def enqueue(user_id: int) -> None:
    """Queue the account for erasure. Call it in the transaction that deletes the account."""
    Erasure.objects.create(user_id=user_id, due_at=timezone.now())


def process_next() -> bool:
    """Work for about a second on the account that is due longest. Return whether any account is due now.

    A failure is recorded in the Erasure row and retried without limit, with a delay that doubles up to
    MAX_RETRY_DELAY.
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
    """Erase everything but the user's row, from the top app down. Return True if one whole pass found nothing left."""
    deadline = time.monotonic() + SLICE_SECONDS
    for category in reversed(personal_data_registry.get_categories()):
        while category.erase is not None and not category.erase(user_id):
            if time.monotonic() > deadline:
                return False
    return True


def _delete_user_row(claim: Claim) -> None:
    """Delete the user's row, its Erasure row and its Redis keys.

    Raises IntegrityError if a row that refers to the user was written in the meantime.
    """
    with transaction.atomic():
        # Transactions that insert a row with a reference to the user wait for this lock, and fail after the delete.
        user = User.objects.select_for_update().only("deleted_at").get(pk=claim.user_id)
        assert user.deleted_at is not None
        if (earliest := user.deleted_at + IN_FLIGHT_WRITES_TIMEOUT) > timezone.now():
            _release(claim, earliest)
            return
        invalidate(personal_data_registry.get_redis_keys(user.pk))
        Erasure.objects.filter(pk=user.pk).delete()
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            # Raw SQL: the ORM would search for all rows that refer to the user and delete them, however many.
            cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])


def _release(claim: Claim, due_at: datetime) -> None:
    _owned(claim).update(due_at=due_at, attempts=0, error="")


def _retry_later(claim: Claim, error: Exception) -> None:
    with transaction.atomic():
        erasure = _owned(claim).select_for_update().first()
        if erasure is None:
            return
        delay = min(timedelta(seconds=2 ** min(erasure.attempts, 16)), MAX_RETRY_DELAY)
        attempts = min(erasure.attempts + 1, 1_000)
        _owned(claim).update(attempts=attempts, error=repr(error)[:1000], due_at=timezone.now() + delay)


def _owned(claim: Claim) -> QuerySet[Erasure]:
    """Return the claimed row, or no row if the claim expired and another worker took over."""
    return Erasure.objects.filter(pk=claim.user_id, due_at=claim.until)
