"""Erase deleted accounts in the background.

The worker claims one account, works for about a second, and releases it, until the user's row can be deleted.
Every step of `accounts.personal_data_registry` works in small transactions and may run twice. If a worker dies, its
claim expires and the next worker starts again at the first step; steps that are done find nothing left.
The user's row is deleted last and without a cascade: a foreign key violation shows that a step forgot something.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import personal_data_registry
from accounts.models import Erasure, User
from instafeed.core.cache.invalidation import invalidate
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import LeasedQueue, Outcome

SLICE_SECONDS = 1.0  # of work before other tasks get their turn
CLAIM_TTL = timedelta(seconds=15)  # much longer than a slice: a claim expires only if its worker died
# Requests that began while the account was active have ended after this time; their rows are erased too.
IN_FLIGHT_WRITES_TIMEOUT = timedelta(seconds=5)


queue = LeasedQueue(
    Erasure.objects.all(),
    task=CoalescedTask(queues.ERASE_ACCOUNTS, mark_ttl=30),
    lease=CLAIM_TTL,
    retry_delay=timedelta(seconds=1),
)


def enqueue(user_id: int) -> None:
    """Queue the account for erasure. Call it in the transaction that deletes the account."""
    Erasure.objects.create(user_id=user_id)
    queue.request_task_on_commit()


def process_next() -> Outcome:
    """Work for about a second on the account that is due longest.

    Failures are retried without limit, with a delay that doubles up to five minutes.
    """
    return queue.run_next(_erase)


def _erase(erasure: Erasure) -> Outcome:
    if _erase_personal_data(erasure.user_id):
        return _delete_user_row(erasure)
    return _release(erasure, Now())


def _erase_personal_data(user_id: int) -> bool:
    """Erase everything but the user's row, from the top app down. Return True if one whole pass found nothing left."""
    deadline = time.monotonic() + SLICE_SECONDS
    for category in reversed(personal_data_registry.get_categories()):
        while category.erase is not None and not category.erase(user_id):
            if time.monotonic() > deadline:
                return False
    return True


def _delete_user_row(erasure: Erasure) -> Outcome:
    """Delete the user's row, its Erasure row and its Redis keys.

    Raises IntegrityError if a row that refers to the user was written in the meantime.
    """
    with transaction.atomic():
        # Transactions that insert a row with a reference to the user wait for this lock, and fail after the delete.
        user = User.objects.select_for_update().only("deleted_at").get(pk=erasure.user_id)
        assert user.deleted_at is not None
        if (earliest := user.deleted_at + IN_FLIGHT_WRITES_TIMEOUT) > timezone.now():
            return _release(erasure, earliest)
        if not queue.delete([erasure]):
            return Outcome.OVERTAKEN
        invalidate(personal_data_registry.get_redis_keys(user.pk))
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            # Raw SQL: the ORM would search for all rows that refer to the user and delete them, however many.
            cursor.execute("DELETE FROM accounts_user WHERE id = %s", [user.pk])
    return Outcome.FINISHED


def _release(erasure: Erasure, due_at: datetime | Now) -> Outcome:
    return Outcome.CONTINUED if queue.checkpoint(erasure, due_at=due_at) else Outcome.OVERTAKEN
