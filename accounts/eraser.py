"""Erasing deleted accounts in the background: claim, work for about a second, release, until the row itself can go.

Every step of `accounts.personal_data` works in small transactions and may run twice, so nothing is lost when a
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

from accounts import personal_data
from accounts.models import Erasure, User
from instafeed.invalidation import invalidate

logger = logging.getLogger(__name__)

SLICE = 1.0  # seconds of work before others have their turn
CLAIM = timedelta(seconds=15)  # much longer than a slice, so that a claim outlives only its worker
# Requests that began while the account was active have ended by then, and whatever they wrote is erased too.
LAST_WRITES = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to erase one account, until `until`."""

    user_id: int
    until: datetime


def open_erasure(user_id: int) -> None:
    """Write the ledger's row; belongs into the transaction that deletes the account."""
    Erasure.objects.create(user_id=user_id, due_at=timezone.now())


def erase_slice() -> bool:
    """Work for about a second on the account that has waited longest; whether any is due now.

    A failure is noted in the ledger and tried again after a pause that doubles, without end.
    """
    claim = _claim()
    if claim is None:
        return False
    try:
        if _erase_most(claim.user_id):
            _erase_user(claim)
        else:
            _release(claim, timezone.now())
    except Exception as error:
        logger.exception("erasure of user %s failed", claim.user_id)
        _postpone(claim, error)
    return _due().exists()


def _due() -> QuerySet[Erasure]:
    return Erasure.objects.using(DEFAULT_DB_ALIAS).filter(due_at__lte=timezone.now())


def _claim() -> Claim | None:
    until = timezone.now() + CLAIM
    with transaction.atomic():
        erasure = _due().order_by("due_at").select_for_update(skip_locked=True).first()
        if erasure is None:
            return None
        Erasure.objects.filter(pk=erasure.pk).update(due_at=until)
    return Claim(erasure.pk, until)


def _erase_most(user_id: int) -> bool:
    """All but the user's row, from the top app down; True when a whole pass found nothing left to do."""
    ends = time.monotonic() + SLICE
    for holding in reversed(personal_data.holdings()):
        while holding.erase is not None and not holding.erase(user_id):
            if time.monotonic() > ends:
                return False
    return True


def _erase_user(claim: Claim) -> None:
    """The row, the ledger's row and the Redis keys. Raises IntegrityError if somebody has written meanwhile."""
    with transaction.atomic():
        # Whoever writes a row that refers to the user waits for this lock, and then fails.
        user = User.objects.select_for_update().only("deleted_at").get(pk=claim.user_id)
        assert user.deleted_at is not None
        if (earliest := user.deleted_at + LAST_WRITES) > timezone.now():
            _release(claim, earliest)
            return
        invalidate(personal_data.redis_keys(user.pk))
        Erasure.objects.filter(pk=user.pk).delete()
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            # Raw: the ORM would look for everything that refers to the user and delete it, however much it is.
            cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])


def _release(claim: Claim, due_at: datetime) -> None:
    _mine(claim).update(due_at=due_at, attempts=0, error="")


def _postpone(claim: Claim, error: Exception) -> None:
    with transaction.atomic():
        erasure = _mine(claim).select_for_update().first()
        if erasure is None:
            return
        wait = min(timedelta(seconds=2 ** min(erasure.attempts, 16)), LONGEST_WAIT)
        attempts = min(erasure.attempts + 1, 1_000)
        _mine(claim).update(attempts=attempts, error=repr(error)[:1000], due_at=timezone.now() + wait)


def _mine(claim: Claim) -> QuerySet[Erasure]:
    """Nothing, if the worker was taken for dead and another one has gone on."""
    return Erasure.objects.filter(pk=claim.user_id, due_at=claim.until)
