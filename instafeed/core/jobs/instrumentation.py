"""Metrics, a log line and the originating request's id for each Celery task.

A request's id travels with every task as a message header, so a worker's log lines carry the id of the request
that caused them; a task that enqueues another passes the id on. A task caused by a request logs one line at INFO
when it ends, any other task (beat's) at DEBUG.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextvars import Token
from typing import Any, NamedTuple

from celery.signals import before_task_publish, task_failure, task_postrun, task_prerun, worker_init
from structlog.contextvars import bind_contextvars, reset_contextvars

from instafeed.core.observability.metrics import TASK_OUTCOMES, TASK_SECONDS, TASKS_ENDED
from instafeed.core.observability.request_id import current_request_id

_REQUEST_ID_HEADER = "request_id"
logger = logging.getLogger(__name__)


class _RunningTask(NamedTuple):
    started_at: float  # time.perf_counter()
    context: Mapping[str, Token[Any]]


_running_tasks: dict[str, _RunningTask] = {}  # of this process, by task id


@before_task_publish.connect
def _add_request_id_header(headers: dict[str, Any], **_: Any) -> None:
    if request_id := current_request_id():
        headers[_REQUEST_ID_HEADER] = request_id


@worker_init.connect
def initialise_failure_series(sender: Any, **_: Any) -> None:
    """Create the failure series at zero: a series that begins with its first failure shows no increase."""
    for name in sender.app.tasks:
        if not name.startswith("celery."):
            for outcome in ("failure", "lost"):
                TASKS_ENDED.labels(name, outcome)


@task_prerun.connect
def _on_task_start(task_id: str, task: Any, **_: Any) -> None:
    request_id = str(task.request.get(_REQUEST_ID_HEADER) or "")
    context = bind_contextvars(request_id=request_id, task_id=task_id, task=task.name)
    _running_tasks[task_id] = _RunningTask(time.perf_counter(), context)


@task_postrun.connect
def _on_task_end(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    running = _running_tasks.pop(task_id, None)
    if running is None:
        return
    seconds = time.perf_counter() - running.started_at
    outcome = (state or "").lower()
    if outcome not in TASK_OUTCOMES:
        outcome = "ignored"
    TASKS_ENDED.labels(task.name, outcome).inc()
    TASK_SECONDS.labels(task.name).observe(seconds)
    level = logging.INFO if current_request_id() else logging.DEBUG
    logger.log(level, "task", extra={"outcome": outcome, "duration_ms": round(seconds * 1000, 1)})
    reset_contextvars(**running.context)


@task_failure.connect
def _count_lost_task(task_id: str, sender: Any, **_: Any) -> None:
    """Count, in a worker's main process, a task killed by its time limit or with its pool process."""
    if task_id not in _running_tasks:
        TASKS_ENDED.labels(sender.name, "lost").inc()
