"""Celery tasks of media; they delegate.

The work to do is in the database, so a lost task is requested again (`instafeed.backoffice.sweeps`). Modules of this
app enqueue these tasks by name (`instafeed.core.jobs.queues`), because this module imports them.
"""

from __future__ import annotations

import time

from celery import shared_task

from media import file_deletion, processing_job, relocation, reprocessing, tempdirs

SLICE_SECONDS = 1.0  # seconds of work before a task makes room for others


@shared_task
def process_media() -> None:
    """Generate the variants of the next picture."""
    processing_job.process_next()


@shared_task
def remake_media(media_id: int) -> None:
    """Generate the variants of a ready picture again."""
    reprocessing.regenerate(media_id)


@shared_task
def relocate_media() -> None:
    """Move a batch of an owner's pictures between public and private."""
    relocation.relocate_next()


@shared_task
def remove_files() -> None:
    """Delete files that are due, for `SLICE_SECONDS`."""
    file_deletion.queue.task.begin_look()
    ends = time.monotonic() + SLICE_SECONDS
    while file_deletion.delete_due_files():
        if time.monotonic() > ends:
            file_deletion.queue.task.request()
            return


@shared_task
def delete_orphans() -> None:
    """Delete unattached pictures, abandoned uploads, and leftover temporary files of this machine."""
    tempdirs.delete_leftovers()
    while file_deletion.delete_orphans():
        pass
