"""The task result of each job, in the tables of django-celery-results.

A job runs in many Celery tasks, one for each slice. Its result belongs to all of them, so it has an id of its own, and
the job stores it through Celery's result backend. `AsyncResult(job.task_result_id)` reads it like that of any task:

    PENDING ──▶ PROGRESS ──▶ SUCCESS, FAILURE or REVOKED (cancelled)

The progress is in the `meta` of the result and stays there when the job ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from socket import gethostname
from typing import Any
from uuid import uuid4

from celery import current_app, states
from celery.app.task import Context
from celery.result import AsyncResult
from django.db import DEFAULT_DB_ALIAS, transaction
from django_celery_results.models import TaskResult

from instafeed.backoffice.jobs.steps import Progress
from instafeed.backoffice.models import OperatorJob

PROGRESS = "PROGRESS"
DELETE_BATCH_SIZE = 500


def create(kind: str, arguments: dict[str, Any]) -> str:
    """Create the result of a new job and return its id."""
    task_id = str(uuid4())
    _store(task_id, kind, arguments, states.PENDING, None, Progress())
    return task_id


def store(job: OperatorJob, state: str, result: Any, progress: Progress) -> None:
    """Store the job's state, result and progress.

    `result`: the exception for FAILURE and REVOKED, the summary for SUCCESS. Call it in the transaction that writes the
    job's row, after that write.
    """
    _store(job.task_result_id, job.kind, job.arguments, state, result, progress)


def _store(task_id: str, kind: str, arguments: dict[str, Any], state: str, result: Any, progress: Progress) -> None:
    request = Context(
        id=task_id,
        task=f"operator_job.{kind}",
        kwargsrepr=arguments,
        hostname=gethostname(),
        children=[],
        meta={"progress": asdict(progress)},
    )
    current_app.backend.store_result(task_id, result, state, request=request)


def load_progress(task_result: TaskResult) -> Progress:
    """Return the progress that a result holds."""
    return Progress(**json.loads(task_result.meta)["progress"])


def load_message(task_id: str) -> str:
    """Return the sentence of a result: the summary, why the job failed, or who cancelled it. Empty before the end."""
    result: AsyncResult[Any] = AsyncResult(task_id)
    return str(result.result) if result.ready() else ""


def delete_ended_jobs(before: datetime) -> bool:
    """Delete a batch of jobs that ended before a time, with their results. Return True when none is left."""
    ended = OperatorJob.objects.using(DEFAULT_DB_ALIAS).filter(ended_at__lt=before).order_by("ended_at")
    batch = dict(ended.values_list("pk", "task_result_id")[:DELETE_BATCH_SIZE])
    with transaction.atomic(DEFAULT_DB_ALIAS):
        OperatorJob.objects.using(DEFAULT_DB_ALIAS).filter(pk__in=batch).delete()
        TaskResult.objects.using(DEFAULT_DB_ALIAS).filter(task_id__in=batch.values()).delete()
    return len(batch) < DELETE_BATCH_SIZE
