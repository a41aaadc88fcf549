"""Celery tasks of media. They carry ids only and delegate.

The work to do is in the database, so a lost task is sent again by `sweep_media`. Modules of this app enqueue these
tasks by name (`instafeed.core.jobs.queues`), because this module imports them.
"""

from __future__ import annotations

import time

from celery import shared_task

from instafeed.core.jobs import enqueue
from instafeed.core.jobs.leased import Outcome
from media import file_deletion, processing_job, relocation, reprocessing, tempdirs

SLICE_SECONDS = 1.0  # seconds of work before a task makes room for others
SWEEP_BATCH_SIZE = 100  # tasks of a kind sent in one sweep


@shared_task
def process_media(media_id: int) -> None:
    """Generate the variants of one picture."""
    processing_job.run(media_id)


@shared_task
def remake_media(media_id: int) -> None:
    """Generate the variants of a ready picture again."""
    reprocessing.regenerate(media_id)


@shared_task
def relocate_media(owner_id: int) -> None:
    """Move a batch of an owner's pictures between public and private; enqueue the task again while more are left."""
    if relocation.relocate_batch(owner_id) is Outcome.CONTINUED:
        enqueue.try_enqueue(relocate_media, owner_id)


@shared_task
def remove_files() -> None:
    """Delete files that are due, for `SLICE_SECONDS`."""
    ends = time.monotonic() + SLICE_SECONDS
    while time.monotonic() < ends and file_deletion.delete_due_files():
        pass


@shared_task
def sweep_media() -> None:
    """Send tasks for due work: lost tasks, expired leases of dead workers, retries."""
    processing_job.queue.dispatch_overdue(SWEEP_BATCH_SIZE, lambda pk: enqueue.try_enqueue(process_media, pk))
    relocation.queue.dispatch_overdue(SWEEP_BATCH_SIZE, lambda pk: enqueue.try_enqueue(relocate_media, pk))
    if file_deletion.queue.has_due():
        enqueue.try_enqueue(remove_files)


@shared_task
def delete_orphans() -> None:
    """Delete unattached pictures, abandoned uploads, and leftover temporary files of this machine."""
    tempdirs.delete_leftovers()
    while file_deletion.delete_orphans():
        pass
