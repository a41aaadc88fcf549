"""Accept the follow requests of an account that became public, in the background.

The change itself accepts the first batch. If there are more, it writes a row, and a worker accepts the others in
batches. Each batch holds the account's lock, so it is accepted by the rule that holds then: if the account turns
private again, the requests that are left stay requests. A request that was withdrawn is not accepted.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS, transaction

from accounts.models import User
from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import LeasedQueue, Outcome
from social.models import RequestAcceptance
from social.services import accept_request_batch
from social.services.locks import lock_account

SLICE_SECONDS = 1.0  # of work before other tasks get their turn

queue = LeasedQueue(
    RequestAcceptance.objects.all(),
    task=CoalescedTask(queues.ACCEPT_FOLLOW_REQUESTS, mark_ttl=30),
    lease=timedelta(seconds=20),  # much longer than a slice
)


def accept_when_public(owner_id: int) -> None:
    """Accept the requests to an account that becomes public: a batch now, the others in the background.

    Must be called inside the transaction that makes the account public, after `lock_account`: earlier requests have
    committed; a later one finds the account public and follows directly.
    """
    if accept_request_batch(owner_id):
        schedule(owner_id)


def schedule(owner_id: int) -> None:
    """Accept the account's requests after the current transaction commits.

    A worker that is accepting them loses its claim, so it cannot delete the row of this cause.
    """
    RequestAcceptance.objects.bulk_create(
        [RequestAcceptance(owner_id=owner_id)],
        update_conflicts=True,
        unique_fields=["owner_id"],
        update_fields=["state", "lease", "due_at"],
    )
    queue.request_task_on_commit()


def accept_next() -> Outcome:
    """Work for about a second on the account that has waited longest."""
    return queue.run_next(accept_slice)


def accept_slice(job: RequestAcceptance) -> Outcome:
    """Accept batches for about a second, or until no request is left."""
    ends = time.monotonic() + SLICE_SECONDS
    while _accept_batch(job.owner_id):
        if time.monotonic() > ends:
            return Outcome.CONTINUED if queue.checkpoint(job) else Outcome.OVERTAKEN
    return Outcome.FINISHED if queue.delete([job]) else Outcome.OVERTAKEN


def _accept_batch(owner_id: int) -> bool:
    """Accept a batch if the account is public. Return whether more may be left."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        lock_account(owner_id)
        public = User.objects.using(DEFAULT_DB_ALIAS).filter(pk=owner_id, is_private=False, deleted_at=None)
        return public.exists() and accept_request_batch(owner_id)
