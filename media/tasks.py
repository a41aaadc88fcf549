"""Celery's entry points; thin. What is left to do is in the database: a nudge that is lost is made up for by beat.

Modules are imported where they are used, as they nudge these tasks.
"""

from __future__ import annotations

import time

from celery import shared_task

from instafeed import dispatch

SLICE = 1.0  # seconds of work before a task makes room for others
SWEPT = 100  # tasks sent in one sweep


@shared_task
def process_media(media_id: int) -> None:
    """Make the variants of one picture."""
    from media import pipeline

    pipeline.run(media_id)


@shared_task
def remake_media(media_id: int) -> None:
    """Make the variants of a ready picture anew."""
    from media import reprocessing

    reprocessing.remake(media_id)


@shared_task
def relocate_media(owner_id: int) -> None:
    """Move a slice of an owner's pictures to where they belong; what is left goes behind the other tasks."""
    from media import placement

    if placement.relocate_slice(owner_id):
        dispatch.nudge(relocate_media, owner_id)


@shared_task
def remove_files() -> None:
    """Delete files that are to go."""
    from media import removal

    ends = time.monotonic() + SLICE
    while time.monotonic() < ends and removal.remove_slice():
        pass


@shared_task
def sweep_media() -> None:
    """Send tasks for what was missed: lost nudges, dead workers, attempts that were put off."""
    from media import pipeline, placement

    for media_id in pipeline.due(SWEPT):
        dispatch.nudge(process_media, media_id)
    for owner_id in placement.due(SWEPT):
        dispatch.nudge(relocate_media, owner_id)
    dispatch.nudge(remove_files)


@shared_task
def delete_orphans() -> None:
    """Delete pictures that nobody wants, uploads that never came, and what the dead left on this machine."""
    from media import removal, scratch

    scratch.sweep()
    while removal.delete_orphans():
        pass
