"""All queues of rows, seen to by one periodic task: one for each would be most of what an idle site does."""

from __future__ import annotations

from accounts import erasure_worker
from accounts.mail import outbox as mail_outbox
from feeds import fanout_outbox, missed_buckets
from instafeed.backoffice.jobs import worker as operator_jobs
from instafeed.exports import queue as exports
from media import file_deletion, processing_job, relocation
from posts import purge
from social import request_acceptance
from social.notifications import consumer
from social.push import outbox as push_outbox

QUEUES = (
    fanout_outbox.queue,
    processing_job.queue,
    relocation.queue,
    file_deletion.queue,
    mail_outbox.queue,
    erasure_worker.queue,
    request_acceptance.queue,
    exports.queue,
    operator_jobs.queue,
    push_outbox.queue,
)


def sweep() -> None:
    """Request the task of each queue with a due row: its task was lost, its worker died, or its delay is over."""
    for queue in QUEUES:
        queue.sweep()
    consumer.sweep()
    purge.sweep()
    missed_buckets.sweep()
