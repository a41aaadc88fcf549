"""The back office's Celery tasks."""

from celery import shared_task

from instafeed.backoffice import retention, sweeps
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
    """Delete rows that are older than their retention. If some are left, queue again behind other tasks."""
    if not retention.delete_expired_rows():
        enqueue.try_enqueue(delete_expired_rows)
