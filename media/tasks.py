"""Celery's entry points; thin. What is left to do is in the database: a nudge that is lost is made up for by beat.

Modules are imported where they are used, as they nudge these tasks.
"""

from __future__ import annotations

import time

from celery import shared_task

from instafeed.core.jobs import enqueue

SLICE_SECONDS = 1.0  # seconds of work before a task makes room for others
SWEEP_BATCH_SIZE = 100  # tasks sent in one sweep


@shared_task
def process_media(media_id: int) -> None:
    """Make the variants of one picture."""
    from media import processing_job

    processing_job.run(media_id)


@shared_task
def remake_media(media_id: int) -> None:
    """Make the variants of a ready picture anew."""
    from media import reprocessing

    reprocessing.regenerate(media_id)


@shared_task
def relocate_media(owner_id: int) -> None:
    """Move a slice of an owner's pictures to where they belong; what is left goes behind the other tasks."""
    from media import relocation

    if relocation.relocate_batch(owner_id):
        enqueue.try_enqueue(relocate_media, owner_id)


@shared_task
def remove_files() -> None:
    """Delete files that are to go."""
    from media import file_deletion

    ends = time.monotonic() + SLICE_SECONDS
    while time.monotonic() < ends and file_deletion.delete_due_files():
        pass


@shared_task
def sweep_media() -> None:
    """Send tasks for what was missed: lost nudges, dead workers, attempts that were put off."""
    from media import processing_job, relocation

    for media_id in processing_job.due_media_ids(SWEEP_BATCH_SIZE):
        enqueue.try_enqueue(process_media, media_id)
    for owner_id in relocation.due_owner_ids(SWEEP_BATCH_SIZE):
        enqueue.try_enqueue(relocate_media, owner_id)
    enqueue.try_enqueue(remove_files)


@shared_task
def delete_orphans() -> None:
    """Delete pictures that nobody wants, uploads that never came, and what the dead left on this machine."""
    from media import file_deletion, tempdirs

    tempdirs.delete_leftovers()
    while file_deletion.delete_orphans():
        pass
