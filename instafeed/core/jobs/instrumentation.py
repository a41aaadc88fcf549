"""Each task: the request that caused it, how it ended and how long it took, in metrics and log lines.

A request's id travels with every task as a message header, so that a worker's lines carry the id of the request
that caused them; a task that starts another passes it on. A task of a request's has a line at INFO when it ends,
any other (beat's) at DEBUG.
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
    began: float
    context: Mapping[str, Token[Any]]


_running_tasks: dict[str, _RunningTask] = {}  # of this process, by task id


@before_task_publish.connect
def _add_request_id_header(headers: dict[str, Any], **_: Any) -> None:
    if request_id := current_request_id():
        headers[_REQUEST_ID_HEADER] = request_id


@worker_init.connect
def _initialise_failure_series(sender: Any, **_: Any) -> None:
    """A series that is born with the first failure would not show that failure as an increase."""
    for name in sender.app.tasks:
        if not name.startswith("celery."):
            for outcome in ("failure", "lost"):
                TASKS_ENDED.labels(name, outcome)


@task_prerun.connect
def _on_task_start(task_id: str, task: Any, **_: Any) -> None:
    context = bind_contextvars(
        request_id=str(task.request.get(_REQUEST_ID_HEADER) or ""), task_id=task_id, task=task.name
    )
    _running_tasks[task_id] = _RunningTask(time.perf_counter(), context)


@task_postrun.connect
def _on_task_end(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    run = _running_tasks.pop(task_id, None)
    if run is None:
        return
    seconds = time.perf_counter() - run.began
    outcome = (state or "").lower()
    if outcome not in TASK_OUTCOMES:
        outcome = "ignored"
    TASKS_ENDED.labels(task.name, outcome).inc()
    TASK_SECONDS.labels(task.name).observe(seconds)
    level = logging.INFO if current_request_id() else logging.DEBUG
    logger.log(level, "task", extra={"outcome": outcome, "duration_ms": round(seconds * 1000, 1)})
    reset_contextvars(**run.context)


@task_failure.connect
def _count_lost_task(task_id: str, sender: Any, **_: Any) -> None:
    """In a worker's main process, for what was killed: by its time limit, or with the process that ran it."""
    if task_id not in _running_tasks:
        TASKS_ENDED.labels(sender.name, "lost").inc()
