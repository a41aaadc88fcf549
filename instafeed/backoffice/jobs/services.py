"""Start and cancel jobs, with audit entries."""

from __future__ import annotations

from typing import Any

from celery import states
from django.db import DEFAULT_DB_ALIAS, IntegrityError, transaction
from django.db.models.functions import Now
from psycopg.errors import UniqueViolation

from accounts import audit
from accounts.models import User
from instafeed.backoffice.jobs import log, results, worker
from instafeed.backoffice.jobs.steps import JobCancelled
from instafeed.backoffice.models import OperatorJob
from instafeed.core.jobs.leased import UNFINISHED, JobState


class AlreadyRunning(Exception):
    """A job of this kind has not ended yet."""


def start(kind: str, arguments: dict[str, Any], operator: User) -> OperatorJob:
    """Create a job of this kind; a worker begins it at once. Raises AlreadyRunning.

    Without a broker, the sweep has a worker begin it later.
    """
    try:
        with transaction.atomic(DEFAULT_DB_ALIAS):
            job = OperatorJob.objects.create(
                kind=kind,
                arguments=arguments,
                task_result_id=results.create(kind, arguments),
                requested_by_id=operator.pk,
                requested_by_name=operator.username,
                log=log.append("", [f"Requested by {operator.username}."]),
            )
            after = {"kind": kind, **arguments}
            audit.record(operator, "start_job", "operator_job", job.pk, user_id=None, after=after)
            worker.queue.request_task_on_commit()
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):
            raise AlreadyRunning(kind) from None
        raise
    return job


@transaction.atomic(DEFAULT_DB_ALIAS)
def cancel(job_id: int, operator: User) -> bool:
    """End a job at once, whether or not its worker lives. Return False if it had ended already.

    A living worker finishes its present step, loses its lease and saves nothing of its slice.
    """
    jobs = OperatorJob.objects.using(DEFAULT_DB_ALIAS).filter(pk=job_id, state__in=UNFINISHED)
    # The result is read after the lock: a join would return that of before a slice which is being saved.
    job = jobs.select_for_update(no_key=True).first()
    if job is None:
        return False
    message = f"Cancelled by {operator.username}."
    lines = log.append(job.log, [message])
    jobs.update(state=JobState.DONE, lease=None, error="", checkpoint={}, ended_at=Now(), log=lines)
    results.store(job, states.REVOKED, JobCancelled(message), results.load_progress(job.task_result))
    audit.record(operator, "cancel_job", "operator_job", job.pk, user_id=None, after={"kind": job.kind})
    return True


def find_unfinished(kind: str) -> OperatorJob | None:
    """Return the job of this kind that has not ended, if there is one."""
    return OperatorJob.objects.using(DEFAULT_DB_ALIAS).filter(kind=kind, state__in=UNFINISHED).first()
