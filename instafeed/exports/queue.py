"""The queue of exports. Each user has at most one unfinished export, which goes behind the others after each slice."""

from __future__ import annotations

from datetime import timedelta

from instafeed.core.jobs import queues
from instafeed.core.jobs.coalesced import CoalescedTask
from instafeed.core.jobs.leased import LeasedQueue
from instafeed.exports.models import Export
from media import storage

queue = LeasedQueue(
    Export.objects.all(),
    task=CoalescedTask(queues.BUILD_EXPORTS, mark_ttl=30),
    lease=timedelta(seconds=30),  # much longer than a slice; renewed before each part and while the data is written
    retry_delay=timedelta(seconds=30),
    transient=(storage.StorageError,),
)
