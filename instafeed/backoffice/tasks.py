"""The back office's Celery tasks."""

from celery import shared_task

from instafeed.backoffice import partitioned_tables, retention, sweeps
from instafeed.backoffice.dashboard import sampling
from instafeed.backoffice.jobs import worker
from instafeed.core.jobs import enqueue


@shared_task
def take_sample() -> None:
    """Store the dashboard's sample of this minute."""
    sampling.take_sample()


@shared_task
def run_operator_jobs() -> None:
    """Work for about a second on the operator job that is due longest."""
    worker.process_next()


@shared_task
def sweep_jobs() -> None:
    """Continue jobs whose task was lost, whose worker died, or whose retry delay is over."""
    sweeps.sweep()


@shared_task
def delete_expired_rows() -> None:
    """Delete what is older than its retention: partitions, and rows. If some are left, queue again behind other tasks.

    Partitions that are needed soon are added first. What could not be locked is tried again in an hour.
    """
    partitioned_tables.maintain()
    if not retention.delete_expired_rows():
        enqueue.try_enqueue(delete_expired_rows)
