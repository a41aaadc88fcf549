"""Workers that claim leased jobs at the same time."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import LeasedQueue
from media.models import Relocation
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.django_db(transaction=True)

queue = LeasedQueue(
    Relocation.objects.all(), task=CoalescedTask("media.tasks.relocate_media"), lease=timedelta(minutes=2)
)


def test_concurrent_workers_claim_each_job_once() -> None:
    jobs = [Relocation.objects.create(owner_id=owner_id) for owner_id in range(1, 21)]
    batches = run_concurrently([partial(queue.claim_due, 10)] * 4)
    assert sorted(job.pk for batch in batches for job in batch) == [job.pk for job in jobs]
